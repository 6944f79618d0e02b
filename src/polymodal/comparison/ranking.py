"""Runs against each other on one target: the leaderboard, and who beats whom with what certainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymodal.data.targets import IGNORED, TargetReader
from polymodal.evaluation.metrics.scores import Score, score_of
from polymodal.evaluation.statistics.bootstrap import Bootstrap, estimate
from polymodal.evaluation.statistics.multiple_testing import holm
from polymodal.evaluation.statistics.paired_test import paired_p
from polymodal.models.heads import build_head
from polymodal.report.number_text import is_above

LEVEL = 0.05
"""The chance, over all pairs of a target, of one false 'beats' or more where all runs are alike."""


def score_for(family: str, metric: str | None, classes: Sequence[str]) -> Score:
    """What the runs are scored by: as a report scores one of them."""
    return score_of(build_head({"task": family, **({"classes": classes} if classes else {})}), metric)


def classes_of(family: str, cells: Sequence[Sequence[Any]]) -> list[str]:
    """Every class that is true or said in any of ``cells``; runs may have been taught different ones."""
    if family == "regression":
        return []
    known = (cell for each in cells for cell in each if cell is not None)
    found = set().union(*known) if family == "multilabel" else set(known)
    return sorted(found) or [""]  # no label at all, anywhere, is an answer too


def statistics(
    score: Score, family: str, classes: Sequence[str], truth: Sequence[Any], said: Sequence[Any]
) -> np.ndarray:
    """What each row adds to the score of one run, ``(rows, sums)``; see :meth:`Score.statistics`."""
    reader = TargetReader(family, list(classes))
    true, answer = (_tensor(reader, cells) for cells in (truth, said))
    return score.statistics(answer, true, {} if family == "regression" else {"predicted": answer})


def _tensor(reader: TargetReader, cells: Sequence[Any]) -> Tensor:
    if reader.task == "regression":
        return torch.tensor(cells, dtype=torch.float64)
    if reader.task == "multilabel":
        return torch.from_numpy(np.stack([reader.read(cell) for cell in cells]))
    places = [reader.vocabulary.place(cell) for cell in cells]
    return torch.tensor([IGNORED if place is None else place for place in places], dtype=torch.long)


def rank(
    score: Score, added: Mapping[str, np.ndarray], groups: np.ndarray, *, seed: int = 0
) -> dict[str, Any]:
    """The runs from the best to the worst, and every pair of them.

    Intervals are of 95 %, from groups of rows drawn with replacement, the same draws for all runs: a
    difference is that of two runs on the same rows, and varies less than either. A run beats another if the
    interval of the difference leaves zero out and its p-value (see
    :func:`polymodal.evaluation.statistics.paired_test.paired_p`), corrected for all pairs (Holm 1979), is at
    most ``LEVEL``.

    Args:
        score: The metric.
        added: Of each run ``(rows, sums)``; NaN for a run without answers, which stands last and unscored.
        groups: ``(rows,)`` what each row belongs to.
        seed: Of the draws.

    Returns:
        ``runs``, each ``run``, ``score``, ``behind`` (the best's score less its own) and ``as_good`` (not
        beaten by the best); and ``pairs``, each ``better`` and ``worse`` by their scores, ``difference``,
        ``certainty`` (the share of draws in which the better is ahead, a tie counting half), ``p``,
        ``corrected`` and ``beats``.
    """
    names, stacked = list(added), np.stack(list(added.values()))
    bootstrap = Bootstrap(groups, seed=seed)
    points = score.value(stacked.sum(axis=1))
    drawn = score.value(bootstrap.resample(stacked))
    grouped = bootstrap.grouped(stacked)
    order = sorted(range(len(names)), key=lambda place: -np.nan_to_num(points[place], nan=-np.inf))
    pairs: list[dict[str, Any]] = []
    matches = list(combinations(order, 2))
    for number, (one, two) in enumerate(matches):
        gap, gaps = points[one] - points[two], drawn[:, one] - drawn[:, two]
        known = bool(np.isfinite(gap))
        p = paired_p(score, grouped[one], grouped[two], len(matches), (seed, number)) if known else None
        pairs.append({"better": names[one], "worse": names[two], "difference": estimate(gap, gaps),
                      "certainty": _certainty(gaps), "p": p})  # fmt: skip
    _judge(pairs)
    best = order[0]
    beaten = {pair["worse"] for pair in pairs if pair["better"] == names[best] and pair["beats"]}
    return {
        "runs": [
            {
                "run": names[place],
                "score": estimate(points[place], drawn[:, place]),
                "behind": estimate(points[best] - points[place], drawn[:, best] - drawn[:, place]),
                "as_good": bool(np.isfinite(points[place])) and names[place] not in beaten,
            }
            for place in order
        ],
        "pairs": pairs,
    }


def _judge(pairs: list[dict[str, Any]]) -> None:
    """Add to each pair its p-value corrected for all of them, and whether the better beats the worse."""
    corrected = iter(holm([pair["p"] for pair in pairs if pair["p"] is not None]))
    for pair in pairs:
        pair["corrected"] = None if pair["p"] is None else next(corrected)
        pair["beats"] = bool(
            pair["p"] is not None and pair["corrected"] <= LEVEL and is_above(pair["difference"])
        )


def _certainty(gaps: np.ndarray) -> float | None:
    known = gaps[np.isfinite(gaps)]
    return float(((known > 0) + 0.5 * (known == 0)).mean()) if len(known) else None
