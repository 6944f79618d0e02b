"""The training cells from which a reader learns its scale, size or vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from polymodal.data.media.cells import MediaError, filled_items
from polymodal.data.media.path_access import Root
from polymodal.data.tables.table import each_cell

if TYPE_CHECKING:
    import pyarrow as pa

    from polymodal.config import InputConfig
    from polymodal.data.tables.table import Table

SAMPLE = 256
"""Cells whose headers are read to choose a size and a length."""
T = TypeVar("T")


@dataclass(frozen=True)
class TrainingColumns:
    """Columns of one modality and of equal settings, which one reader reads.

    Attributes:
        table: The training split.
        names: The columns.
        config: Their settings.
        split: Of their reader; see :meth:`polymodal.data.readers.base.Reader.split_items`.
        held_by: Training rows that each value a run folder keeps has to be the mean of.
    """

    table: Table
    names: Sequence[str]
    config: InputConfig
    split: Callable[[Any], list[Any] | None]
    held_by: int = 1

    @property
    def checkpoint(self) -> str | None:
        """The pretrained encoder of the columns, if they have one."""
        return self.config.encoder.checkpoint if self.config.encoder else None

    @property
    def sizes(self) -> dict[str, Any]:
        """The sizes declared for the encoder."""
        return self.config.encoder.sizes if self.config.encoder else {}

    @property
    def values(self) -> pa.ChunkedArray:
        """The cells of the first column: of a modality whose columns share no encoder, the only one."""
        return self.table.values(self.names[0])

    def items(self) -> Iterator[Any]:
        """The items in all cells of all columns."""
        for name in self.names:
            for cell in each_cell(self.table.values(name)):
                yield from (item for _, item in filled_items(cell, self.split))

    def measured(self, measure: Callable[[Any, Root], T]) -> Iterator[T]:
        """The results of ``measure`` for a sample of the items; the check names those that cannot be read."""
        for name in self.names:
            step = max(1, len(self.table) // SAMPLE)
            for row in range(0, len(self.table), step):
                for _, item in filled_items(self.table.row(row)[name], self.split):
                    try:
                        yield measure(item, self.table.root)
                    except MediaError:
                        continue
