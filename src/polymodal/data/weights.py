"""``data.sample_weight``: the column with the weight of each row, read and checked."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from polymodal.data.checks.split_view import Parts
from polymodal.data.tables.table import Table
from polymodal.data.values.column_values import parse_numbers
from polymodal.errors import DataError, Problem, did_you_mean

SMALLEST, LARGEST = 1e-18, 1e18
"""Between these float32 holds a weight, and the sum of its products with losses."""
EXPECTED = f"0, or a number from {SMALLEST:g} to {LARGEST:g}"
CURE = "Correct the cell; 0 lets the row count nothing."


def read_weights(table: Table, column: str) -> tuple[np.ndarray, dict[int, str]]:
    """The weight of each row of ``table``, and the cells that hold none.

    Returns:
        ``weights (rows,)`` float64, 0 where the cell holds none, and by index of such a row a
        description of its cell.

    Raises:
        KeyError: If there is no such column.
    """
    values = table.values(column)
    numbers, bad = parse_numbers(values)
    is_weight = (numbers == 0) | ((numbers >= SMALLEST) & (numbers <= LARGEST))
    is_weight[bad] = False
    wrong, unread = np.flatnonzero(~is_weight), set(bad.tolist())
    cells = values.take(wrong).to_pylist()
    invalid = {
        index: "an empty cell" if np.isnan(numbers[index]) and index not in unread else repr(cell)
        for index, cell in zip(wrong.tolist(), cells, strict=True)
    }
    return np.where(is_weight, numbers, 0.0), invalid


def weight_problem(file: str, row: int, column: str, found: str) -> Problem:
    """The problem of the weight of row ``row``, counted from 0."""
    return Problem(file=file, row=row + 1, column=column, found=found, expected=EXPECTED, cure=CURE)


def require_weights(table: Table, column: str) -> None:
    """Refuse a table without the column of weights.

    Raises:
        DataError: If there is no such column.
    """
    if column not in table.columns:
        reason, fix = f"no column '{column}' of weights", did_you_mean(column, table.columns)
        raise DataError(Problem(file=table.name, found=reason, cure=fix))


def check_weights(parts: Parts, column: str, targets: Iterable[str]) -> tuple[list[Problem], list[Problem]]:
    """Problems and warnings of the column of weights, in all splits.

    That no known row of a target counts is a problem in training and validation, and a warning in the test.
    """
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for split in parts.having(column):
        weights, invalid = read_weights(parts.tables[split], column)
        problems += [
            parts.problem(split, index, column, what, expected=EXPECTED, cure=CURE)
            for index, what in invalid.items()
        ]
        if invalid:
            continue
        if not weights.any():
            nothing = f"the weights of all {len(weights)} {split} rows are 0"
            fix = "Give some of them a weight above 0."
            problems.append(parts.problem(split, None, column, nothing, expected="rows that count", cure=fix))
            continue
        (warnings if split == "test" else problems).extend(_uncounted(parts, split, column, weights, targets))
    return problems, warnings


def _uncounted(
    parts: Parts, split: str, column: str, weights: np.ndarray, targets: Iterable[str]
) -> list[Problem]:
    """A problem for every target of which no row of a split counts."""
    problems = []
    for name in targets:
        known = ~parts.empty(split, name) if name in parts.tables[split].columns else np.zeros(0, dtype=bool)
        if known.any() and not weights[known].any():
            reason = f"no {split} row with an answer has a weight above 0"
            fix = f"Give some of them one in the column '{column}'."
            problems.append(parts.problem(split, None, name, reason, cure=fix))
    return problems


def describe_weights(parts: Parts, column: str) -> str:
    """The range of the weights in words; nothing where a cell holds none."""
    read = [read_weights(parts.tables[split], column) for split in parts.having(column)]
    weights = np.concatenate([weights for weights, _ in read])
    if any(invalid for _, invalid in read) or not weights.any():
        return ""
    positive = weights[weights > 0]
    zeros = f", {len(weights) - len(positive):,} rows are 0" if len(positive) < len(weights) else ""
    return f"{positive.min():g} to {positive.max():g}{zeros}"
