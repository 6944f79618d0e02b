"""Whether two parts of the rows differ by more than chance: groups of rows change places between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polymodal.evaluation.metrics.scores import Score

FEWEST_DRAWS = 1000
DRAWS_A_COMPARISON = 100
"""With ``m`` comparisons the smallest p-value, ``2 / draws``, times ``m`` still lies far below the level."""
ENOUGH = 20
"""Draws at least as far out; once there are so many, more would not make the p-value small."""
CELLS = 1_000_000
"""Draws times units that are in memory together."""


def exchange_p(
    score: Score,
    statistics: np.ndarray,
    inside: np.ndarray,
    groups: np.ndarray,
    comparisons: int = 1,
    seed: int | Sequence[int] = 0,
) -> float:
    """The two-sided p-value of a gap, by a permutation test whose units are groups of rows.

    The bootstrap's own spread is of no use here: that of a small subgroup without a mistake is zero, and
    every such subgroup would be flagged. Where all is chance, groups of rows could as well stand on the
    other side; which share of such exchanges gives a gap as far out, is the p-value. The gap is divided by
    its standard error in each exchange, by which the test also holds where groups are of unlike sizes
    (Janssen 1997; Chung & Romano 2013). The smaller tail is doubled. Draws end early where the p-value is
    large (Besag & Clifford 1991).

    A group of which some rows lie inside and some outside counts as two units. Since rows of one group are
    commonly alike, the gap then varies less than the exchanges, and the p-value is rather too large.

    Args:
        score: The metric; one that averages over classes has no standard error in sums, and its gap is
            taken as it is.
        statistics: ``(rows, sums)``, see :meth:`Score.statistics`.
        inside: ``(rows,)`` bool, the one part.
        groups: ``(rows,)`` int from 0, what each row belongs to.
        comparisons: How many there are in all: the more, the more draws.
        seed: Of the draws.
    """
    units, place = np.unique(2 * groups + inside, return_inverse=True)
    sums = np.zeros((len(units), statistics.shape[1]))
    np.add.at(sums, place, statistics)
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
        # An exchange without a score speaks against none of both.
        below += int((~(gaps > observed + slack)).sum())
        above += int((~(gaps < observed - slack)).sum())
        drawn += count
    return min(1.0, 2 * (min(below, above) + 1) / (drawn + 1))


def _parts(score: Score, sums: np.ndarray) -> np.ndarray:
    """What the units add up to: ``sums``, and for a ratio a / b also a², ab and b²."""
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
        # A gap of rounding alone is none, however small its error.
        return np.where(np.abs(gap) < 1e-12, 0.0, gap / np.sqrt(error + other))


def _ratio_error(parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A ratio of sums, and its variance over units by linearization (Cochran 1977, section 2.11)."""
    a, b, aa, ab, bb = np.moveaxis(parts, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = a / b
        squares = aa - 2 * ratio * ab + ratio**2 * bb
        # Where all units are alike, what is left is rounding.
        return ratio, np.where(squares > 1e-9 * np.abs(aa), squares, 0.0) / b**2
