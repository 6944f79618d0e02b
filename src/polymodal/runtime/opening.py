"""An export read from its folder, of whichever kind it is."""

from __future__ import annotations

import os
from pathlib import Path

from polymodal.errors import ConfigError
from polymodal.runtime.exported_run import ExportedRun
from polymodal.runtime.manifest import FILE, Manifest
from polymodal.runtime.onnx_run import OnnxRun
from polymodal.utils.checksums import check_sums


def is_export(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds an export, complete or not."""
    return (Path(folder) / FILE).is_file()


def open_export(folder: str | os.PathLike[str], *, threads: int | None = None) -> ExportedRun:
    """See :func:`polymodal.runtime.load`."""
    path = Path(folder)
    manifest = Manifest.read(path)
    check_sums(path)
    try:
        if not manifest.candidates:
            return OnnxRun.of_folder(path, manifest, threads)
        from polymodal.runtime.blend_run import BlendRun

        return BlendRun.of_folder(path, manifest, threads)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise ConfigError(f"{path}: needs {package}, which is not installed: pip install {package}") from None
