"""Libraries that are not installed: which one is missing, and how to install it."""

from __future__ import annotations

from importlib.util import find_spec

PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
"""By module the package that holds it, where it has another name."""
EXTRAS = {
    "lancedb": "search", "onnx": "export", "onnx_ir": "export", "onnxruntime": "export",
    "onnxscript": "export", "openpyxl": "excel", "optuna": "tune", "ray": "ray",
    "sentence_transformers": "sentence-transformers", "tabicl": "tabicl",
}  # fmt: skip
"""By module the extra of polymodal that installs it."""


def missing_library(error: ModuleNotFoundError) -> tuple[str, str] | None:
    """The package that is not installed, and the command that installs it.

    None if the error is one of the program: a module of polymodal, or of a library that is installed.
    """
    module = (error.name or "").partition(".")[0]
    if module in ("", "polymodal") or _is_installed(module):
        return None
    package = PACKAGES.get(module, module.replace("_", "-"))
    wanted = f"'polymodal[{EXTRAS[module]}]'" if module in EXTRAS else package
    return package, f"pip install {wanted}"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # blocked, such as by a None in sys.modules
        return False
