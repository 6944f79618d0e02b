"""Folders that can be served: runs, and exports to ONNX, which need no library of training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polymodal.errors import ConfigError, RunError
from polymodal.runtime.opening import is_export
from polymodal.utils.libraries import missing_library


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
        ConfigError: With the command that installs it.
        RunError: If there is no such folder.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = missing_library(error)
        if missing is None:
            raise
        if not path.is_dir():
            raise RunError(f"{path}: no such folder, expected an export to ONNX, or a run") from None
        package, install = missing
        reason = f"the run needs {package}, which is not installed: {install}"
        fix = "An export of it may do without: polymodal export RUN --to onnx"
        raise ConfigError(f"{path}: {reason}. {fix}") from None
