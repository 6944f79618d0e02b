"""What each input is worth to a trained model: alone, left out, in every subset, exchanged between rows.

Inputs are taken away as a row lacks them: the model reads its learned token in their place. Encoders and
embedding run once a row; only fusion and heads run again.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymodal.data.collator import RowDataset
from polymodal.evaluation.bootstrap import Bootstrap, estimate
from polymodal.evaluation.games import Game, make_game
from polymodal.evaluation.scores import Score, score_of
from polymodal.evaluation.subsets import embed_rows, logits_of
from polymodal.models.heads import Head
from polymodal.models.modeling import PolymodalForPrediction

BATCH = 256


class Trials:
    """What every row adds to a target's score, trial by trial.

    Attributes:
        score: The metric.
        known: ``(rows,)`` the rows, by their place in the table, whose target is known.
        statistics: ``(trials, known, sums)``, see :meth:`Score.statistics`.
    """

    def __init__(self, head: Head, score: Score) -> None:
        self.head, self.score = head, score
        self._known: list[np.ndarray] = []
        self._statistics: dict[Any, list[np.ndarray]] = defaultdict(list)

    def start(self, index: Tensor, target: Tensor) -> None:
        """A batch begins."""
        self._mask = self.head.known(target)
        self._target = target[self._mask]
        self._known.append(index[self._mask].numpy())

    def add(self, trial: int, logits: Tensor) -> None:
        """What the head said in one trial of the batch."""
        self.add_answer(trial, self.head.answer(logits.to(_device(self.head))).cpu())

    def add_answer(self, trial: Any, answer: Tensor) -> None:
        """The same of what was answered, ``(batch, classes)`` or ``(batch,)``."""
        answer = answer[self._mask]
        decided = {name: value.cpu() for name, value in self.head.decide(answer).items()}
        self._statistics[trial].append(self.score.statistics(answer, self._target, decided))

    @property
    def known(self) -> np.ndarray:
        """See the class."""
        return np.concatenate(self._known)

    def of(self, trial: Any) -> np.ndarray:
        """What the rows add in one trial, ``(known, sums)``."""
        return np.concatenate(self._statistics[trial])

    @property
    def statistics(self) -> np.ndarray:
        """See the class."""
        return np.stack([self.of(trial) for trial in sorted(self._statistics)])


def input_worth(
    model: PolymodalForPrediction,
    rows: RowDataset,
    *,
    metrics: dict[str, str] | None = None,
    groups: np.ndarray | None = None,
    precision: str = "fp32",
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Every figure of what the inputs are worth, by target; a target that no row knows is left out.

    *Alone* and *left out* are the score with one input there, or all but one. The *Shapley value* (Shapley
    1953) is what an input adds, averaged over all orders in which the inputs may join; over all inputs it
    sums to the score of all less the score of none. *Permuted* is the score when an input's cells change
    places among random rows that have one; how far it falls is the perceptual score (Gat et al. 2021). The
    intervals are of 95 %, from resampled groups of rows.

    Args:
        model: In any mode; left in that of evaluation.
        rows: With targets.
        metrics: The metric that a target's training was judged by, where there is one.
        groups: ``(rows,)`` what each row belongs to; by default each is a group of its own.
        precision: What the model computes in.
        seed: Of the exchanges and resamples.
    """
    game = make_game(model.config.input_names, seed)
    trials = {
        name: Trials(head, score_of(head, (metrics or {}).get(name))) for name, head in model.named_heads()
    }
    _run(model, rows, game, trials, precision, seed)
    groups = np.arange(len(rows)) if groups is None else groups
    present = _present_shares(rows)
    return {
        name: _figures(game, trial, Bootstrap(groups[trial.known], seed=seed)) | {"present": present}
        for name, trial in trials.items()
        if len(trial.known)
    }


def _run(
    model: PolymodalForPrediction,
    rows: RowDataset,
    game: Game,
    trials: dict[str, Trials],
    precision: str,
    seed: int,
) -> None:
    """Try all subsets, then each input exchanged, batch after batch of rows in random order."""
    order = np.random.default_rng(seed).permutation(len(rows))
    random = torch.Generator().manual_seed(seed)
    for batch in embed_rows(model, rows, batch_size=BATCH, precision=precision, order=order):
        for name, trial in trials.items():
            trial.start(batch.index, batch.targets[name])
        states = [batch.having(subset) for subset in game.subsets]
        states += [batch.permuted(player, random) for player in game.players]
        for place, state in enumerate(states):
            for name, logits in logits_of(model, state, precision).items():
                trials[name].add(place, logits)


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
        "exact": game.exact,
        "inputs": inputs,
        "subsets": [
            {"inputs": [p for p in game.players if p in subset], **estimate(points[place], samples[:, place])}
            for place, subset in enumerate(game.subsets)
        ],
    }


def _present_shares(rows: RowDataset) -> dict[str, float]:
    """The share of rows that have each input."""
    shares = {}
    for name, reader in rows.processor.readers.items():
        there = name in rows.table.columns and len(rows)
        empty = [reader.is_empty(cell) for cell in rows.table.values(name).to_pylist()] if there else [True]
        shares[name] = 1 - float(np.mean(empty))
    return shares


def _device(head: Head) -> torch.device:
    return next(head.parameters()).device
