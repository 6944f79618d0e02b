"""Answers of an export without torch and Transformers: ``polymodal.runtime.load(folder).predict(rows)``.

``polymodal export RUN --to onnx`` writes the folder. Reading and answering take numpy, onnxruntime,
tokenizers, pillow and av (soxr for recordings); importing this module takes none of them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polymodal.runtime.exported_run import ExportedRun

__all__ = ["load"]


def load(folder: str | os.PathLike[str], *, threads: int | None = None) -> ExportedRun:
    """The run in an exported folder, ready to answer.

    Args:
        folder: What ``polymodal export RUN --to onnx`` wrote.
        threads: Threads that it computes with; by default as many as there are cores.

    Raises:
        RunError: If the folder is no such export, or damaged.
        ConfigError: If a library that it needs is not installed.
    """
    from polymodal.runtime.opening import open_export

    return open_export(folder, threads=threads)
