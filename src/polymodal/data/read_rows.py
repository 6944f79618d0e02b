"""Rows that were read already, where an analysis takes those of a table. None of it needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from polymodal.data.row_dataset import RowDataset
from polymodal.data.row_processor import Row, RowProcessor
from polymodal.data.tables.table import Table

P = TypeVar("P", bound=RowProcessor)


class ReadRows(RowDataset[P]):
    """Rows that a processor read, one by one.

    Args:
        read: What it kept of each row.
        processor: That read them.
        table: Their cells, for an analysis that shows them.
    """

    def __init__(self, read: Sequence[Row], processor: P, table: Table | None = None) -> None:
        self.read = [{**row, "index": index} for index, row in enumerate(read)]
        self.processor, self.skip, self.weights = processor, False, None
        self.numbers = range(len(read))
        if table is not None:
            self.table = table

    def __len__(self) -> int:
        return len(self.read)

    def __getitems__(self, indices: Sequence[int]) -> list[Row]:
        """See :class:`RowDataset`."""
        return [self.read[int(index)] for index in indices]
