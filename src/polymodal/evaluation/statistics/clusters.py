"""Cluster ids of rows that share a file or group value, for the cluster bootstrap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from polymodal.data.cache.memory import cell_key
from polymodal.data.readers.base import is_media
from polymodal.data.readers.items import each_item
from polymodal.data.tables.table import Table, each_cell
from polymodal.data.values.column_values import as_labels
from polymodal.errors import DataError, Problem, did_you_mean


def row_groups(
    table: Table, modalities: Mapping[str, str], column: str | None = None
) -> tuple[np.ndarray, str]:
    """The cluster of each row, and a description of the clusters.

    A cluster has the rows with one value of ``column``, or, without a column, the rows that are connected by
    a common image, recording, clip or sequence.

    Args:
        table: The rows.
        modalities: The modality of each input.
        column: Column of the groups; a row with an empty cell is its own cluster.

    Returns:
        ``(rows,)`` cluster ids, and a description such as ``rows that share a value of speaker``; empty where
        every row is its own cluster.

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
    from scipy.sparse import coo_array  # not needed to check the column of groups
    from scipy.sparse.csgraph import connected_components

    groups = connected_components(coo_array(edges, shape=(size, size)), directed=False)[1][:count]
    return groups, f"rows that share a file of {' or '.join(shared)}" if shared else ""


def check_group(table: Table, column: str | None) -> None:
    """Check that the group column exists, if one is named.

    Raises:
        DataError: If there is no such column.
    """
    if column is not None and column not in table.columns:
        fix = did_you_mean(column, table.columns)
        raise DataError(Problem(file=table.name, found=f"no column '{column}' to group by", cure=fix))


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
    """Pairs of row and item as two lists of numbers, and the inputs in which rows share items."""
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
        if any(len(result) > 1 for result in having.values()):
            shared.append(f"'{name}'")
    return rows, items, shared
