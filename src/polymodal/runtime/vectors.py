"""Pretrained encoders of plain models: cells to the vectors that these are fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from polymodal.data.readers import Reader
from polymodal.data.row_processor import items_of
from polymodal.runtime.array_processor import ArrayProcessor
from polymodal.runtime.manifest import Manifest
from polymodal.runtime.onnx_run import open_session

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class Vectors:
    """The encoders of some inputs, in one model.

    Args:
        manifest: What it takes.
        processor: Reads cells for it.
        session: Computes.
    """

    def __init__(self, manifest: Manifest, processor: ArrayProcessor, session: InferenceSession) -> None:
        self.manifest, self.processor, self.session = manifest, processor, session
        self.taken = {each.name for each in session.get_inputs()}

    @classmethod
    def of_folder(cls, folder: Path, threads: int | None) -> Self:
        """The encoders in a folder whose files were checked.

        Raises:
            RunError: If a file is missing or damaged.
        """
        manifest = Manifest.read(folder)
        return cls(manifest, ArrayProcessor.of_export(folder, manifest), open_session(folder, threads))

    @property
    def readers(self) -> dict[str, Reader]:
        """By input what reads its cells."""
        return self.processor.readers

    def of_rows(self, cells: Sequence[Mapping[str, Any]]) -> dict[str, list[list[np.ndarray]]]:
        """By input, per row the vector of each item.

        Args:
            cells: By input what its reader kept, of each row.
        """
        made: dict[str, list[list[np.ndarray]]] = {name: [] for name in self.readers}
        for part in self.processor.batches(cells):
            feeds = self.processor.feeds(self.manifest.inputs, part)
            taken = {name: array for name, array in feeds.items() if name in self.taken}
            for name, vectors in zip(self.readers, self.session.run(None, taken), strict=True):
                left = iter(vectors)
                made[name] += [[next(left) for _ in items_of(row[name])] for row in part]
        return made
