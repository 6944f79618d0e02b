"""The choice of a blend: each model's weight, by the validation rows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from polymodal.answers.base import Decoder
from polymodal.candidates.base import FEW, Tried
from polymodal.evaluation.statistics.ensemble_selection import (
    SURE,
    RowLoss,
    Selection,
    is_clearly_smaller,
    row_loss,
    select,
)
from polymodal.utils.records import Record

if TYPE_CHECKING:
    from polymodal.training.prediction_job import PredictionJob

FEWEST = 8
"""Validation rows with an answer, below which all models that are left to choose get the same weight, and the
blend of several that were compared out of fold the weight of all of them."""
UNSEEN = 1.0
"""Nats by which a gain in log loss has to remain clear if one more row were worse."""
EQUAL = 0.5
"""Share of the weights of numbers that goes alike to all models that are not clearly worse than the best."""
OUT_OF_FOLD = "out of fold"
"""The unit of all models that are blended by their answers to the training rows."""


@dataclass(frozen=True, kw_only=True)
class Choice(Record):
    """The blend of one target.

    Attributes:
        weights: By model, above 0, with sum 1.
        reason: Why, in one line.
        losses: By model the mean loss on the validation rows; empty where there are none.
        loss: That of the blend; None where there are none.
        rows: Validation rows with an answer.
    """

    weights: dict[str, float]
    reason: str
    losses: dict[str, float]
    loss: float | None
    rows: int


@dataclass(frozen=True)
class _Answered:
    """Answers of several models to the same rows, beside the truth; only rows whose truth is known.

    Attributes:
        models: By name ``(rows, …)``.
        loss: Of each row.
        weights: ``(rows,)`` sample weights; None where all are equal.
        clusters: ``(rows,)`` rows of one group; None without a group column.
        rows: Their number.
    """

    models: dict[str, np.ndarray]
    loss: RowLoss
    weights: np.ndarray | None
    clusters: np.ndarray | None
    rows: int

    @property
    def are_numbers(self) -> bool:
        """Whether the answers are numbers, not probabilities."""
        return all(answers.ndim == 1 for answers in self.models.values())

    def select(self, seed: int, *, equal: bool = True) -> Selection:
        """The weights by these rows; of numbers, part of them equal ones, if ``equal``."""
        share = EQUAL if equal and self.are_numbers else 0.0
        return select(self.models, self.loss, self.weights, clusters=self.clusters, equal=share, seed=seed)

    def mean(self, answers: np.ndarray) -> float:
        """The mean loss of some answers."""
        return float(np.average(self.loss(answers), weights=self.weights))


def choose_blend(
    job: PredictionJob,
    tried: Mapping[str, Tried],
    decoders: Mapping[str, Decoder],
    truth: Mapping[str, Mapping[str, np.ndarray]],
) -> dict[str, Choice]:
    """The weights of all models, by target.

    Where there are many validation rows, all models are compared on them. Where they are few, the models
    that answered the training rows out of fold are blended by these first, and this blend and the other
    models then by the validation rows. If that blend is worse on the validation rows than out of fold by more
    than chance, these are other rows than the training rows (other speakers, a later year), as the rows to be
    predicted probably are: then all models are compared on the validation rows.

    Args:
        job: Of the fit.
        tried: By candidate, fitted to the training rows alone.
        decoders: Of the blend, by target.
        truth: By split and target ``(rows, …)``; a split without rows is empty.
    """
    return {name: _choose(job, name, tried, decoders[name], truth) for name in decoders}


def _choose(
    job: PredictionJob,
    target: str,
    tried: Mapping[str, Tried],
    decoder: Decoder,
    truth: Mapping[str, Mapping[str, np.ndarray]],
) -> Choice:
    seed, reasons = job.declaration.train.seed, []
    held = {key: entry.answers.get("validation", {}).get(target, {}) for key, entry in tried.items()}
    folds = {
        name: each for entry in tried.values() for name, each in entry.out_of_fold.get(target, {}).items()
    }
    rows = _answered(
        job, "validation", target, {k: v for own in held.values() for k, v in own.items()}, decoder, truth
    )
    units: dict[str, dict[str, float]] = {}  # what is weighed as one: a model, or the blend of several
    if folds:
        inner = _answered(job, "train", target, folds, decoder, truth)
        chosen = inner.select(seed)
        lost = _lost(inner, rows, chosen.weights)
        units |= {} if lost else {OUT_OF_FOLD: dict(chosen.weights)}
        reasons.append(lost or f"out of fold, {chosen.reason}")
    for entry in tried.values():
        if not units.get(OUT_OF_FOLD) or not entry.out_of_fold.get(target):
            units |= {name: {name: 1.0} for name in entry.models.get(target, ())}
    means = {name: _mean(rows.models, weights) for name, weights in units.items()} if rows.rows else {}
    if len(units) == 1:
        outer = dict.fromkeys(units, 1.0)
    elif rows.rows < FEWEST:
        outer = _by_count(units, len(folds))
        counted = "1 validation row is" if rows.rows == 1 else f"{rows.rows} validation rows are"
        reasons.append(f"{counted} too few to choose by")
    else:
        selected = replace(rows, models=means).select(seed, equal=OUT_OF_FOLD not in units)
        outer, reason = dict(selected.weights), selected.reason
        seen = {
            name for entry in tried.values() if entry.seen_validation for name in entry.models.get(target, ())
        }
        if rows.rows < FEW and 0 < len(seen & {*units}) < len(units):
            usual = _by_count(units, len(folds))
            outer, reason = _moderate(replace(rows, models=means), outer, reason, usual, seen, seed)
        reasons.append(_in_words(reason, units))
    weights: dict[str, float] = {}
    for unit, share in outer.items():
        for name, weight in units[unit].items():
            weights[name] = weights.get(name, 0.0) + share * weight
    return Choice(
        weights=weights,
        reason="; ".join(reasons) or "there is one model",
        losses={name: rows.mean(answers) for name, answers in rows.models.items()} if rows.rows else {},
        loss=rows.mean(_mean(rows.models, weights)) if rows.rows else None,
        rows=rows.rows,
    )


def _in_words(reason: str, units: Mapping[str, Mapping[str, float]]) -> str:
    """The reason of a choice by the validation rows, where models were compared out of fold before."""
    if not (inner := units.get(OUT_OF_FOLD)):
        return reason
    name = next(iter(inner)) if len(inner) == 1 else "their blend"
    return f"by the validation rows, {reason.replace(OUT_OF_FOLD, name)}"


def _by_count(units: Mapping[str, object], folds: int) -> dict[str, float]:
    """Equal shares of all models, of which so many are blended out of fold."""
    counts = {unit: folds if unit == OUT_OF_FOLD else 1 for unit in units}
    return {unit: count / sum(counts.values()) for unit, count in counts.items()}


def _moderate(
    rows: _Answered,
    chosen: Mapping[str, float],
    reason: str,
    usual: Mapping[str, float],
    seen: Collection[str],
    seed: int,
) -> tuple[dict[str, float], str]:
    """Weights by which models that the validation rows chose exceed their usual share only by a clear gain.

    Their losses on these rows are too small: the rows chose the epoch, for example.

    Args:
        rows: The validation rows, with the answers of each unit.
        chosen: The weights by these rows.
        reason: Why.
        usual: The shares where nothing is known.
        seen: The units that the rows chose something of, not all of them.
        seed: Of the choice among the others, where the rows gave these nothing.
    """
    if all(chosen.get(unit, 0.0) <= usual[unit] for unit in usual if unit in seen):
        return dict(chosen), reason
    kept = {unit: min(chosen[unit], usual[unit]) for unit in usual if unit in seen and chosen.get(unit)}
    others = {unit: share for unit, share in chosen.items() if unit not in seen}
    if not others:
        unseen = {unit: answers for unit, answers in rows.models.items() if unit not in seen}
        others = dict(replace(rows, models=unseen).select(seed).weights)
    rest = (1 - sum(kept.values())) / sum(others.values())
    moderate = {unit: rest * share for unit, share in others.items()} | kept
    losses, kept_losses = (rows.loss(_mean(rows.models, weights)) for weights in (chosen, moderate))
    one_more = 0.0 if rows.are_numbers else UNSEEN
    if is_clearly_smaller(losses, kept_losses, rows.weights, rows.clusters, unseen=one_more):
        return dict(chosen), reason
    names = " and ".join(kept)
    return moderate, f"{names} with the share of one model: the validation rows show no clear gain by more"


def _lost(folds: _Answered, held: _Answered, weights: Mapping[str, float]) -> str:
    """What a blend loses on the validation rows by more than chance, in a line; empty where it does not."""
    if held.rows < FEWEST:
        return ""
    means, errors = [], []
    for rows in (folds, held):
        losses = rows.loss(_mean(rows.models, weights))
        counted = np.ones(len(losses)) if rows.weights is None else rows.weights
        means.append(float(np.average(losses, weights=counted)))
        spread = np.average((losses - means[-1]) ** 2, weights=counted)
        errors.append(spread * (counted**2).sum() / counted.sum() ** 2)
    if means[1] - means[0] <= SURE * np.sqrt(sum(errors)):
        return ""
    return (
        f"the validation rows are unlike the training rows (loss {means[1]:.2g}, out of fold {means[0]:.2g})"
    )


def _mean(models: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """The weighted mean of answers."""
    return sum((weight * models[name] for name, weight in weights.items()), np.zeros(()))


def _answered(
    job: PredictionJob,
    split: str,
    target: str,
    models: Mapping[str, np.ndarray],
    decoder: Decoder,
    truth: Mapping[str, Mapping[str, np.ndarray]],
) -> _Answered:
    """The rows of a split whose truth is known and that all models answered."""
    if not truth[split]:
        return _Answered({}, row_loss("numbers", np.zeros(0)), None, None, 0)
    true, weights = truth[split][target], job.rows(split).weights
    known = decoder.known(true)
    known &= True if weights is None else weights > 0
    for answers in models.values():
        known &= np.isfinite(answers).reshape(len(answers), -1).all(axis=1)
    return _Answered(
        {name: answers[known] for name, answers in models.items()},
        _loss(true[known], _training_numbers(job, target, decoder, truth)),
        None if weights is None else weights[known],
        _clusters(job, split, known),
        int(known.sum()),
    )


def _training_numbers(
    job: PredictionJob, target: str, decoder: Decoder, truth: Mapping[str, Mapping[str, np.ndarray]]
) -> np.ndarray | None:
    """``(rows,)`` the training answers that count, whose spread is the unit of losses of numbers."""
    answers = truth.get("train", {}).get(target)
    if answers is None or answers.ndim > 1:
        return None
    known, weights = decoder.known(answers), job.rows("train").weights
    known &= True if weights is None else weights > 0
    return answers.astype(np.float64)[known]


def _loss(truth: np.ndarray, spread: np.ndarray | None) -> RowLoss:
    """What the blend is chosen by."""
    if truth.ndim > 1:
        return row_loss("labels", truth)
    if truth.dtype.kind == "i":
        return row_loss("classes", truth)
    return row_loss("numbers", truth.astype(float), spread=spread)


def _clusters(job: PredictionJob, split: str, known: np.ndarray) -> np.ndarray | None:
    """Rows of one group are drawn together; None without a group column."""
    column, table = job.declaration.data.group, job.splits[split]
    if column is None or column not in table.columns:
        return None
    names = [
        str(cell) if cell is not None else f"row {row}"
        for row, cell in enumerate(table.values(column).to_pylist())
    ]
    return np.unique(np.array(names)[known], return_inverse=True)[1].reshape(-1)
