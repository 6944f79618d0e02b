"""Subgroups of the rows on which a model does worse or better than on the others, and whether by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.bootstrap import Bootstrap, estimate
from polymodal.evaluation.statistics.significance import exchange_p, holm
from polymodal.evaluation.statistics.subgroup_columns import MOST_VALUES, Partition, partition

LEVEL = 0.05
"""The chance, over all comparisons of a report, of one flag or more where there is nothing."""
FEWEST = 10
"""Rows, and groups of rows, that a subgroup and its rest must have to be compared."""


@dataclass(frozen=True)
class Measured:
    """A score, and what each row adds to it.

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
) -> dict[str, Any]:
    """The score of every subgroup, how far it is from that of all other rows, and which gaps are no chance.

    The intervals of 95 % are from resampled groups of rows, the same resamples for both sides of a gap. The
    p-value is from exchanging groups of rows between the subgroup and the rest (see
    :func:`polymodal.evaluation.statistics.significance.exchange_p`), corrected for all comparisons of the
    call (Holm
    1979): the chance of one false flag or more, over all columns together, is at most ``level``. A gap is
    flagged whose corrected p-value is at most ``level`` and whose interval leaves zero out. Subgroups of
    fewer than ``FEWEST`` rows, or groups of rows, are shown and never flagged.

    Numbers (R²) are scored against the spread of all rows, 1 - mean squared error / variance: a subgroup of
    like rows has little spread of its own, and would look bad at equal errors.

    Args:
        score: The metric.
        statistics: ``(rows, sums)`` what each row adds to it; a row a known target.
        groups: ``(rows,)`` what each row belongs to.
        columns: The cells by column, ``(rows,)`` each, of Arrow, pandas, NumPy or a list.
        seed: Of the resamples and the exchanges.
        level: See above.
        most: Values of a column that are shown one by one.

    Returns:
        ``score``, its name; ``level``; ``correction``; ``tested``, the number of comparisons; ``rows``;
        ``all``, the score of all rows; and ``columns``, each ``column``, ``kind``, ``distinct``, ``note`` and
        ``subgroups``: ``value``, ``rows``, ``groups``, ``score``, ``gap`` (the score less that of the other
        rows, None where there are none), ``p``, ``corrected``, ``flagged`` and ``untested``, the reason why
        there is no p, or None.
    """
    measured = _comparable(score, statistics)
    bootstrap = Bootstrap(groups, seed=seed)
    parts = {name: partition(values, most) for name, values in columns.items()}
    wrong = [name for name, part in parts.items() if len(part.codes) != len(statistics)]
    if wrong:
        raise ValueError(f"column '{wrong[0]}' has another number of rows than the statistics")
    found = [_column(name, part, measured, bootstrap) for name, part in parts.items()]
    tested = _test(found, parts, measured, bootstrap, level, seed)
    everything = np.ones(len(statistics), dtype=bool)
    return {
        "score": score.name,
        "level": level,
        "correction": "Holm",
        "tested": tested,
        "rows": len(statistics),
        "all": estimate(measured.of(everything), measured.resampled(bootstrap, everything)),
        "columns": found,
    }


def _comparable(score: Score, statistics: np.ndarray) -> Measured:
    """The score as it is, or R² as a mean over rows against the spread of all of them."""
    if score.name != "r2":
        return Measured(score, statistics)
    error, truth, squares, one = statistics.T
    spread = float(np.average((truth / one - truth.sum() / one.sum()) ** 2, weights=one)) if len(one) else 0.0
    # Equal targets leave nothing but rounding to be explained.
    varies = len(one) and spread > 1e-12 * squares.sum() / one.sum()
    explained = one - error / spread if varies else np.full_like(error, np.nan)
    return Measured(Score("accuracy"), np.stack([explained, one], axis=1))


def _column(name: str, part: Partition, measured: Measured, bootstrap: Bootstrap) -> dict[str, Any]:
    """A column's subgroups with their scores and gaps, before any is tested."""
    entries = []
    for place, value in enumerate(part.names):
        mask = part.codes == place
        point, drawn = measured.of(mask), measured.resampled(bootstrap, mask)
        gap = None
        if not mask.all():
            gap = estimate(point - measured.of(~mask), drawn - measured.resampled(bootstrap, ~mask))
        entries.append(
            {
                "value": value,
                "rows": int(mask.sum()),
                "groups": _group_count(bootstrap, mask),
                "score": estimate(point, drawn),
                "gap": gap,
                "p": None,
                "corrected": None,
                "flagged": False,
                "untested": _untested(mask, place == part.rest, gap, bootstrap),
            }
        )
    return {
        "column": name,
        "kind": part.kind,
        "distinct": part.distinct,
        "note": part.note,
        "subgroups": entries,
    }


def _untested(
    mask: np.ndarray, is_rest: bool, gap: Mapping[str, Any] | None, bootstrap: Bootstrap
) -> str | None:
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
    return "the score is not defined" if gap["value"] is None else None


def _group_count(bootstrap: Bootstrap, mask: np.ndarray) -> int:
    return len(np.unique(bootstrap.codes[mask]))


def _test(
    found: Sequence[dict[str, Any]],
    parts: Mapping[str, Partition],
    measured: Measured,
    bootstrap: Bootstrap,
    level: float,
    seed: int,
) -> int:
    """Put p-values and flags into the subgroups that can be compared; gives the number of comparisons.

    A subgroup and its complement are one comparison, as are columns that say the same.
    """
    comparisons: dict[bytes, tuple[np.ndarray, list[dict[str, Any]]]] = {}
    for column, part in zip(found, parts.values(), strict=True):
        for place, entry in enumerate(column["subgroups"]):
            if entry["untested"] is None:
                mask = part.codes == place
                key = np.packbits(mask ^ mask[0]).tobytes()
                comparisons.setdefault(key, (mask, []))[1].append(entry)
    raw = [
        exchange_p(
            measured.score, measured.statistics, mask, bootstrap.codes, len(comparisons), (seed, number)
        )
        for number, (mask, _) in enumerate(comparisons.values())
    ]
    for p, corrected, (_, entries) in zip(raw, holm(raw), comparisons.values(), strict=True):
        for entry in entries:
            low, high = entry["gap"]["low"], entry["gap"]["high"]
            apart = low is not None and (low > 0 or high < 0)
            entry |= {"p": p, "corrected": corrected, "flagged": bool(corrected <= level and apart)}
    return len(comparisons)
