"""A score against something that grows worse, and how robust that makes a model in one number.

The two numbers are MultiBench's (Liang et al. 2021, "MultiBench: Multiscale Benchmarks for Multimodal
Representation Learning", and its ``eval_scripts/robustness.py``). There, with ``f(σ)`` the score at
imperfection ``σ`` and ``LF(σ)`` that of a late fusion trained beside the model:

- relative robustness is the area under the curve, ``∫ f(σ) dσ``, by trapezoids;
- effective robustness is what the model keeps beyond late fusion set to the same start,
  ``Σ f(σ) - β(σ)`` with ``β(σ) = LF(σ) + f(0) - LF(0)``.

Both are then scaled between the worst and the best of all methods that were compared, which one model alone
does not have. Here instead ``σ`` runs from 0 to 1 whatever is worsened, the area is divided by ``f(0)``, so
that 1 is a model that loses nothing, and the sum is an area too, so that it does not hang on the number of
levels. No second model is trained: late fusion is the mean of the model's own answers to each input alone.
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
from polymodal.evaluation.statistics.bootstrap import Bootstrap, estimate
from polymodal.importance.importance import Trials
from polymodal.importance.subsets import Embedded, EmbeddedRows, logits_of
from polymodal.models.modeling import PolymodalForPrediction

Answers = dict[str, Tensor]
"""By target ``(batch, classes)`` or ``(batch,)``, in main memory."""


@dataclass(frozen=True)
class Curve:
    """A score where something grows worse, and resamples of it.

    Attributes:
        points: ``(places,)``; the first is of nothing made worse.
        samples: ``(samples, places)``.
    """

    points: np.ndarray
    samples: np.ndarray

    def entries(self) -> list[dict[str, float | None]]:
        """``value``, ``low`` and ``high`` at every place."""
        return [estimate(point, self.samples[:, place]) for place, point in enumerate(self.points)]


def curve_of(score: Score, bootstrap: Bootstrap, statistics: Sequence[np.ndarray]) -> Curve:
    """The curve of what the rows add at each place, ``(rows, sums)`` each."""
    stacked = np.stack(statistics)
    return Curve(score.value(stacked.sum(axis=1)), score.value(bootstrap.resample(stacked)))


def relative_robustness(curve: Curve, severity: np.ndarray) -> dict[str, float | None]:
    """The share of its score that a model keeps on the way from ``severity`` 0 to 1: see the module.

    1 where nothing is lost, more where the score rises; None where it is not above 0 to begin with.
    """
    return estimate(*(_kept(values, severity) for values in (curve.points, curve.samples)))


def effective_robustness(curve: Curve, late: Curve, severity: np.ndarray) -> dict[str, float | None]:
    """How much more of the score is kept, on average from ``severity`` 0 to 1, than by late fusion: see the
    module. Above 0 where fusing makes up for what grows worse; in the unit of the score.
    """
    pairs = ((curve.points, late.points), (curve.samples, late.samples))
    return estimate(*(trapezoid((f - f[..., :1]) - (lf - lf[..., :1]), severity) for f, lf in pairs))


def _kept(values: np.ndarray, severity: np.ndarray) -> np.ndarray:
    start = values[..., 0]
    return trapezoid(values, severity) / np.where(start > 0, start, np.nan)


class BatchAnswers:
    """What a model answers to a batch with some inputs alone; each subset is asked once.

    Args:
        model: The model.
        batch: The rows.
        precision: What the model computes in.
    """

    def __init__(self, model: PolymodalForPrediction, batch: EmbeddedRows, precision: str) -> None:
        self.model, self.batch, self.precision = model, batch, precision
        self.names = model.config.input_names
        self.present = {name: batch.embedded[name].present.cpu() for name in self.names}
        self._having: dict[frozenset[str], Answers] = {}

    def to(self, embedded: Embedded) -> Answers:
        """To embedded rows of any making."""
        return {
            name: self.model.head(name).answer(logits.to(self.model.device)).cpu()
            for name, logits in logits_of(self.model, embedded, self.precision).items()
        }

    def having(self, *names: str) -> Answers:
        """To these inputs alone."""
        subset = frozenset(names)
        if subset not in self._having:
            self._having[subset] = self.to(self.batch.having(subset))
        return self._having[subset]

    def without(self, name: str) -> Answers:
        """To all inputs but one."""
        return self.having(*(other for other in self.names if other != name))

    def late(
        self, taken: Mapping[str, Tensor] | None = None, instead: Mapping[str, Answers] | None = None
    ) -> Answers:
        """The mean of what each input that a row has says alone; where it has none, what nothing says.

        Args:
            taken: By input the rows, ``(batch,)`` bool, whose cell is taken away.
            instead: What some inputs alone say, where they are not as they were.
        """
        weights = [self.present[name] & ~(taken or {}).get(name, torch.tensor(False)) for name in self.names]
        alone = [(instead or {}).get(name) or self.having(name) for name in self.names]
        nothing = self.having()
        return {
            target: _mean([said[target] for said in alone], weights, nothing[target]) for target in nothing
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
    """Take in what was answered in one trial of a batch."""
    for name, entry in trials.items():
        entry.add_answer(trial, answers[name])
