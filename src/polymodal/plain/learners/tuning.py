"""Settings of a learner chosen on held-out rows: inner folds, and the loss on them."""

from __future__ import annotations

import numpy as np

from polymodal.plain.learners.goal import Goal

Fold = tuple[np.ndarray, np.ndarray]
"""Indices of the rows to fit to, and of those held out."""


def inner_folds(goal: Goal, seed: int, count: int) -> list[Fold]:
    """Folds over the rows of a goal, as many as ``count``, with about equal classes or numbers in each.

    Rows of one group are in one fold. A class with fewer rows than folds is missing in some.

    Returns:
        The folds that have two classes to learn; none if there are too few rows.
    """
    units = np.arange(len(goal)) if goal.groups is None else np.unique(goal.groups, return_inverse=True)[1]
    if units.max(initial=0) + 1 < count:  # also where all rows are of one group: better than no choice
        units = np.arange(len(goal))
    count = min(count, len(goal))
    if count < 2:
        return []
    alone = units.max() + 1 == len(goal)
    numbers = _stratified(goal.values, seed, count) if alone else _grouped(units, seed, count)
    folds = [(np.flatnonzero(numbers != k), np.flatnonzero(numbers == k)) for k in range(count)]
    return [fold for fold in folds if goal.kind == "numbers" or len(np.unique(goal.values[fold[0]])) > 1]


def _stratified(values: np.ndarray, seed: int, count: int) -> np.ndarray:
    """``(rows,)`` fold numbers: rows, in order of their values, are dealt out in turn."""
    random = np.random.default_rng(seed)
    order = np.lexsort((random.random(len(values)), values))
    numbers = np.empty(len(values), dtype=np.int64)
    numbers[order] = np.arange(len(values)) % count
    return numbers


def _grouped(units: np.ndarray, seed: int, count: int) -> np.ndarray:
    """``(rows,)`` fold numbers: each group, the largest first, goes to the fold with the fewest rows."""
    sizes = np.bincount(units)
    random = np.random.default_rng(seed)
    filled, of_unit = np.zeros(count), np.zeros(len(sizes), dtype=np.int64)
    for unit in np.lexsort((random.random(len(sizes)), -sizes)):
        of_unit[unit] = filled.argmin()
        filled[of_unit[unit]] += sizes[unit]
    return of_unit[units]


def held_loss(goal: Goal, rows: np.ndarray, answers: np.ndarray) -> float:
    """The summed weighted loss of ``answers`` for some rows: log loss, or squared error of numbers."""
    weights, truth = goal.row_weights[rows], goal.values[rows]
    if goal.kind == "numbers":
        return float(weights @ (truth - answers) ** 2)
    return float(-weights @ np.log(np.maximum(answers[np.arange(len(rows)), truth], 1e-7)))
