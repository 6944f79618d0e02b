"""A column's values as subgroups of the rows: its commonest values, or the quarters of its numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from polymodal.data.tables.table import Table
from polymodal.data.values.amounts import find_format
from polymodal.data.values.column_values import as_label, as_labels, holds_objects, holds_texts, parse_numbers
from polymodal.errors import DataError, Problem, did_you_mean, one_line

EMPTY = "(empty)"
MOST_VALUES = 20
"""Subgroups of a column that are shown and compared; the rest is counted together."""
MOST_NUMBERS = 12
"""A column of more distinct numbers is cut into quarters."""
LONGEST = 80


@dataclass(frozen=True)
class Partition:
    """The rows by the values of a column.

    Attributes:
        names: Of the subgroups.
        codes: ``(rows,)`` which of them each row belongs to.
        rest: Which of them holds all the values that are not shown one by one; None where all are.
        kind: ``values``, or ``numbers`` that were cut into quarters.
        distinct: Different values of the column, emptiness not counted.
        note: A line on what is not as one might expect, or None.
    """

    names: list[str]
    codes: np.ndarray
    rest: int | None
    kind: str
    distinct: int
    note: str | None


def subgroup_columns(table: Table, names: Iterable[str], rows: np.ndarray) -> dict[str, pa.ChunkedArray]:
    """The cells of some columns of a table.

    Args:
        table: Any column of it will do, whether the model reads it or not.
        names: Of the columns.
        rows: ``(rows,)`` places in the table.

    Raises:
        DataError: If there is no such column, or its cells are pictures, recordings or records: every one.
    """
    names = list(dict.fromkeys(name.strip() for name in names))
    problems = []
    for name in names:
        if name not in table.columns:
            fix = did_you_mean(name, table.columns)
            problems.append(Problem(file=table.name, found=f"no column '{name}' to compare by", cure=fix))
        elif holds_objects(kind := table.data.kind(name)) and not holds_texts(kind):
            expected = "texts, categories or numbers to compare by"
            problems.append(
                Problem(file=table.name, column=name, found=f"cells of {kind}", expected=expected)
            )
    if problems:
        raise DataError(problems)
    return {name: table.values(name).take(pa.array(rows)) for name in names}


def partition(values: Any, most: int = MOST_VALUES) -> Partition:
    """The subgroups of a column.

    Args:
        values: Cells, ``(rows,)``: of Arrow, pandas, NumPy or a list. Numbers may be written as text.
        most: Number of values that have a subgroup of their own.

    Returns:
        Values by the number of their rows, the commonest first, or quarters in ascending order; then
        ``(empty)``, and last the other values together.
    """
    cells = _as_arrow(values)
    numbers, bad = parse_numbers(cells)
    if len(bad):
        numbers, bad = parse_numbers(cells, find_format(cells))
    distinct = len(np.unique(numbers[~np.isnan(numbers)]))
    if not len(bad) and distinct > MOST_NUMBERS:
        return _quarters(numbers, distinct)
    return _values(as_labels(cells), most)


def _as_arrow(values: Any) -> pa.ChunkedArray:
    if isinstance(values, pa.ChunkedArray):
        return values
    try:
        made = pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # cells of several kinds
        made = pa.array([as_label(value) for value in values], pa.string())
    return made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])


def _values(labels: np.ndarray, most: int) -> Partition:
    counts = pd.Series(labels, dtype=object).value_counts(sort=False)  # in the order of their first row
    counts = counts[counts.index != ""].sort_values(ascending=False, kind="stable")
    shown = list(counts.index[:most])
    index = {label: number for number, label in enumerate(shown)}
    names = [one_line(label, LONGEST) for label in shown]
    others, note = len(counts) - len(shown), None
    if (labels == "").any():
        index[""] = len(names)
        names.append(EMPTY)
    rest = len(names) if others else None
    if rest is not None:
        names.append(f"({others:,} other value{'s' * (others > 1)})")
        note = (
            f"{len(counts):,} different values: the {most} commonest are shown and compared, "
            "the others counted together"
        )
    elif len(names) == 1:
        what = "every cell is empty" if not len(counts) else f"every cell is '{names[0]}'"
        note = f"{what}: there is nothing to compare"
    codes = np.array([index.get(label, rest) for label in labels], dtype=np.int64)
    return Partition(names, codes, rest, "values", len(counts), note)


def _quarters(numbers: np.ndarray, distinct: int) -> Partition:
    """Numbers cut at their quartiles, each bound belonging to the lower part; fewer parts where they tie."""
    filled = np.unique(numbers[~np.isnan(numbers)])
    quartiles = np.nanquantile(numbers, [0.25, 0.5, 0.75], method="lower")
    # A bound that is the largest number has nothing above it.
    bounds = np.unique(np.minimum(quartiles, filled[-2]))
    texts = _written(bounds)
    names = [f"up to {texts[0]}"]
    names += [f"over {low} up to {high}" for low, high in pairwise(texts)]
    names.append(f"over {texts[-1]}")
    codes = np.searchsorted(bounds, numbers, side="left")
    empty = np.isnan(numbers)
    if empty.any():
        codes[empty] = len(names)
        names.append(EMPTY)
    parts = {4: "quarters", 3: "three parts", 2: "two parts"}[len(bounds) + 1]
    note = f"{distinct:,} different numbers, cut at their quartiles into {parts}"
    return Partition(names, codes, None, "numbers", distinct, note)


def _written(bounds: np.ndarray) -> list[str]:
    """Numbers with the fewest digits that distinguish them."""
    for digits in range(4, 17):
        texts = [f"{bound:.{digits}g}" for bound in bounds]
        # Whole numbers up to six digits are written out: 12345 rather than 1.234e+04.
        texts = [
            f"{bound:.0f}" if bound == round(bound) and abs(bound) < 1e6 else text
            for bound, text in zip(bounds, texts, strict=True)
        ]
        if len(set(texts)) == len(texts):
            return texts
    return [repr(float(bound)) for bound in bounds]
