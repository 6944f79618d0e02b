"""Subgroups of the rows with a significantly lower or higher score than the other rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.bootstrap import Bootstrap, Estimate, estimate
from polymodal.evaluation.statistics.significance import exchange_p, holm
from polymodal.evaluation.statistics.subgroup_columns import MOST_VALUES, Partition, partition
from polymodal.utils.records import Record

LEVEL = 0.05
"""The familywise error rate of the flags: of one false flag or more in a report."""
FEWEST = 10
"""The fewest rows, and clusters of rows, of a subgroup and of its rest that are compared."""


@dataclass(frozen=True, kw_only=True)
class Subgroup(Record):
    """A subgroup of the rows.

    Attributes:
        value: Of the column, or a range of numbers.
        rows: Number of rows.
        groups: Number of clusters of rows.
        score: On these rows.
        gap: The score less that of the other rows; None where there are no others.
        p: Of the permutation test against the other rows; None where it was not tested.
        corrected: ``p`` corrected for all comparisons (Holm 1979).
        flagged: Whether the gap is significant.
        untested: Why it was not tested; None where it was.
    """

    value: str
    rows: int
    groups: int
    score: Estimate
    gap: Estimate | None
    p: float | None = None
    corrected: float | None = None
    flagged: bool = False
    untested: str | None


@dataclass(frozen=True, kw_only=True)
class SubgroupColumn(Record):
    """The subgroups of a column.

    Attributes:
        column: Its name.
        kind: ``values``, or ``numbers`` cut at their quartiles.
        distinct: Number of distinct values.
        note: A remark on the subgroups, or None.
        subgroups: The subgroups.
    """

    column: str
    kind: str
    distinct: int
    note: str | None
    subgroups: list[Subgroup]


@dataclass(frozen=True, kw_only=True)
class SubgroupFigures(Record):
    """The comparison of subgroups.

    Attributes:
        score: Name of the metric.
        level: The familywise error rate of the flags.
        correction: Name of the correction for multiple testing.
        tested: Number of comparisons.
        rows: Number of rows.
        all: The score of all rows.
        columns: The columns with their subgroups.
    """

    score: str
    level: float
    correction: str
    tested: int
    rows: int
    all: Estimate
    columns: list[SubgroupColumn]


@dataclass(frozen=True)
class Measured:
    """A score, and each row's contribution to it.

    Attributes:
        score: The metric.
        statistics: ``(rows, sums)``, see :meth:`Score.statistics`.
    """

    score: Score
    statistics: np.ndarray

    def of(self, mask: np.ndarray) -> float:
        """The score of the rows of ``mask`` ``(rows,)`` bool."""
        return float(self.score.value(self.statistics[mask].sum(axis=0)))

    def resampled(self, bootstrap: Bootstrap, mask: np.ndarray) -> np.ndarray:
        """``(samples,)`` the same of every resample."""
        return self.score.value(bootstrap.resample(self.statistics * mask[:, None]))


def subgroups(
    score: Score,
    statistics: np.ndarray,
    groups: np.ndarray,
    columns: Mapping[str, Any],
    *,
    seed: int = 0,
    level: float = LEVEL,
    most: int = MOST_VALUES,
) -> SubgroupFigures:
    """The score of every subgroup, its gap to all other rows, and which gaps are significant.

    The intervals of 95 % are from resampled clusters of rows, the same resamples for both sides of a gap.
    The p-value is from exchanging clusters between the subgroup and the rest (see
    :func:`polymodal.evaluation.statistics.significance.exchange_p`), corrected for all comparisons of the
    call (Holm 1979): the chance of one false flag or more, over all columns together, is at most ``level``.
    A gap is flagged if its corrected p-value is at most ``level`` and its interval excludes zero. Subgroups
    of fewer than ``FEWEST`` rows or clusters are shown and never flagged.

    Numbers (R²) are scored against the spread of all rows, 1 - mean squared error / variance: a subgroup of
    like rows has little spread of its own, and would look bad at equal errors.

    Args:
        score: The metric.
        statistics: ``(rows, sums)`` contribution of each row with a known target to it.
        groups: ``(rows,)`` cluster ids.
        columns: The cells by column, ``(rows,)`` each, of Arrow, pandas, NumPy or a list.
        seed: Of the resamples and the exchanges.
        level: The familywise error rate of the flags.
        most: The most values of a column that are subgroups of their own.
    """
    measured = _comparable(score, statistics)
    bootstrap = Bootstrap(groups, seed=seed)
    parts = {name: partition(values, most) for name, values in columns.items()}
    wrong = [name for name, part in parts.items() if len(part.codes) != len(statistics)]
    if wrong:
        raise ValueError(f"column '{wrong[0]}' has another number of rows than the statistics")
    measured_columns = [_column(name, part, measured, bootstrap) for name, part in parts.items()]
    tests, tested = _test(measured_columns, parts, measured, bootstrap, seed)
    everything = np.ones(len(statistics), dtype=bool)
    return SubgroupFigures(
        score=score.name,
        level=level,
        correction="Holm",
        tested=tested,
        rows=len(statistics),
        all=estimate(measured.of(everything), measured.resampled(bootstrap, everything)),
        columns=[
            replace(
                column,
                subgroups=[
                    _judged(entry, tests.get((number, index)), level)
                    for index, entry in enumerate(column.subgroups)
                ],
            )
            for number, column in enumerate(measured_columns)
        ],
    )


def _comparable(score: Score, statistics: np.ndarray) -> Measured:
    """The score, with R² as a mean over rows against the variance of all of them."""
    if score.name != "r2":
        return Measured(score, statistics)
    error, truth, squares, one = statistics.T
    spread = float(np.average((truth / one - truth.sum() / one.sum()) ** 2, weights=one)) if len(one) else 0.0
    # Equal targets leave nothing but rounding to be explained.
    varies = len(one) and spread > 1e-12 * squares.sum() / one.sum()
    explained = one - error / spread if varies else np.full_like(error, np.nan)
    return Measured(Score("accuracy"), np.stack([explained, one], axis=1))


def _column(name: str, part: Partition, measured: Measured, bootstrap: Bootstrap) -> SubgroupColumn:
    """A column's subgroups with their scores and gaps, before any is tested."""
    entries = []
    for index, value in enumerate(part.names):
        mask = part.codes == index
        point, drawn = measured.of(mask), measured.resampled(bootstrap, mask)
        gap = None
        if not mask.all():
            gap = estimate(point - measured.of(~mask), drawn - measured.resampled(bootstrap, ~mask))
        entries.append(
            Subgroup(
                value=value,
                rows=int(mask.sum()),
                groups=_group_count(bootstrap, mask),
                score=estimate(point, drawn),
                gap=gap,
                untested=_untested(mask, index == part.rest, gap, bootstrap),
            )
        )
    return SubgroupColumn(
        column=name, kind=part.kind, distinct=part.distinct, note=part.note, subgroups=entries
    )


def _untested(mask: np.ndarray, is_rest: bool, gap: Estimate | None, bootstrap: Bootstrap) -> str | None:
    """Why a subgroup cannot be compared with the other rows, or None where it can."""
    if is_rest:
        return "several values together"
    if gap is None:
        return "there are no other rows"
    for rows, of in ((mask, ""), (~mask, "the other rows: ")):
        if rows.sum() < FEWEST:
            return f"{of}fewer than {FEWEST} rows"
        if _group_count(bootstrap, rows) < FEWEST:
            return f"{of}fewer than {FEWEST} groups of rows"
    return "the score is not defined" if gap.value is None else None


def _group_count(bootstrap: Bootstrap, mask: np.ndarray) -> int:
    return len(np.unique(bootstrap.codes[mask]))


def _test(
    columns: Sequence[SubgroupColumn],
    parts: Mapping[str, Partition],
    measured: Measured,
    bootstrap: Bootstrap,
    seed: int,
) -> tuple[dict[tuple[int, int], tuple[float, float]], int]:
    """Compare every subgroup that can be compared with the other rows.

    A subgroup and its complement are one comparison, as are columns with the same subgroups.

    Returns:
        The p-value and the corrected one by the indices of column and subgroup; the number of comparisons.
    """
    comparisons: dict[bytes, tuple[np.ndarray, list[tuple[int, int]]]] = {}
    for number, (column, part) in enumerate(zip(columns, parts.values(), strict=True)):
        for index, entry in enumerate(column.subgroups):
            if entry.untested is None:
                mask = part.codes == index
                key = np.packbits(mask ^ mask[0]).tobytes()
                comparisons.setdefault(key, (mask, []))[1].append((number, index))
    raw = [
        exchange_p(
            measured.score, measured.statistics, mask, bootstrap.codes, len(comparisons), (seed, number)
        )
        for number, (mask, _) in enumerate(comparisons.values())
    ]
    tests = {
        where: (p, corrected)
        for p, corrected, (_, alike) in zip(raw, holm(raw), comparisons.values(), strict=True)
        for where in alike
    }
    return tests, len(comparisons)


def _judged(entry: Subgroup, test: tuple[float, float] | None, level: float) -> Subgroup:
    """A subgroup with its p-values, flagged where the gap is significant."""
    if test is None or entry.gap is None:
        return entry
    low, high = entry.gap.low, entry.gap.high
    is_apart = low is not None and high is not None and (low > 0 or high < 0)
    return replace(entry, p=test[0], corrected=test[1], flagged=bool(test[1] <= level and is_apart))
