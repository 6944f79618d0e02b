"""Rows of an Arrow table in any order: chosen and picked without copying the columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

AT_ONCE = 50_000
"""Rows of a column that are taken at once: the texts of very many exceed the 32-bit offsets of one array."""


@dataclass(frozen=True)
class ArrowRows:
    """Some rows of a table, in some order.

    Attributes:
        whole: The table; it may be mapped from a file.
        indices: ``(rows,)`` int64, which rows of it; None for all.
    """

    whole: pa.Table
    indices: np.ndarray | None = None

    def __reduce__(self) -> tuple[type[ArrowRows], tuple[pa.Table, np.ndarray | None]]:
        return ArrowRows, (self.whole, self.indices)  # without what is cached

    def __len__(self) -> int:
        return self.whole.num_rows if self.indices is None else len(self.indices)

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order."""
        return self.whole.column_names

    def kind(self, column: str) -> pa.DataType:
        """The type of a column's cells."""
        return self.whole.schema.field(column).type

    def select(self, rows: np.ndarray) -> ArrowRows:
        """The rows at these indices only, in this order."""
        if len(rows) and not (-len(self) <= rows.min() and rows.max() < len(self)):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        held = np.arange(len(self)) if self.indices is None else self.indices
        return ArrowRows(self.whole, held[rows])

    def select_columns(self, columns: Sequence[str]) -> ArrowRows:
        """The rows with these columns only."""
        return ArrowRows(self.whole.select(columns), self.indices)

    def column(self, name: str) -> pa.ChunkedArray:
        """All cells of a column.

        Raises:
            KeyError: If there is no such column.
        """
        whole = self.whole.column(name)
        if self.indices is None:
            return whole
        starts = range(0, len(self.indices), AT_ONCE)
        blocks = [whole.take(pa.array(self.indices[start : start + AT_ONCE])) for start in starts]
        return pa.chunked_array([chunk for block in blocks for chunk in block.chunks], type=whole.type)

    def cells(self, rows: Iterable[int]) -> dict[str, list[Any]]:
        """The cells of the rows at these places, by column, as plain Python values."""
        return self._picked(rows).to_pydict()

    def rows(self, rows: Iterable[int]) -> Iterator[dict[str, Any]]:
        """The rows at these indices as dicts of plain Python values."""
        yield from self._picked(rows).to_pylist()

    @cached_property
    def _batches(self) -> tuple[list[pa.RecordBatch], np.ndarray]:
        """The table's batches, and the row at which each begins."""
        batches = [batch for batch in self.whole.to_batches() if len(batch)]
        return batches, np.cumsum([0, *map(len, batches)])

    def _picked(self, rows: Iterable[int]) -> pa.Table:
        """The rows at these indices. Unlike Arrow's ``take`` it never joins the chunks of a column."""
        indices = np.fromiter(rows, dtype=np.int64)
        if len(indices) and not (-len(self) <= indices.min() and indices.max() < len(self)):
            raise IndexError(f"rows {indices.min()} to {indices.max()} of {len(self)}")
        indices = indices % max(1, len(self))
        indices = indices if self.indices is None else self.indices[indices]
        batches, begins = self._batches
        held = np.searchsorted(begins, indices, side="right") - 1
        starts = np.flatnonzero(np.r_[True, (np.diff(indices) != 1) | (np.diff(held) != 0)])[: len(indices)]
        runs = zip(starts.tolist(), np.diff([*starts, len(indices)]).tolist(), strict=True)
        slices = [
            batches[held[start]].slice(int(indices[start] - begins[held[start]]), length)
            for start, length in runs
        ]
        return pa.Table.from_batches(slices, schema=self.whole.schema)
