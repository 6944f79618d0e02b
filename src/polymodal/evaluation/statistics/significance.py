"""Significance tests: permutation test of parts of the rows, paired test of two models, multiple testing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polymodal.evaluation.metrics.scores import Score

FEWEST_DRAWS = 1000
DRAWS_A_COMPARISON = 100
"""With ``m`` comparisons the smallest p-value, ``2 / draws``, times ``m`` still lies far below the level."""
ENOUGH = 20
"""Number of draws at least as extreme at which sampling stops: the p-value cannot become small."""
CELLS = 1_000_000
"""Draws times units in memory at once."""


def exchange_p(
    score: Score,
    statistics: np.ndarray,
    inside: np.ndarray,
    groups: np.ndarray,
    comparisons: int = 1,
    seed: int | Sequence[int] = 0,
) -> float:
    """Two-sided p-value of the gap between a part of the rows and the rest, by a permutation test.

    The spread of a bootstrap cannot be used: that of a small subgroup without errors is zero, and every such
    subgroup would be flagged. Under the null hypothesis groups of rows are exchangeable between the parts;
    the p-value is the share of permutations with a gap at least as extreme. The gap is divided by its
    standard error in each permutation, so that the test also holds for groups of different sizes (Janssen
    1997; Chung & Romano 2013). The smaller tail is doubled. Sampling stops early where the p-value is large
    (Besag & Clifford 1991).

    A group with rows in both parts counts as two units. Since rows of one group are often similar, the gap
    then varies less than the permutations, and the p-value is conservative.

    Args:
        score: The metric; one that averages over classes has no standard error in sums, and its gap is not
            divided.
        statistics: ``(rows, sums)``, see :meth:`Score.statistics`.
        inside: ``(rows,)`` bool, the part.
        groups: ``(rows,)`` int from 0, the group of each row.
        comparisons: Number of comparisons in total: more comparisons need more draws.
        seed: Seed of the draws.

    Returns:
        The p-value.
    """
    units, index = np.unique(2 * groups + inside, return_inverse=True)
    sums = np.zeros((len(units), statistics.shape[1]))
    np.add.at(sums, index, statistics)
    parts = _parts(score, sums)
    there = (units % 2).astype(bool)
    total = parts.sum(axis=0)
    observed = float(_gap(score, parts[there].sum(axis=0), parts[~there].sum(axis=0)))
    random = np.random.default_rng(seed)
    most = max(FEWEST_DRAWS, DRAWS_A_COMPARISON * comparisons)
    at_once = min(500, max(20, CELLS // len(units)))
    drawn = below = above = 0
    slack = 1e-9 * max(1.0, abs(observed)) if np.isfinite(observed) else 0.0  # equal but for rounding
    while drawn < most and min(below, above) < ENOUGH:
        count = min(at_once, most - drawn)
        chosen = random.permuted(np.broadcast_to(there, (count, len(units))), axis=1)
        taken = chosen.astype(float) @ parts
        gaps = _gap(score, taken, total - taken)
        # A permutation without a score counts for neither tail.
        below += int((~(gaps > observed + slack)).sum())
        above += int((~(gaps < observed - slack)).sum())
        drawn += count
    return min(1.0, 2 * (min(below, above) + 1) / (drawn + 1))


def _parts(score: Score, sums: np.ndarray) -> np.ndarray:
    """The statistics of units: ``sums``, and for a ratio a / b also a², ab and b²."""
    if score.name not in ("accuracy", "micro_f1"):
        return sums
    a, b = _ratio(score, sums)
    return np.stack([a, b, a * a, a * b, b * b], axis=1)


def _ratio(score: Score, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (2 * sums[:, 0] if score.name == "micro_f1" else sums[:, 0]), sums[:, 1]


def _gap(score: Score, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """The gap of parts ``(…, sums)``, ``(…)``, divided by its standard error where the score is a ratio."""
    if score.name not in ("accuracy", "micro_f1"):
        return score.value(inside) - score.value(outside)
    (first, error), (second, other) = _ratio_error(inside), _ratio_error(outside)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = first - second
        # A gap within rounding is zero, however small its error.
        return np.where(np.abs(gap) < 1e-12, 0.0, gap / np.sqrt(error + other))


def _ratio_error(parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A ratio of sums, and its variance over units by linearization (Cochran 1977, section 2.11)."""
    a, b, aa, ab, bb = np.moveaxis(parts, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = a / b
        squares = aa - 2 * ratio * ab + ratio**2 * bb
        # With equal units the rest is rounding.
        return ratio, np.where(squares > 1e-9 * np.abs(aa), squares, 0.0) / b**2


def paired_p(
    score: Score,
    first: np.ndarray,
    second: np.ndarray,
    comparisons: int = 1,
    seed: int | Sequence[int] = 0,
) -> float:
    """Two-sided p-value of a difference of two models: approximate randomization (Noreen 1989; Yeh 2000).

    Under the null hypothesis the predictions of the two models are exchangeable per group of rows. Each draw
    swaps those of about half of the groups; the p-value is the share of draws with a difference at least as
    large. Unlike the spread of a bootstrap, a few differing rows give no small p-value. Sampling stops early
    where the p-value is large (Besag & Clifford 1991).

    Args:
        score: The metric.
        first: ``(groups, sums)`` the sums of each group of rows for the first model, see
            :meth:`polymodal.evaluation.statistics.bootstrap.Bootstrap.grouped`.
        second: The same for the second model.
        comparisons: Number of comparisons in total: more comparisons need more draws.
        seed: Seed of the draws.

    Returns:
        The p-value.
    """
    moved = second - first
    moved = moved[(moved != 0).any(axis=1)]  # groups of equal sums do not change the difference
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
        beyond += int((~(gaps < observed - slack)).sum())  # a draw without a score counts for neither
        drawn += count
    return (beyond + 1) / (drawn + 1)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction, which controls the family-wise error rate (Holm 1979).

    The smallest of ``m`` is multiplied by ``m``, the next by ``m - 1``, and none becomes smaller than the
    one before it.
    """
    order = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(np.asarray(p, dtype=float)[order] * factors))
    return corrected.tolist()
