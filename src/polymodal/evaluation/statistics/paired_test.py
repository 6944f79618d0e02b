"""Whether two models differ by more than chance on the same rows: their answers change places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.permutation_test import CELLS, DRAWS_A_COMPARISON, ENOUGH, FEWEST_DRAWS


def paired_p(
    score: Score,
    first: np.ndarray,
    second: np.ndarray,
    comparisons: int = 1,
    seed: int | Sequence[int] = 0,
) -> float:
    """The two-sided p-value of a difference, by approximate randomization (Noreen 1989; Yeh 2000).

    Were the two models alike, either could have given either's answers to a group of rows. In each draw the
    answers to about half of the groups change places; the share of draws whose difference is as large, in
    either direction, is the p-value. Few rows that differ give no small p-value, as a bootstrap's spread
    would. Draws end early where the p-value is large (Besag & Clifford 1991).

    Args:
        score: The metric.
        first: ``(groups, sums)`` what each group of rows adds for the one model, see
            :meth:`polymodal.evaluation.statistics.bootstrap.Bootstrap.grouped`.
        second: The same of the other one.
        comparisons: How many there are in all: the more, the more draws.
        seed: Of the draws.
    """
    moved = second - first
    moved = moved[(moved != 0).any(axis=1)]  # where both are alike, nothing changes with the places
    ours, theirs = first.sum(axis=0), second.sum(axis=0)
    observed = abs(float(score.value(ours) - score.value(theirs)))
    if not len(moved) or not np.isfinite(observed):
        return 1.0
    random = np.random.default_rng(seed)
    most = max(FEWEST_DRAWS, DRAWS_A_COMPARISON * comparisons)
    at_once = min(500, max(20, CELLS // len(moved)))
    drawn = beyond = 0
    slack = 1e-9 * max(1.0, observed)  # equal but for rounding
    while drawn < most and beyond < ENOUGH:
        count = min(at_once, most - drawn)
        gained = random.integers(2, size=(count, len(moved))).astype(float) @ moved
        gaps = np.abs(score.value(ours + gained) - score.value(theirs - gained))
        beyond += int((~(gaps < observed - slack)).sum())  # a draw without a score speaks for none
        drawn += count
    return (beyond + 1) / (drawn + 1)
