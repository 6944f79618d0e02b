"""An export of one neural model: computed by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from polymodal.errors import ConfigError, RunError
from polymodal.runtime.array_processor import ArrayProcessor
from polymodal.runtime.exported_run import Cells, ExportedRun
from polymodal.runtime.manifest import FILE, MODEL, Manifest

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class OnnxRun(ExportedRun):
    """The model of an export with its readers and decoders.

    Args:
        folder: Where it lies.
        manifest: What it holds.
        processor: Reads rows.
        session: Computes.

    Raises:
        RunError: If the session is of another model.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, processor: ArrayProcessor, session: InferenceSession
    ) -> None:
        super().__init__(folder, manifest, processor.targets)
        self.processor, self.session = processor, session
        entries = enumerate(manifest.inputs)
        expected = [f"{number}.{name}" for number, entry in entries for name in entry.names]
        if [each.name for each in session.get_inputs()] != expected:
            raise RunError(f"{folder}: {MODEL} and {FILE} are of different exports. Export again")

    @classmethod
    def of_folder(cls, folder: Path, manifest: Manifest, threads: int | None = None) -> Self:
        """The model in a folder whose files were checked."""
        processor = ArrayProcessor.of_export(folder, manifest)
        return cls(folder, manifest, processor, open_session(folder, threads))

    @property
    def reading(self) -> ArrayProcessor:
        """See :class:`ExportedRun`."""
        return self.processor

    def logits(self, cells: Cells) -> dict[str, np.ndarray]:
        """See :class:`ExportedRun`."""
        inputs = self.manifest.inputs
        made = [
            self.session.run(None, self.processor.feeds(inputs, part))
            for part in self.processor.batches(cells)
        ]
        return dict(zip(self.decoders, map(np.concatenate, zip(*made, strict=True)), strict=True))


def open_session(folder: Path, threads: int | None) -> InferenceSession:
    """The session of an export's model.

    Raises:
        ConfigError: If onnxruntime is not installed.
        RunError: If the file is missing or damaged.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":  # a library that onnxruntime imports
            raise
        raise ConfigError("an export is answered by onnxruntime: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    try:
        return onnxruntime.InferenceSession(str(folder / MODEL), options, ["CPUExecutionProvider"])
    except Exception as error:  # its classes of errors share no base
        reason = str(error).split("\n")[0]
        raise RunError(f"{folder}: {MODEL} cannot be read ({reason}). Export again") from None
