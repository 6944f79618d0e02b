"""An export read from its folder, of whichever kind it is."""

from __future__ import annotations

import os
from pathlib import Path

from polymodal.errors import ConfigError, RunError
from polymodal.runtime.exported_run import ExportedRun
from polymodal.runtime.manifest import FILE, Manifest
from polymodal.runtime.onnx_run import OnnxRun
from polymodal.utils.checksums import CHECKSUMS, check_sums, refuse_pipes
from polymodal.utils.json_files import read_json
from polymodal.utils.libraries import missing_library


def is_export(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds an export, complete or not."""
    return (Path(folder) / FILE).is_file()


def open_export(folder: str | os.PathLike[str], *, threads: int | None = None) -> ExportedRun:
    """See :func:`polymodal.runtime.load`."""
    path = Path(folder)
    manifest = Manifest.read(path)
    check_files(path)
    try:
        if not manifest.candidates:
            return OnnxRun.of_folder(path, manifest, threads)
        from polymodal.runtime.blend_run import BlendRun

        return BlendRun.of_folder(path, manifest, threads)
    except ModuleNotFoundError as error:
        missing = missing_library(error)
        if missing is None:
            raise
        package, install = missing
        raise ConfigError(f"{path}: needs {package}, which is not installed: {install}") from None


def check_files(folder: Path) -> None:
    """Check an export, which may be a stranger's.

    It has no pipes, no links out of it, and no file that its checksums do not have.

    The blobs of the hub's cache, where an export may have been downloaded to, are not outside.

    Raises:
        RunError: Naming the file.
    """
    paths = sorted(folder.rglob("*"))
    refuse_pipes(paths)
    check_sums(folder)
    sums = folder / CHECKSUMS
    listed = read_json(sums)["sha256"] if sums.is_file() else None
    whole = folder.resolve()
    inside = [whole, *([whole.parent.parent / "blobs"] if whole.parent.name == "snapshots" else [])]
    for path in paths:
        if path.is_symlink() and not any(path.resolve().is_relative_to(root) for root in inside):
            raise RunError(f"{path}: is a link out of the export, to {os.readlink(path)}. Copy the file")
        name = path.relative_to(folder).as_posix()
        if listed is not None and path.is_file() and name not in {*listed, CHECKSUMS}:
            fix = f"Copy the export again, or delete {CHECKSUMS} if you changed the file yourself"
            raise RunError(f"{folder}: {name} is not in {CHECKSUMS}. {fix}")
