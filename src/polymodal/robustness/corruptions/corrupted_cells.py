"""One input's cells: decoded once, corrupted at every level, and each time read like any cell.

Corruption happens before the reader, so that a checkpoint's own image processor or feature extractor sees a
corrupted cell and not a corrupted tensor. A corrupted value is passed to the reader in place of a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from polymodal.data.media.path_access import Root
from polymodal.data.readers import Reader
from polymodal.data.readers.frozen_reader import FrozenReader
from polymodal.data.readers.items import each_item
from polymodal.robustness.corruptions.base import CORRUPTIONS, CellCorruptions, Corruption


def corruptions_of(reader: Reader) -> tuple[Corruption, ...]:
    """The corruptions of the cells of ``reader``; none where they are not supported for its modality."""
    return CellReader(reader).cells.corruptions()


class CellReader:
    """Reads cells of one input in two steps, between which they may be corrupted.

    Without a corruption both steps give what the reader gives, save for pictures larger than a checkpoint
    sees, which are shrunk first.

    Args:
        reader: Of the input.
    """

    def __init__(self, reader: Reader) -> None:
        self.frozen = reader if isinstance(reader, FrozenReader) else None
        self.reader = reader.reader if isinstance(reader, FrozenReader) else reader
        self.cells = CORRUPTIONS.get(self.reader.modality, CellCorruptions)(self.reader.main)

    def decode(self, cell: Any, root: Root) -> list[Any]:
        """The decoded items of a cell; see :class:`CellCorruptions` of its modality.

        Raises:
            MediaError: If it cannot be read.
        """
        return [self.cells.decode(item, root) for _, item in each_item(cell, self.reader.modality)]

    def read(self, values: Sequence[list[Any]]) -> list[list[Any]]:
        """The values that the reader keeps of decoded items, row by row."""
        kept = [[self.reader.read(self.cells.as_cell(value), None) for value in items] for items in values]
        if self.frozen is None:
            return kept
        flat = [item for items in kept for item in items]
        step = self.frozen.BATCH
        parts = [self.frozen.encode(flat[start : start + step]) for start in range(0, len(flat), step)]
        encoded = iter([array for part in parts for array in part])
        return [[next(encoded) for _ in items] for items in kept]
