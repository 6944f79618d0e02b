"""Whole numbers that are codes of something (a person, a shop, a month): which of them models read as such.

A column of codes is taken for a number where neither its cells nor its name show that it is none. What a
linear model of the numbers leaves of the answers is then explained by the mean of each code.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from polymodal.plain.blocks import Blocks
from polymodal.plain.features.values import CODES
from polymodal.plain.learners import Goal
from polymodal.plain.learners.design import WIDE, Design
from polymodal.plain.learners.tuning import Fold, inner_folds
from polymodal.plain.sparse import as_dense, for_fitting
from polymodal.utils.deadline import NO_LIMIT, Deadline, OutOfTime, bounded

FOLDS = 5
FEWEST_ROWS = 30
MOST_ROWS = 6000
"""Rows that are looked at."""
MOST_OUTPUTS = 20
"""Classes above which none is looked at."""
MOST_COLUMNS = 64
"""Columns of codes that are looked at, those of the fewest codes."""
MOST_CODES = 2000
"""Of all columns that are kept, those of the largest gain first: each code is a column of a design matrix."""
TIME = 10
"""The part of the time of a target that may be spent, as one in so many."""
PENALTY = 1.0
"""Of the linear model, in rows."""
PRIOR = 5.0
"""Rows by which the mean of a code is drawn to zero."""
SURE = 3.0
"""Standard errors of the gain, beyond which it is more than chance: many columns are tried."""
GAIN = 0.01
"""Smallest share of the squared errors that codes have to explain."""


def coded_name(name: str) -> str:
    """The name of the block of the codes of an input."""
    return f"{name}/{CODES}"


def is_coded(name: str) -> bool:
    """Whether a block holds the codes of a number."""
    return name.endswith(coded_name(""))


def without_codes(blocks: Blocks, kept: frozenset[str]) -> Blocks:
    """The blocks without the codes of numbers, but for those ``kept``."""
    return {name: block for name, block in blocks.items() if name in kept or not is_coded(name)}


def useful_codes(blocks: Blocks, goal: Goal, seed: int, deadline: Deadline = NO_LIMIT) -> frozenset[str]:
    """The names of the blocks of codes that explain more of the answers than the numbers do.

    Args:
        blocks: Of the rows of ``goal``.
        goal: The answers.
        seed: Of the folds, which keep rows of one group together.
        deadline: Of the target. There are no names where a fold shows that a tenth of it is too short.
    """
    names = [name for name in blocks if is_coded(name)]
    names = sorted(names, key=lambda name: blocks[name].columns.categories)[:MOST_COLUMNS]
    rows = np.flatnonzero(goal.row_weights > 0)
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:MOST_ROWS])
    if not names or len(rows) < FEWEST_ROWS or goal.outputs > MOST_OUTPUTS:
        return frozenset()
    goal, blocks = goal.rows(rows), {name: block.rows(rows) for name, block in blocks.items()}
    folds = inner_folds(goal, seed, FOLDS) if goal.kind != "labels" else []
    if not folds or not np.isfinite(goal.values).all():
        return frozenset()
    try:
        left = _left_over(blocks, goal, folds, deadline.share(TIME))
    except OutOfTime:
        return frozenset()
    gains = {name: _gain(as_dense(blocks[name].values)[:, 0], left, goal, folds) for name in names}
    return _kept({name: gain for name, gain in gains.items() if gain > 0}, blocks)


def _kept(gains: Mapping[str, float], blocks: Blocks) -> frozenset[str]:
    """The names of the largest gain, as long as their codes are not too many."""
    kept, codes = set[str](), 0
    for name in sorted(gains, key=lambda name: -gains[name]):
        if codes + blocks[name].columns.categories <= MOST_CODES:
            kept.add(name)
            codes += blocks[name].columns.categories
    return frozenset(kept)


def _left_over(blocks: Blocks, goal: Goal, folds: list[Fold], deadline: Deadline) -> np.ndarray:
    """``(rows, outputs)`` what a linear model of the other rows leaves of the answers.

    Raises:
        OutOfTime: If a fold shows that the others come too late.
    """
    from sklearn.linear_model import Ridge

    table = {
        name: block
        for name, block in blocks.items()
        if block.columns.kind != "sparse" and block.values.shape[1] <= WIDE and not is_coded(name)
    }
    truth = _as_numbers(goal)
    left = truth - truth.mean(axis=0)
    for train, held in bounded(folds, len(folds), deadline, "looking for numbers that are codes", after=1):
        weights, design = goal.row_weights[train], Design()
        matrix = design.fit({name: block.rows(train) for name, block in table.items()}, weights)
        other = design.transform({name: block.rows(held) for name, block in table.items()})
        if matrix.shape[1]:
            ridge = Ridge(PENALTY).fit(for_fitting(matrix), truth[train], sample_weight=weights)
            left[held] = truth[held] - ridge.predict(for_fitting(other)).reshape(len(held), -1)
    return left


def _as_numbers(goal: Goal) -> np.ndarray:
    """``(rows, outputs)``: numbers, those of a long tail as logarithms; or a column per class."""
    if goal.kind != "numbers":
        return np.eye(goal.outputs)[goal.values]
    is_log = goal.both or goal.transform == "log"
    return (np.log1p(np.maximum(goal.values, 0)) if is_log else goal.values.astype(float))[:, None]


def _gain(codes: np.ndarray, left: np.ndarray, goal: Goal, folds: list[Fold]) -> float:
    """What the mean of each code in other rows explains of what is left; 0 if it may be chance."""
    index = np.where(np.isnan(codes), 0, codes + 1).astype(int)
    known, weights = index > 0, goal.row_weights
    width, gain, whole = int(index.max()) + 1, np.zeros(len(left)), (left**2).sum(axis=1)
    for train, held in folds:
        used = weights[train] * known[train]
        sums = np.stack([np.bincount(index[train], used * column, width) for column in left[train].T], axis=1)
        means = sums / (np.bincount(index[train], used, width) + PRIOR)[:, None]
        gain[held] = whole[held] - ((left[held] - means[index[held]]) ** 2).sum(axis=1)
    mean = float(np.average(gain, weights=weights))
    error = float(np.sqrt(np.average((gain - mean) ** 2, weights=weights) / len(gain)))
    is_sure = mean > max(SURE * error, GAIN * float(np.average(whole, weights=weights)))
    return mean if is_sure else 0.0
