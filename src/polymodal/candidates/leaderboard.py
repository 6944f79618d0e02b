"""The leaderboard of a portfolio: every model that was tried, on the validation and the test rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from polymodal.answers.base import Decoder
from polymodal.answers.plain_answers import blend_logits
from polymodal.candidates.base import HELD_OUT, Tried
from polymodal.candidates.choosing import Choice
from polymodal.evaluation.metrics.metrics import evaluate
from polymodal.evaluation.statistics.bootstrap import Bootstrap
from polymodal.evaluation.statistics.clusters import row_groups
from polymodal.tasks import score_of
from polymodal.training.portfolio_results import ModelFigures, Portfolio, Standing

if TYPE_CHECKING:
    from polymodal.training.prediction_job import PredictionJob

Truth = Mapping[str, np.ndarray]
"""By target ``(rows, …)`` the ground truth of a split; empty for a split without rows."""


def answers_of(tried: Mapping[str, Tried], split: str, target: str) -> dict[str, np.ndarray]:
    """By model its answers to the rows of a split."""
    result: dict[str, np.ndarray] = {}
    for candidate in tried.values():
        result |= candidate.answers.get(split, {}).get(target, {})
    return result


def leaderboard(
    job: PredictionJob,
    tried: Mapping[str, Tried],
    choices: Mapping[str, Choice],
    decoders: Mapping[str, Decoder],
    truth: Mapping[str, Truth],
    left_out: Mapping[str, str],
) -> Portfolio:
    """Measure every model that was tried, and the blend of the same answers.

    Args:
        job: Of the fit.
        tried: By candidate, fitted to the training rows alone.
        choices: By target.
        decoders: By target, calibrated.
        truth: By split.
        left_out: By candidate, why it was not fitted.
    """
    seconds = {name: spent for candidate in tried.values() for name, spent in candidate.seconds.items()}
    measured = {
        split: dict(_measured(job, tried, choices, split, decoders, truth[split])) for split in HELD_OUT
    }
    models = {
        name: ModelFigures(
            weights={target: choice.weights.get(name, 0.0) for target, choice in choices.items()},
            losses={target: choice.losses.get(name) for target, choice in choices.items()},
            validation=_of_model(measured["validation"], name),
            test=_of_model(measured["test"], name),
            seconds=spent,
        )
        for name, spent in seconds.items()
    }
    return Portfolio(
        scores={name: score_of(decoder).name for name, decoder in decoders.items()},
        models=models,
        blend={
            target: {
                split: result[target, ""] for split, result in measured.items() if (target, "") in result
            }
            for target in decoders
        },
        losses={name: choice.loss for name, choice in choices.items() if choice.loss is not None},
        reasons={name: choice.reason for name, choice in choices.items()},
        left_out=dict(left_out),
    )


def _of_model(measured: Mapping[tuple[str, str], Standing], name: str) -> dict[str, Standing]:
    return {target: standing for (target, model), standing in measured.items() if model == name}


def _measured(
    job: PredictionJob,
    tried: Mapping[str, Tried],
    choices: Mapping[str, Choice],
    split: str,
    decoders: Mapping[str, Decoder],
    truth: Truth,
) -> Iterator[tuple[tuple[str, str], Standing]]:
    """By target and model, "" for the blend, its figures on the rows of a split."""
    if not truth:
        return
    inputs = {name: config.modality for name, config in job.declaration.inputs.items()}
    groups, _ = row_groups(job.splits[split], inputs, job.declaration.data.group)
    weights = job.rows(split).weights
    for target, decoder in decoders.items():
        answers = answers_of(tried, split, target)
        shares = {name: {name: 1.0} for name in answers} | {"": choices[target].weights}
        for name, own in shares.items():
            answer = decoder.answer(blend_logits(decoder, answers, own))
            yield (target, name), standing(decoder, answer, truth[target], weights, groups)


def standing(
    decoder: Decoder, answer: np.ndarray, target: np.ndarray, weights: np.ndarray | None, groups: np.ndarray
) -> Standing:
    """The figures of answers on rows.

    Args:
        decoder: Decides on the answers.
        answer: ``(rows, …)``.
        target: ``(rows, …)`` ground truth.
        weights: ``(rows,)`` sample weights; None where all are equal.
        groups: ``(rows,)`` cluster ids.
    """
    metrics = evaluate(decoder.task, answer, target, weights, family=decoder.family, **decoder.decide(answer))
    known = decoder.known(target)
    known &= True if weights is None else weights > 0
    if not known.any():
        return Standing(score=None, metrics=metrics)
    score, kept = score_of(decoder), answer[known]
    sums = score.statistics(kept, target[known], decoder.decide(kept))
    sums = sums if weights is None else sums * weights[known, None]
    bootstrap = Bootstrap(groups[known])
    value = float(score.value(sums.sum(axis=0)))
    return Standing(score=bootstrap.estimate(value, score.value(bootstrap.resample(sums))), metrics=metrics)
