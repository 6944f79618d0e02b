"""Which rows a run keeps: few, with all classes and all missing inputs among them where there are such."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from polymodal.data.tables.table import Table
from polymodal.data.values.column_values import as_label

LOOKED_AT = 500
"""Rows among which they are chosen, evenly spaced."""


def row_order(table: Table, inputs: Sequence[str], targets: Sequence[str]) -> Iterator[int]:
    """Indices of rows in the order in which to keep them: each adds most that those before it lack.

    What a row has are the values of its targets that are no numbers, and for each input whether it is
    missing. Of rows that add equally much the first one is next.

    Args:
        table: The rows.
        inputs: Columns.
        targets: Columns.
    """
    looked = np.unique(np.linspace(0, len(table) - 1, min(len(table), LOOKED_AT)).astype(int))
    marks = _marks(table.select(looked), inputs, targets)
    left, seen = list(range(len(looked))), set[tuple[str, object]]()
    while left:
        best = max(left, key=lambda index: (len(marks[index] - seen), -index))
        left.remove(best)
        seen |= marks[best]
        yield int(looked[best])


def _marks(table: Table, inputs: Sequence[str], targets: Sequence[str]) -> list[set[tuple[str, object]]]:
    """What each row has."""
    marks: list[set[tuple[str, object]]] = [set() for _ in range(len(table))]
    for name in inputs:
        held = table.values(name).is_valid().to_pylist() if table.has(name) else [False] * len(table)
        for own, is_there in zip(marks, held, strict=True):
            own.add((name, is_there))
    for name in targets:
        for own, cell in zip(marks, table.values(name).to_pylist(), strict=True):
            if isinstance(cell, float):
                own.add((name, cell == cell))
            else:
                own |= {(name, as_label(each)) for each in (cell if isinstance(cell, list) else [cell])}
    return marks
