"""Runs ranked on one target: the leaderboard, and paired tests of every two runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymodal.comparison.comparison_figures import RankedRun, RunPair
from polymodal.data.targets import IGNORED, TargetReader
from polymodal.evaluation.metrics.scores import Score, score_of
from polymodal.evaluation.statistics.bootstrap import Bootstrap, estimate
from polymodal.evaluation.statistics.multiple_testing import holm
from polymodal.evaluation.statistics.paired_test import paired_p
from polymodal.models.heads import build_head
from polymodal.report.number_text import is_above

LEVEL = 0.05
"""The familywise error rate: of one false 'beats' or more over all pairs of a target."""


def score_for(family: str, metric: str | None, classes: Sequence[str]) -> Score:
    """What the runs are scored by: as a report scores one of them."""
    return score_of(build_head({"task": family, **({"classes": classes} if classes else {})}), metric)


def classes_of(family: str, cells: Sequence[Sequence[Any]]) -> list[str]:
    """Every class that is true or predicted in any of ``cells``; runs may know different ones."""
    if family == "regression":
        return []
    known = (cell for each in cells for cell in each if cell is not None)
    found = set().union(*known) if family == "multilabel" else set(known)
    return sorted(found) or [""]  # rows without any label are predictions as well


def statistics(
    score: Score, family: str, classes: Sequence[str], truth: Sequence[Any], predicted: Sequence[Any]
) -> np.ndarray:
    """Sufficient statistics of one run's score, ``(rows, sums)``; see :meth:`Score.statistics`."""
    reader = TargetReader(family, list(classes))
    true, answer = (_tensor(reader, cells) for cells in (truth, predicted))
    return score.statistics(answer, true, {} if family == "regression" else {"predicted": answer})


def _tensor(reader: TargetReader, cells: Sequence[Any]) -> Tensor:
    if reader.task == "regression":
        return torch.tensor(cells, dtype=torch.float64)
    if reader.task == "multilabel":
        return torch.from_numpy(np.stack([reader.read(cell) for cell in cells]))
    indices = [reader.vocabulary.place(cell) for cell in cells]
    return torch.tensor([IGNORED if index is None else index for index in indices], dtype=torch.long)


def rank(
    score: Score, added: Mapping[str, np.ndarray], groups: np.ndarray, *, seed: int = 0
) -> tuple[list[RankedRun], list[RunPair]]:
    """Rank runs by their score, and test every pair of them.

    Intervals are of 95 %, from resampled clusters of rows, the same resamples for all runs: a difference is
    that of two runs on the same rows, and varies less than either. A run beats another if the interval of the
    difference excludes zero and its p-value (see
    :func:`polymodal.evaluation.statistics.paired_test.paired_p`), corrected for all pairs (Holm 1979), is at
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
