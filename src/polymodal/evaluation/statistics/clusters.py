"""Which rows hang together, so that they are no independent witnesses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from polymodal.data.cache.memory import cell_key
from polymodal.data.readers.base import is_media
from polymodal.data.readers.items import each_item
from polymodal.data.tables.table import Table, each_cell
from polymodal.data.values.column_values import as_labels
from polymodal.errors import DataError, Problem, did_you_mean


def row_groups(
    table: Table, modalities: Mapping[str, str], column: str | None = None
) -> tuple[np.ndarray, str]:
    """What each row belongs to, and in words what makes a group.

    Rows belong together that have the same value of ``column``, or, where none is named, that share a
    picture, recording, clip or sequence, be it by way of other rows.

    Args:
        table: The rows.
        modalities: Of the inputs.
        column: Whose equal values make a group; an empty cell is alone.

    Returns:
        ``(rows,)`` numbers of groups, and such as ``rows that share a value of speaker``; empty where every
        row stands by itself.

    Raises:
        DataError: If there is no such column.
    """
    if column is not None:
        check_group(table, column)
        return _by_value(table, column), f"rows of one '{column}'"
    media = [name for name, kind in modalities.items() if is_media(kind) and name in table.columns]
    rows, items, shared = _items(table, modalities, media)
    count, size = len(table), len(table) + len(items)
    edges = np.ones(len(rows)), (np.array(rows, dtype=int), np.array(items, dtype=int) + count)
    groups = connected_components(coo_array(edges, shape=(size, size)), directed=False)[1][:count]
    return groups, f"rows that share a file of {' or '.join(shared)}" if shared else ""


def check_group(table: Table, column: str | None) -> None:
    """See that rows can be grouped by a column, where one is named.

    Raises:
        DataError: If there is no such column.
    """
    if column is not None and column not in table.columns:
        cure = did_you_mean(column, table.columns)
        raise DataError(Problem(file=table.name, found=f"no column '{column}' to group by", cure=cure))


def _by_value(table: Table, column: str) -> np.ndarray:
    labels = [
        ("value", label) if label else ("alone", str(row))
        for row, label in enumerate(as_labels(table.values(column)))
    ]
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], dtype=np.int64)


def _items(
    table: Table, modalities: Mapping[str, str], names: list[str]
) -> tuple[list[int], list[int], list[str]]:
    """Which row has which item, as two lists of numbers, and the inputs in which several rows have one."""
    rows: list[int] = []
    items: list[int] = []
    shared: list[str] = []
    known: dict[object, int] = {}
    for name in names:
        having: dict[int, set[int]] = defaultdict(set)
        for row, cell in enumerate(each_cell(table.values(name))):
            for _, item in each_item(cell, modalities[name]):
                key = cell_key(item)
                number = known.setdefault((name, len(items)) if key is None else (name, key), len(known))
                rows.append(row)
                items.append(number)
                having[number].add(row)
        if any(len(found) > 1 for found in having.values()):
            shared.append(f"'{name}'")
    return rows, items, shared
