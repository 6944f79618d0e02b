"""A score against growing corruption, and relative and effective robustness (MultiBench, Liang et al. 2021).

The two numbers are defined in "MultiBench: Multiscale Benchmarks for Multimodal Representation Learning" and
its ``eval_scripts/robustness.py``. With ``f(σ)`` the score at imperfection ``σ`` and ``LF(σ)`` that of a late
fusion trained beside the model:

- relative robustness is the area under the curve, ``∫ f(σ) dσ``, by the trapezoidal rule;
- effective robustness is what the model keeps beyond late fusion moved to the same start,
  ``Σ f(σ) - β(σ)`` with ``β(σ) = LF(σ) + f(0) - LF(0)``.

MultiBench scales both between the worst and the best of the compared methods, which one model does not have.
Here ``σ`` runs from 0 to 1 for every corruption, the area is divided by ``f(0)``, so that 1 is a model that
loses nothing, and the sum is an area too, so that it does not depend on the number of levels. No second model
is trained: late fusion is the mean of the model's own predictions from each input alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.integrate import trapezoid
from torch import Tensor

from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.bootstrap import Bootstrap, Estimate, estimate
from polymodal.importance.importance import Trials
from polymodal.importance.subsets import Embedded, EmbeddedRows, logits_of, subset_logits
from polymodal.models.predictor import Predictor

Answers = dict[str, Tensor]
"""Predictions by target, ``(batch, classes)`` or ``(batch,)``, in main memory."""


@dataclass(frozen=True)
class Curve:
    """A score at growing severity, and its resamples.

    Attributes:
        points: ``(levels,)``; the first is without corruption.
        samples: ``(samples, levels)``.
    """

    points: np.ndarray
    samples: np.ndarray

    def entries(self) -> list[Estimate]:
        """The score with its interval at every level."""
        return [estimate(point, self.samples[:, level]) for level, point in enumerate(self.points)]


def curve_of(score: Score, bootstrap: Bootstrap, statistics: Sequence[np.ndarray]) -> Curve:
    """The curve of the rows' sufficient statistics at each level, ``(rows, sums)`` each."""
    stacked = np.stack(statistics)
    return Curve(score.value(stacked.sum(axis=1)), score.value(bootstrap.resample(stacked)))


def relative_robustness(curve: Curve, severity: np.ndarray) -> Estimate:
    """Relative robustness: the mean share of its score that a model keeps from ``severity`` 0 to 1.

    1 where nothing is lost, more where the score rises; None where it is not above 0 without corruption.
    """
    return estimate(*(_kept(values, severity) for values in (curve.points, curve.samples)))


def effective_robustness(curve: Curve, late: Curve, severity: np.ndarray) -> Estimate:
    """Effective robustness: how much more of the score is kept than by late fusion, in the score's unit.

    A mean from ``severity`` 0 to 1; above 0 where fusing makes up for the corruption.
    """
    pairs = ((curve.points, late.points), (curve.samples, late.samples))
    return estimate(*(trapezoid((f - f[..., :1]) - (lf - lf[..., :1]), severity) for f, lf in pairs))


def _kept(values: np.ndarray, severity: np.ndarray) -> np.ndarray:
    start = values[..., 0]
    return trapezoid(values, severity) / np.where(start > 0, start, np.nan)


class BatchAnswers:
    """Predictions for a batch from subsets of the inputs: each alone, all but each, all, and none.

    Args:
        model: Any prediction model.
        batch: The rows.
        precision: Of the forward pass, such as ``fp32``.
    """

    def __init__(self, model: Predictor, batch: EmbeddedRows, precision: str) -> None:
        self.model, self.batch, self.precision = model, batch, precision
        self.names = model.config.input_names
        self.present = {name: batch.embedded[name].present.cpu() for name in self.names}
        every = frozenset(self.names)
        alone = [frozenset([name]) for name in self.names]
        used = list(dict.fromkeys([frozenset[str](), every, *alone, *(every - each for each in alone)]))
        answered = subset_logits(model, batch, used, precision)
        self._having = {subset: self._answers(logits) for subset, logits in answered}

    def to(self, embedded: Embedded) -> Answers:
        """Predictions from embedded rows."""
        return self._answers(logits_of(self.model, embedded, self.precision))

    def _answers(self, logits: Mapping[str, Tensor]) -> Answers:
        return {
            name: self.model.head(name).answer(values.to(self.model.device)).cpu()
            for name, values in logits.items()
        }

    def having(self, *names: str) -> Answers:
        """Predictions from these inputs alone: one, all but one, all, or none."""
        return self._having[frozenset(names)]

    def without(self, name: str) -> Answers:
        """Predictions from all inputs but one."""
        return self.having(*(other for other in self.names if other != name))

    def late(
        self, taken: Mapping[str, Tensor] | None = None, instead: Mapping[str, Answers] | None = None
    ) -> Answers:
        """Late fusion: the mean prediction of the inputs that a row has; that of no input if it has none.

        Args:
            taken: By input ``(batch,)`` bool, true for rows whose cell is missing.
            instead: Predictions from some inputs alone, where these are corrupted.
        """
        weights = [self.present[name] & ~(taken or {}).get(name, torch.tensor(False)) for name in self.names]
        alone = [(instead or {}).get(name) or self.having(name) for name in self.names]
        nothing = self.having()
        return {
            target: _mean([each[target] for each in alone], weights, nothing[target]) for target in nothing
        }


def _mean(answers: Sequence[Tensor], weights: Sequence[Tensor], otherwise: Tensor) -> Tensor:
    """The mean of ``answers`` ``(batch, …)`` over those whose ``weights`` ``(batch,)`` are true."""
    shape = (-1, *[1] * (otherwise.ndim - 1))
    total, count = torch.zeros_like(otherwise), torch.zeros(len(otherwise)).view(shape)
    for answer, weight in zip(answers, weights, strict=True):
        total += torch.where(weight.view(shape), answer, 0.0)
        count += weight.view(shape)
    return torch.where(count > 0, total / count.clamp(min=1), otherwise)


def add(trials: Mapping[str, Trials], trial: Any, answers: Answers) -> None:
    """Add the predictions of one trial of a batch."""
    for name, entry in trials.items():
        entry.add_answer(trial, answers[name])
