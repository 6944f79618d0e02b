"""How surely one column follows from another: figures over arrays, in linear time or that of one sort."""

from __future__ import annotations

import numpy as np
import pandas as pd

FEW_CHANGES = 0.01  # of the rows: classes in stretches of a hundred rows
BELOW_CHANCE = 0.1  # of the changes that a random order has

BITS = 20  # that rows which agree by chance would have to get right


def codes_of(labels: np.ndarray) -> np.ndarray:
    """Codes from 0 of ``labels`` ``(rows,)``, in the order in which they first occur."""
    return pd.factorize(labels)[0].astype(np.int64)


def wrong_by_value(values: np.ndarray, classes: np.ndarray) -> tuple[int, int]:
    """Errors in rows of two predictors: the commonest class of each value, and the commonest class of all.

    Args:
        values: Codes ``(rows,)`` from 0.
        classes: Codes ``(rows,)`` from 0.
    """
    width = int(classes.max()) + 1
    pairs, counts = np.unique(values * width + classes, return_counts=True)
    best = np.zeros(int(values.max()) + 1, dtype=np.int64)
    np.maximum.at(best, pairs // width, counts)
    return len(values) - int(best.sum()), len(values) - int(np.bincount(classes).max())


def is_renaming(values: np.ndarray, classes: np.ndarray) -> bool:
    """Whether values and classes map one to one, and enough of them repeat."""
    width = int(classes.max()) + 1
    distinct = int(values.max()) + 1
    if distinct != width or len(np.unique(values * width + classes)) != distinct:
        return False
    repeats = len(values) - distinct
    return repeats * np.log2(distinct) >= BITS


def changes_in_order(numbers: np.ndarray, classes: np.ndarray) -> tuple[int, float]:
    """How often the class changes from row to row where rows are sorted by ``numbers``; how often by chance.

    Rows of equal numbers are in a random order, so that a number of few values does not seem to sort them.

    Args:
        numbers: ``(rows,)``.
        classes: Codes ``(rows,)`` from 0.
    """
    random = np.random.default_rng(0).random(len(numbers))
    ordered = classes[np.lexsort((random, numbers))]
    shares = np.bincount(classes) / len(classes)
    return int((np.diff(ordered) != 0).sum()), (len(classes) - 1) * float(1 - (shares**2).sum())


def separates(numbers: np.ndarray, classes: np.ndarray, *, most: float = FEW_CHANGES) -> int | None:
    """The changes of :func:`changes_in_order` if so few that the order gives the class; else None."""
    changes, expected = changes_in_order(numbers, classes)
    needed = int(classes.max())  # each class has a stretch at least
    few = changes - needed <= most * len(numbers) and changes - needed + 1 <= BELOW_CHANCE * expected
    return changes if few else None


def explained(values: np.ndarray, numbers: np.ndarray) -> float:
    """The share of the variance of ``numbers`` that lies between the values: R² of the mean of each value."""
    counts = np.bincount(values)
    means = np.bincount(values, weights=numbers) / np.maximum(counts, 1)
    total = float(((numbers - numbers.mean()) ** 2).sum())
    return 1 - float(((numbers - means[values]) ** 2).sum()) / total if total else 0.0


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's; 0 where one of them is constant."""
    x, y = ranks(x), ranks(y)
    spread = x.std() * y.std()
    return float(np.mean((x - x.mean()) * (y - y.mean())) / spread) if spread else 0.0


def dependence(x: np.ndarray, y: np.ndarray) -> float:
    """How far ``y`` is a function of ``x``, monotone or not: 1 if it is, about 0 if they are independent.

    The coefficient ξ of Chatterjee (2021), with ties, over what it is at most for so many rows.
    """
    rows = len(x)
    random = np.random.default_rng(0).random(rows)
    _, index, counts = np.unique(y, return_inverse=True, return_counts=True)
    below = np.cumsum(counts)  # rows of at most each value
    order = index[np.lexsort((random, x))]
    above = rows - below + counts  # rows of at least each value
    spread = 2 * float((above * (rows - above) * counts).sum()) / rows
    if not spread:
        return 0.0
    at_best = float(np.abs(np.diff(below)).sum()) / spread
    return (1 - float(np.abs(np.diff(below[order])).sum()) / spread) / (1 - at_best) if at_best < 1 else 0.0


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share their mean rank (Spearman)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
