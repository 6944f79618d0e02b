"""Folders that can be served: runs, and exports to ONNX, which need no library of training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polymodal.errors import ConfigError, RunError
from polymodal.runtime.opening import is_export


def require_loadable(path: Path) -> None:
    """Check that a folder holds an export or a complete run; no model is read.

    Raises:
        RunError: If it holds none.
        ConfigError: If it holds a run, and a library is not installed that every run needs.
    """
    if is_export(path):
        return
    with naming_library(path):
        from polymodal.artifact.run_folder import require_run  # which needs the library of the hub

        require_run(path)


@contextmanager
def naming_library(path: Path) -> Iterator[None]:
    """Name a library that is not installed, which the run in ``path`` needs inside the block.

    Raises:
        ConfigError: With what needs none.
        RunError: If there is no such folder.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library == "polymodal":
            raise
        if not path.is_dir():
            raise RunError(f"{path}: no such folder, expected an export to ONNX, or a run") from None
        reason = f"a run needs {library}, which is not installed; an export of it does not"
        raise ConfigError(f"{path}: {reason}: polymodal export RUN --to onnx") from None
