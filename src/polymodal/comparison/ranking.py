"""Runs ranked on one target: the leaderboard, and paired tests of every two runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from polymodal.comparison.comparison_figures import RankedRun, RunPair
from polymodal.data.readers.content import Content
from polymodal.data.targets import TARGETS, target_reader
from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.number_text import is_above
from polymodal.evaluation.statistics.bootstrap import Bootstrap, estimate
from polymodal.evaluation.statistics.significance import holm, paired_p
from polymodal.models.heads import build_head
from polymodal.tasks import reader_name, score_of, task_of

LEVEL = 0.05
"""The familywise error rate: of one false 'beats' or more over all pairs of a target."""


def score_for(family: str, metric: str | None, classes: Sequence[str]) -> Score:
    """The score that ranks the runs: the one that a report uses for a single run."""
    return score_of(build_head({"task": family, **({"classes": classes} if classes else {})}), metric)


def classes_of(task: str, cells: Sequence[Sequence[Any]], orders: Sequence[Sequence[str]] = ()) -> list[str]:
    """Every class that is true or predicted in any of ``cells``; training classes may differ between runs.

    Args:
        task: Of the target.
        cells: Ground truth and predictions.
        orders: The classes of each run. Those of an ordinal target are ranked by
            :func:`merged_order`; classes that no run knows follow, numbers where their size puts them.
    """
    result = TARGETS[reader_name(task)].classes_among(cells)
    if not task_of(task).ordered:
        return result
    if ranked := merged_order([*orders, *([name] for name in result)]):
        return ranked
    known = merged_order(orders) or []
    return [*known, *(name for name in result if name not in known)]


def merged_order(orders: Sequence[Sequence[str]]) -> list[str] | None:
    """One order of ordered classes that agrees with each run's own; None where there is not exactly one.

    Numeric labels are ordered by size where the orders of all runs are, ascending or descending. Others are
    ordered by the pairs of neighbours: ``low, high`` and ``low, mid, high`` are merged, while ``low, high``
    and ``high, low`` conflict, and nothing ranks ``mid`` and ``middle`` of two runs.
    """
    names = list(dict.fromkeys(name for order in orders for name in order))
    for ranked in _by_size(names):
        if all(list(order) == [name for name in ranked if name in order] for order in orders):
            return ranked
    followed = {name: {after for order in orders for after in _after(order, name)} for name in names}
    ranked = []
    while names:
        first = [name for name in names if not any(name in followed[other] for other in names)]
        if len(first) != 1:
            return None
        ranked += first
        names.remove(first[0])
    return ranked


def is_number(label: str) -> bool:
    """Whether a label is the text of a number, which has a size."""
    try:
        return math.isfinite(float(label))
    except ValueError:
        return False


def _by_size(names: Sequence[str]) -> list[list[str]]:
    """Numeric labels, ascending and descending; nothing where a label is no number."""
    if not all(map(is_number, names)):
        return []
    ascending = sorted(names, key=float)
    return [ascending, ascending[::-1]]


def _after(order: Sequence[str], name: str) -> Sequence[str]:
    """The class that follows ``name`` in an order, if one does."""
    index = list(order).index(name) + 1 if name in order else len(order)
    return order[index : index + 1]


def statistics(
    score: Score, family: str, classes: Sequence[str], truth: Sequence[Any], predicted: Sequence[Any]
) -> np.ndarray:
    """Each row's contribution to the score of one run, ``(rows, sums)``; see :meth:`Score.statistics`."""
    reader = target_reader(reader_name(family), list(classes))
    true, answer = (reader.as_target(cells) for cells in (truth, predicted))
    return score.statistics(answer, true, {} if reader.holds is Content.NUMBER else {"predicted": answer})


def rank(
    score: Score, added: Mapping[str, np.ndarray], groups: np.ndarray, *, seed: int = 0
) -> tuple[list[RankedRun], list[RunPair]]:
    """Rank runs by their score, and test every pair of them.

    Intervals are of 95 %, from resampled clusters of rows, the same resamples for all runs: a difference is
    that of two runs on the same rows, and varies less than either. A run beats another if the interval of the
    difference excludes zero and its p-value (see
    :func:`polymodal.evaluation.statistics.significance.paired_p`), corrected for all pairs (Holm 1979), is at
    most ``LEVEL``.

    Args:
        score: The metric.
        added: By run ``(rows, sums)``; NaN for a run without predictions, which is ranked last, unscored.
        groups: ``(rows,)`` cluster ids.
        seed: Of the resamples.

    Returns:
        The runs from the best to the worst, and the pairs in that order.
    """
    names, stacked = list(added), np.stack(list(added.values()))
    bootstrap = Bootstrap(groups, seed=seed)
    points = score.value(stacked.sum(axis=1))
    drawn = score.value(bootstrap.resample(stacked))
    grouped = bootstrap.grouped(stacked)
    order = sorted(range(len(names)), key=lambda index: -np.nan_to_num(points[index], nan=-np.inf))
    pairs: list[RunPair] = []
    matches = list(combinations(order, 2))
    for number, (one, two) in enumerate(matches):
        gap, gaps = points[one] - points[two], drawn[:, one] - drawn[:, two]
        known = bool(np.isfinite(gap))
        p = paired_p(score, grouped[one], grouped[two], len(matches), (seed, number)) if known else None
        pairs.append(
            RunPair(
                better=names[one],
                worse=names[two],
                difference=estimate(gap, gaps),
                certainty=_certainty(gaps),
                p=p,
            )
        )
    pairs, best = _corrected(pairs), order[0]
    beaten = {pair.worse for pair in pairs if pair.better == names[best] and pair.beats}
    runs = [
        RankedRun(
            run=names[index],
            score=estimate(points[index], drawn[:, index]),
            behind=estimate(points[best] - points[index], drawn[:, best] - drawn[:, index]),
            as_good=bool(np.isfinite(points[index])) and names[index] not in beaten,
        )
        for index in order
    ]
    return runs, pairs


def _corrected(pairs: Sequence[RunPair]) -> list[RunPair]:
    """The pairs with p-values corrected for all of them, and whether the better run beats the other."""
    corrected = iter(holm([pair.p for pair in pairs if pair.p is not None]))
    judged = []
    for pair in pairs:
        p = None if pair.p is None else next(corrected)
        beats = bool(p is not None and p <= LEVEL and is_above(pair.difference))
        judged.append(replace(pair, corrected=p, beats=beats))
    return judged


def _certainty(gaps: np.ndarray) -> float | None:
    known = gaps[np.isfinite(gaps)]
    return float(((known > 0) + 0.5 * (known == 0)).mean()) if len(known) else None
