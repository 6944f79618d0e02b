"""An export read from its folder, of whichever kind it is."""

from __future__ import annotations

import os
from pathlib import Path

from polymodal.errors import ConfigError
from polymodal.runtime.exported_run import ExportedRun
from polymodal.runtime.manifest import Manifest
from polymodal.runtime.onnx_run import OnnxRun
from polymodal.utils.checksums import check_sums


def open_export(folder: str | os.PathLike[str], *, threads: int | None = None) -> ExportedRun:
    """See :func:`polymodal.runtime.load`."""
    path = Path(folder)
    manifest = Manifest.read(path)
    check_sums(path)
    if not manifest.candidates:
        return OnnxRun.of_folder(path, manifest, threads)
    try:
        from polymodal.runtime.blend_run import BlendRun

        return BlendRun.of_folder(path, manifest, threads)
    except ModuleNotFoundError as error:
        reason = f"the plain models of a blend need {error.name}, which is not installed"
        raise ConfigError(f"{reason}: pip install scikit-learn scipy lightgbm") from None
