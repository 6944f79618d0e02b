"""What the runtime imports: nothing at first, and then few libraries."""

import subprocess
import sys

HEAVY = (
    "torch", "transformers", "pandas", "pyarrow", "pydantic", "scipy", "sklearn", "lightgbm", "skops",
    "huggingface_hub", "safetensors", "yaml", "rich", "typer", "matplotlib", "onnx",
)  # fmt: skip


def printed(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_it_takes_less_than_half_a_second():
    code = (
        "import time; start = time.process_time(); import polymodal.runtime, sys;"
        "print(time.process_time() - start, any(n in sys.modules for n in ('numpy', 'av', 'PIL')))"
    )
    seconds, loaded = printed(code).split()
    assert float(seconds) < 0.5 and loaded == "False"


def test_reading_and_answering_import_no_library_of_training():
    modules = "polymodal.runtime.onnx_run, polymodal.runtime.blend_run"
    code = f"import {modules}, sys; print([n for n in {HEAVY} if n in sys.modules])"
    assert printed(code).strip() == "[]"
