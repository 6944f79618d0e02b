"""What each input is worth to a trained model: alone, left out, in every subset, exchanged between rows.

Inputs are taken away as a row lacks them: the model reads its learned token in their place. Encoders and
embedding run once a row; only fusion and heads run again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymodal.data.collator import RowDataset
from polymodal.evaluation.metrics.scores import Score, score_of
from polymodal.evaluation.statistics.bootstrap import Bootstrap, estimate
from polymodal.importance.shapley import Game, make_game
from polymodal.importance.subsets import embed_rows, logits_of
from polymodal.models.heads import Head
from polymodal.models.modeling import PolymodalForPrediction

BATCH = 256


class Trials:
    """What every row adds to a target's score, trial by trial.

    Attributes:
        score: The metric.
        known: ``(rows,)`` the rows, by their place in the table, whose target is known and which count.
        weights: ``(known,)`` how much each counts in the score; None where all count the same.
        statistics: ``(trials, known, sums)``, see :meth:`Score.statistics`.
        answers: ``(known, …)`` what the head answered in the trial ``full``, with every input.
        logits: ``(known, …)`` what they were made of.
        targets: ``(known, …)`` what it should have answered.
    """

    def __init__(self, head: Head, score: Score, full: Any = None, weights: np.ndarray | None = None) -> None:
        """``weights`` ``(rows of the table,)`` say how much each row counts."""
        self.head, self.score, self.full, self._every = head, score, full, weights
        self._known: list[np.ndarray] = []
        self._answers: list[Tensor] = []
        self._logits: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._statistics: dict[Any, list[np.ndarray]] = defaultdict(list)

    def start(self, index: Tensor, target: Tensor, unread: Tensor) -> None:
        """A batch begins."""
        self._mask = self.head.known(target) & ~unread
        if self._every is not None:
            self._mask &= torch.from_numpy(self._every[index.numpy()] > 0)
        self._targets.append(target[self._mask])
        self._known.append(index[self._mask].numpy())

    def add(self, trial: Any, logits: Tensor) -> None:
        """What the head said in one trial of the batch."""
        if trial == self.full:
            self._logits.append(logits[self._mask])
        self.add_answer(trial, self.head.answer(logits.to(_device(self.head))).cpu())

    def add_answer(self, trial: Any, answer: Tensor) -> None:
        """The same of what was answered, ``(batch, classes)`` or ``(batch,)``."""
        answer = answer[self._mask]
        decided = {name: value.cpu() for name, value in self.head.decide(answer).items()}
        added = self.score.statistics(answer, self._targets[-1], decided)
        if self._every is not None:
            added = added * self._every[self._known[-1], None]
        self._statistics[trial].append(added)
        if trial == self.full:
            self._answers.append(answer)

    @property
    def known(self) -> np.ndarray:
        """See the class."""
        return np.concatenate(self._known)

    @property
    def weights(self) -> np.ndarray | None:
        """See the class."""
        return None if self._every is None else self._every[self.known]

    def of(self, trial: Any) -> np.ndarray:
        """What the rows add in one trial, ``(known, sums)``."""
        return np.concatenate(self._statistics[trial])

    @property
    def answers(self) -> Tensor:
        """See the class."""
        return torch.cat(self._answers)

    @property
    def logits(self) -> Tensor:
        """See the class."""
        return torch.cat(self._logits)

    @property
    def targets(self) -> Tensor:
        """See the class."""
        return torch.cat(self._targets)

    @property
    def statistics(self) -> np.ndarray:
        """See the class."""
        return np.stack([self.of(trial) for trial in sorted(self._statistics)])


def try_inputs(
    model: PolymodalForPrediction,
    rows: RowDataset,
    *,
    metrics: Mapping[str, str] | None = None,
    precision: str = "fp32",
    seed: int = 0,
) -> dict[str, Trials]:
    """Every subset of the inputs, then each input exchanged between rows, by target.

    Args:
        model: In any mode; left in that of evaluation.
        rows: With targets.
        metrics: The metric that a target's training was judged by, where there is one.
        precision: What the model computes in.
        seed: Of the exchanges.
    """
    game = make_game(model.config.input_names, seed)
    full = len(game.subsets) - 1
    trials = {
        name: Trials(head, score_of(head, (metrics or {}).get(name)), full, rows.weights)
        for name, head in model.named_heads()
    }
    order = np.random.default_rng(seed).permutation(len(rows))
    random = torch.Generator().manual_seed(seed)
    for batch in embed_rows(model, rows, batch_size=BATCH, precision=precision, order=order):
        for name, trial in trials.items():
            trial.start(batch.index, batch.targets[name], batch.unread)
        states = [batch.having(subset) for subset in game.subsets]
        states += [batch.permuted(player, random) for player in game.players]
        for place, state in enumerate(states):
            for name, logits in logits_of(model, state, precision).items():
                trials[name].add(place, logits)
    return {name: trial for name, trial in trials.items() if len(trial.known)}


def input_worth(
    trial: Trials, rows: RowDataset, groups: np.ndarray | None = None, seed: int = 0
) -> dict[str, Any]:
    """Every figure of what the inputs are worth to one target.

    *Alone* and *left out* are the score with one input there, or all but one. The *Shapley value* (Shapley
    1953) is what an input adds, averaged over all orders in which the inputs may join; over all inputs it
    sums to the score of all less the score of none. *Permuted* is the score when an input's cells change
    places among random rows that have one; how far it falls is the perceptual score (Gat et al. 2021). The
    intervals are of 95 %, from resampled groups of rows.

    Args:
        trial: See :func:`try_inputs`.
        rows: The same.
        groups: ``(rows,)`` what each row belongs to; by default each is a group of its own.
        seed: As before; also of the resamples.
    """
    game = make_game(list(rows.processor.readers), seed)
    groups = np.arange(len(rows)) if groups is None else groups
    figures = _figures(game, trial, Bootstrap(groups[trial.known], seed=seed))
    return figures | {"present": present_shares(rows)}


def _figures(game: Game, trial: Trials, bootstrap: Bootstrap) -> dict[str, Any]:
    """One target's figures."""
    statistics, score = trial.statistics, trial.score
    points = score.value(statistics.sum(axis=1))  # (trials,)
    samples = score.value(bootstrap.resample(statistics))  # (samples, trials)
    subsets = len(game.subsets)
    full, values, drawn = subsets - 1, points[:subsets], samples[:, :subsets]
    shapley, shapley_drawn = game.values(values), game.values(drawn)
    inputs = {}
    for row, name in enumerate(game.players):
        alone, without, permuted = game.alone(name), game.without(name), subsets + row

        def lost(trial: int) -> dict[str, float | None]:
            return estimate(points[full] - points[trial], samples[:, full] - samples[:, trial])

        inputs[name] = {
            "alone": estimate(points[alone], samples[:, alone]),
            "left_out": estimate(points[without], samples[:, without]),
            "lost_without": lost(without),
            "shapley": estimate(shapley[row], shapley_drawn[:, row]),
            "permuted": estimate(points[permuted], samples[:, permuted]),
            "lost_permuted": lost(permuted),
        }
    best = max(game.players, key=lambda name: np.nan_to_num(points[game.alone(name)], nan=-np.inf))
    single = game.alone(best)
    return {
        "score": score.name,
        "rows": len(trial.known),
        "groups": bootstrap.count,
        "all": estimate(points[full], samples[:, full]),
        "none": estimate(points[0], samples[:, 0]),
        "best_single": best,
        "gain": estimate(points[full] - points[single], samples[:, full] - samples[:, single]),
        "free": _free(game, inputs, points, samples),
        "exact": game.exact,
        "inputs": inputs,
        "subsets": [
            {"inputs": [p for p in game.players if p in subset], **estimate(points[place], samples[:, place])}
            for place, subset in enumerate(game.subsets)
        ],
    }


def _free(
    game: Game, inputs: Mapping[str, Mapping[str, Any]], points: np.ndarray, samples: np.ndarray
) -> dict[str, Any]:
    """The inputs that may each be left out for all that can be told, and what is lost without all of them.

    That is None where the subset of the others was not tried.
    """
    free = [name for name, entry in inputs.items() if len(inputs) > 1 and not _costs(entry["lost_without"])]
    kept, full = frozenset(game.players) - set(free), len(game.subsets) - 1
    lost = None
    if kept in game.subsets:
        place = game.place(kept)
        lost = estimate(points[full] - points[place], samples[:, full] - samples[:, place])
    return {"inputs": free, "lost_without_all": lost}


def _costs(lost: Mapping[str, float | None]) -> bool:
    return lost["low"] is not None and lost["low"] > 0


def present_shares(rows: RowDataset) -> dict[str, float]:
    """The share of rows that have each input."""
    shares = {}
    for name, reader in rows.processor.readers.items():
        there = name in rows.table.columns and len(rows)
        empty = [reader.is_empty(cell) for cell in rows.table.values(name).to_pylist()] if there else [True]
        shares[name] = 1 - float(np.mean(empty))
    return shares


def _device(head: Head) -> torch.device:
    return next(head.parameters()).device
