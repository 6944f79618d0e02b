"""Input importance of a trained model: each input alone, removed, permuted, and in every subset.

A removed input is a missing one: the model reads its learned token. Encoders and embedding run once per row;
only fusion and heads run again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymodal.data.row_dataset import RowDataset
from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.bootstrap import Bootstrap, Estimate, estimate
from polymodal.importance.shapley import Game, make_game
from polymodal.importance.subsets import KeptRows, count_batches, embed_rows, logits_of, subset_logits
from polymodal.models.heads import Head
from polymodal.models.predictor import Predictor
from polymodal.tasks import score_of
from polymodal.utils.deadline import NO_LIMIT, Deadline
from polymodal.utils.progress import steps
from polymodal.utils.records import OPTIONAL, Record

BATCH = 256


@dataclass(frozen=True, kw_only=True)
class InputFigures(Record):
    """The importance of one input, in the unit of the score.

    Attributes:
        alone: The score with this input only.
        left_out: The score with all inputs but this one.
        lost_without: The score of all inputs less ``left_out``.
        shapley: Its Shapley value (Shapley 1953): what it adds, averaged over the orders of the inputs.
        permuted: The score with its cells permuted among the rows that have one.
        lost_permuted: The score of all inputs less ``permuted``, the perceptual score (Gat et al. 2021).
    """

    alone: Estimate
    left_out: Estimate
    lost_without: Estimate
    shapley: Estimate
    permuted: Estimate
    lost_permuted: Estimate


@dataclass(frozen=True, kw_only=True)
class FreeInputs(Record):
    """Inputs that may each be removed without a significant loss.

    Attributes:
        inputs: Their names.
        lost_without_all: What is lost without all of them; None where that subset was not tried.
    """

    inputs: list[str]
    lost_without_all: Estimate | None


@dataclass(frozen=True, kw_only=True)
class SubsetScore(Record):
    """The score with a subset of the inputs.

    Attributes:
        inputs: Those that the model may read.
        value: The score.
        low: The lower end of its interval.
        high: The upper end.
    """

    inputs: list[str]
    value: float | None
    low: float | None
    high: float | None

    @property
    def estimate(self) -> Estimate:
        """The score alone."""
        return Estimate(value=self.value, low=self.low, high=self.high)


@dataclass(frozen=True, kw_only=True)
class InputImportance(Record):
    """The importance of every input for one target.

    Attributes:
        score: Name of the metric.
        rows: Number of rows whose target is known.
        groups: Number of clusters that were resampled.
        all: The score with all inputs.
        none: The score with no input.
        best_single: The input with the best score alone.
        gain: The score of all inputs less that of ``best_single``.
        free: The inputs that may each be removed without a significant loss.
        exact: Whether every subset was tried, so that Shapley values are exact.
        inputs: The figures by input.
        subsets: The score of every subset that was tried.
        present: The share of rows that have each input, from 0 to 1.
        grouped_by: In words, by what rows were clustered.
    """

    score: str
    rows: int
    groups: int
    all: Estimate
    none: Estimate
    best_single: str
    gain: Estimate
    free: FreeInputs
    exact: bool
    inputs: dict[str, InputFigures]
    subsets: list[SubsetScore]
    present: dict[str, float] = field(default_factory=dict)
    grouped_by: str | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class OverallScore(Record):
    """The score with all inputs, where no input could be removed.

    Attributes:
        score: Name of the metric.
        rows: Number of rows whose target is known.
        groups: Number of clusters that were resampled.
        grouped_by: In words, by what rows were clustered.
        inputs: Empty; the place of :attr:`InputImportance.inputs`.
        all: The score with all inputs.
    """

    score: str
    rows: int
    groups: int
    grouped_by: str
    inputs: dict[str, InputFigures] = field(default_factory=dict)
    all: Estimate


class Trials:
    """Sufficient statistics of a target's score by row and trial.

    Attributes:
        score: The metric.
        known: ``(rows,)`` indices in the table of the rows whose target is known and whose weight is not 0.
        weights: ``(known,)`` sample weights; None where all are equal.
        read: Number of rows that were predicted, those of unknown targets included.
        statistics: ``(trials, known, sums)``, see :meth:`Score.statistics`.
        answers: ``(known, …)`` predictions in the trial ``full``, with every input.
        logits: ``(known, …)`` their logits.
        targets: ``(known, …)`` ground truth.
    """

    def __init__(self, head: Head, score: Score, full: Any = None, weights: np.ndarray | None = None) -> None:
        """``weights`` ``(rows of the table,)`` are sample weights."""
        self.head, self.score, self.full, self._every = head, score, full, weights
        self._known: list[np.ndarray] = []
        self._answers: list[Tensor] = []
        self._logits: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._statistics: dict[Any, list[np.ndarray]] = defaultdict(list)
        self.read = 0

    def start(self, index: Tensor, target: Tensor, unread: Tensor) -> None:
        """Begin a batch."""
        self.read += len(index)
        self._mask = self.head.known(target) & ~unread
        if self._every is not None:
            self._mask &= torch.from_numpy(self._every[index.numpy()] > 0)
        self._targets.append(target[self._mask])
        self._known.append(index[self._mask].numpy())

    def add(self, trial: Any, logits: Tensor) -> None:
        """Add the logits of one trial of the batch."""
        if trial == self.full:
            self._logits.append(logits[self._mask])
        self.add_answer(trial, self.head.answer(logits.to(self.head.device)).cpu())

    def add_answer(self, trial: Any, answer: Tensor) -> None:
        """Add predictions of one trial, ``(batch, classes)`` or ``(batch,)``."""
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
        """The contribution of each row to the sums in one trial, ``(known, sums)``."""
        return np.concatenate(self._statistics[trial])

    @property
    def answers(self) -> Tensor:
        """See the class."""
        return torch.cat(self._answers)

    @property
    def has_logits(self) -> bool:
        """Whether logits were added, and not answers alone."""
        return bool(self._logits)

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
    model: Predictor,
    rows: RowDataset,
    *,
    metrics: Mapping[str, str] | None = None,
    precision: str = "fp32",
    seed: int = 0,
    deadline: Deadline = NO_LIMIT,
    kept: KeptRows | None = None,
    most_rows: int | None = None,
    shown: str = "",
) -> dict[str, Trials]:
    """Predict with every subset of the inputs, then with each input permuted; the trials by target.

    Args:
        model: Any prediction model; left in evaluation mode.
        rows: With targets.
        metrics: The metric that selected each target's epoch, where there is one.
        precision: Of the forward pass, such as ``fp32``.
        seed: Of the permutations.
        deadline: Where it comes too early for all rows, a random part of them is predicted.
        kept: Keeps embedded rows for other analyses.
        most_rows: Of more rows a random part of this size is predicted; None: all.
        shown: Description of a progress bar; empty: none.
    """
    game = make_game(model.config.input_names, seed)
    full = len(game.subsets) - 1
    trials = {
        name: Trials(head, score_of(head, (metrics or {}).get(name)), full, rows.weights)
        for name, head in model.named_heads()
    }
    order = np.random.default_rng(seed).permutation(len(rows))[:most_rows]
    random = torch.Generator().manual_seed(seed)
    every: list[Any] = [*game.subsets, *game.players]
    numbers = {tried: number for number, tried in enumerate(every)}
    with steps(shown, len(numbers) * count_batches(len(order), BATCH, deadline)) as step:
        for batch in embed_rows(
            model, rows, batch_size=BATCH, precision=precision, order=order, deadline=deadline, kept=kept
        ):
            for name, trial in trials.items():
                trial.start(batch.index, batch.targets[name], batch.unread)
            exchanged = [batch.permuted(player, random) for player in game.players]
            answered = chain(
                subset_logits(model, batch, game.subsets, precision),
                zip(game.players, (logits_of(model, state, precision) for state in exchanged), strict=True),
            )
            for tried, logits in answered:
                for name, values in logits.items():
                    trials[name].add(numbers[tried], values)
                step()
    return {name: trial for name, trial in trials.items() if len(trial.known)}


def input_importance(
    trial: Trials,
    rows: RowDataset,
    groups: np.ndarray | None = None,
    seed: int = 0,
    *,
    grouped_by: str | None = None,
) -> InputImportance:
    """The importance of every input for one target, with 95 % intervals from resampled clusters of rows.

    Over all inputs the Shapley values sum to the score of all inputs less the score of none.

    Args:
        trial: The predictions with each subset of the inputs, from :func:`try_inputs`.
        rows: The rows of ``trial``.
        groups: ``(rows,)`` cluster ids; by default every row is a cluster of its own.
        seed: Of the permutations, as in :func:`try_inputs`, and of the resamples.
        grouped_by: In words, by what rows were clustered.
    """
    game = make_game(list(rows.processor.readers), seed)
    groups = np.arange(len(rows)) if groups is None else groups
    bootstrap = Bootstrap(groups[trial.known], seed=seed)
    return _figures(game, trial, bootstrap, present_shares(rows), grouped_by)


def _figures(
    game: Game, trial: Trials, bootstrap: Bootstrap, present: dict[str, float], grouped_by: str | None
) -> InputImportance:
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

        def lost(trial: int) -> Estimate:
            return estimate(points[full] - points[trial], samples[:, full] - samples[:, trial])

        inputs[name] = InputFigures(
            alone=estimate(points[alone], samples[:, alone]),
            left_out=estimate(points[without], samples[:, without]),
            lost_without=lost(without),
            shapley=estimate(shapley[row], shapley_drawn[:, row]),
            permuted=estimate(points[permuted], samples[:, permuted]),
            lost_permuted=lost(permuted),
        )
    best = max(game.players, key=lambda name: np.nan_to_num(points[game.alone(name)], nan=-np.inf))
    single = game.alone(best)
    return InputImportance(
        score=score.name,
        rows=len(trial.known),
        groups=bootstrap.count,
        all=estimate(points[full], samples[:, full]),
        none=estimate(points[0], samples[:, 0]),
        best_single=best,
        gain=estimate(points[full] - points[single], samples[:, full] - samples[:, single]),
        free=_free(game, inputs, points, samples),
        exact=game.exact,
        inputs=inputs,
        subsets=[
            SubsetScore(
                inputs=[p for p in game.players if p in subset], **estimate(points[index], samples[:, index])
            )
            for index, subset in enumerate(game.subsets)
        ],
        present=present,
        grouped_by=grouped_by,
    )


def _free(
    game: Game, inputs: Mapping[str, InputFigures], points: np.ndarray, samples: np.ndarray
) -> FreeInputs:
    """The inputs whose removal has no significant cost, and what is lost without all of them."""
    free = [name for name, entry in inputs.items() if len(inputs) > 1 and not _costs(entry.lost_without)]
    kept, full = frozenset(game.players) - set(free), len(game.subsets) - 1
    lost = None
    if kept in game.subsets:
        index = game.index(kept)
        lost = estimate(points[full] - points[index], samples[:, full] - samples[:, index])
    return FreeInputs(inputs=free, lost_without_all=lost)


def _costs(lost: Estimate) -> bool:
    return lost.low is not None and lost.low > 0


def present_shares(rows: RowDataset) -> dict[str, float]:
    """The share of rows that have each input."""
    shares = {}
    for name, reader in rows.processor.readers.items():
        there = name in rows.table.columns and len(rows)
        empty = [reader.is_empty(cell) for cell in rows.table.values(name).to_pylist()] if there else [True]
        shares[name] = 1 - float(np.mean(empty))
    return shares
