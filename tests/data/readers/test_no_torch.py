"""Reading tables loads neither torch nor transformers: schema, checks, and a cell of each modality."""

import subprocess
import sys
from textwrap import dedent

CODE = """
    import importlib, pkgutil, sys
    import numpy as np
    from PIL import Image
    import polymodal.data.checks, polymodal.data.readers, polymodal.data.schema
    for room in (polymodal.data.schema, polymodal.data.checks, polymodal.data.readers):
        for module in pkgutil.iter_modules(room.__path__, room.__name__ + "."):
            importlib.import_module(module.name)
    from polymodal.data.readers import READERS, load_reader

    class Words:
        model_max_length, pad_token_id = 512, 0

        def __call__(self, text, **options):
            return type("Ids", (), {"input_ids": [1] * len(text.split())})

    cells = {
        "text": "a few words", "image": Image.new("RGB", (8, 8)), "audio": {"array": np.zeros(800, "float32"),
        "sampling_rate": 8000}, "video": np.zeros((4, 16, 16, 3), "uint8"), "sequence": np.zeros((5, 1)),
        "number": 3.5, "category": "a",
    }
    readers = {name: READERS[name]() for name in ("image", "audio", "video", "sequence", "number")}
    readers |= {"text": READERS["text"](Words()), "category": READERS["category"](categories=["a", "b"])}
    assert set(cells) == set(readers) <= set(READERS)
    for name, reader in readers.items():
        for item in (reader.read(cells[name], None), reader.blank()):
            assert item is not None, name
    print(sorted({"torch", "transformers"} & set(sys.modules)))
"""


def test_schema_checks_and_reading_load_no_torch():
    done = subprocess.run([sys.executable, "-c", dedent(CODE)], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
