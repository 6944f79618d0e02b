"""Parsing of single numbers, and the scale of a column of numbers."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np

from polymodal.data.media.cells import MediaError, describe
from polymodal.data.values.column_values import LARGEST, as_label, number_in


def mean_and_deviation(known: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """Mean and standard deviation of ``known`` ``(rows,)``; the deviation is 1 where all are equal.

    Rounding would give equal numbers a tiny deviation instead of zero. ``weights`` ``(rows,)`` weight the
    numbers; by default equally.
    """
    if weights is None:
        mean, deviation = float(known.mean()), float(known.std())
    else:
        mean = float(np.average(known, weights=weights))
        deviation = float(np.sqrt(np.average((known - mean) ** 2, weights=weights)))
    return mean, deviation if deviation > 1e-12 * abs(mean) else 1.0


def bounded(numbers: np.ndarray, rows: int) -> np.ndarray:
    """``numbers`` ``(rows,)`` limited to the means of the ``rows`` lowest and highest; NaN for too few."""
    known = np.sort(numbers[np.isfinite(numbers)])
    if len(known) < 2 * rows:
        return np.full(len(numbers), np.nan)
    return np.clip(numbers, known[:rows].mean(), known[-rows:].mean())


def held_edges(known: np.ndarray, bins: int, rows: int) -> np.ndarray:
    """Edges of quantile bins, each the mean of ``rows`` neighbouring numbers of ``known`` ``(rows,)``."""
    ordered = np.sort(known)
    if len(ordered) < 2 * rows:
        return np.zeros(0)
    centres = np.linspace(0, len(ordered) - 1, min(bins, len(ordered) // rows) + 1)
    starts = np.clip(np.round(centres - rows / 2), 0, len(ordered) - rows).astype(int)
    return np.unique([ordered[start : start + rows].mean() for start in starts])


def read_number(cell: Any, written: str | None = None) -> float:
    """The number in a cell, NaN where the cell is empty.

    Args:
        cell: A number, or the text of one.
        written: How the column's texts write the number 1234.5, where not plainly.

    Raises:
        MediaError: If it holds something else.
    """
    if isinstance(cell, str):
        number = number_in(cell, written)
    elif isinstance(cell, bool | int | float | Decimal | np.number | np.bool_):
        number = math.inf if isinstance(cell, int) and abs(cell) > 1e308 else float(cell)
    else:
        number = math.inf if as_label(cell) else math.nan
    if abs(number) > LARGEST:
        result = str(cell) if isinstance(cell, int | float) else describe(cell)
        expected = f"a number, written as {written}" if written else "a number"
        fix = "Write the number alone, or leave it empty"
        raise MediaError(found=f"'{result}'", expected=expected, cure=fix)
    return number
