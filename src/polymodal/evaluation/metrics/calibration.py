"""Calibration error and temperature scaling (Guo et al. 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from polymodal.evaluation.metrics.class_metrics import brier_score
from polymodal.evaluation.metrics.metrics import NO_ANSWER, refuse_not_finite
from polymodal.evaluation.metrics.weighted import CALIBRATION_BINS, effective_rows
from polymodal.utils.records import EMPTY, Record

FEWEST_ROWS = 30
"""Known rows without which a temperature stays 1."""
COLDEST, HOTTEST = 0.01, 100.0
"""Between these a temperature lies."""
PRIOR = 2.0
"""Strength of the prior on the temperature, whose mode is 1; see :func:`fit_temperature`."""


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin(Record):
    """A bin of a reliability diagram.

    Attributes:
        low: Its lowest confidence.
        high: Its highest confidence.
        count: Number of predictions in it.
        confidence: Their mean confidence.
        accuracy: The share of them that is right.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Reliability(Record):
    """Calibration of probabilities.

    Attributes:
        rows: Number of rows whose target is known.
        nll: Mean negative log-likelihood.
        ece: Expected calibration error: the mean distance of accuracy and confidence over the bins, weighted
            by their content (Guo et al. 2017, equation 3).
        brier: See :func:`~polymodal.evaluation.metrics.metrics.brier_score`.
        bins: Those that are not empty, by rising confidence.
    """

    rows: int
    nll: float
    ece: float
    brier: float
    bins: list[ReliabilityBin]


@dataclass(frozen=True, kw_only=True)
class TemperatureEffect(Record):
    """Calibration without and with a temperature.

    Attributes:
        temperature: By which logits are divided.
        before: With a temperature of 1; None where no target is known.
        after: With the temperature.
    """

    temperature: float
    before: Reliability | None = field(metadata=EMPTY)
    after: Reliability | None = field(metadata=EMPTY)


@dataclass(frozen=True, kw_only=True)
class IntervalCoverage(Record):
    """How well prediction intervals hold.

    Attributes:
        coverage: The share of rows whose interval holds the ground truth.
        interval_width: The mean width, in the target's unit.
        promised: The coverage that the intervals were fitted for.
    """

    coverage: float
    interval_width: float
    promised: float | None


def fit_temperature(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> float:
    """Fit the temperature by which logits are divided for the likeliest probabilities.

    Temperature scaling (Guo et al. 2017, section 4.2): the T of smallest negative log-likelihood (NLL) on
    rows that the model was not trained on; of labels it is the binary cross-entropy.

    A few rows that are all right would make T zero and every answer certain. So 1/T has a Gamma prior whose
    mode is 1: ``2 · (1/T - 1 + log T)`` is added to the sum over the rows. In simulations with 30 and 60 rows
    the plain fit left some models many times worse on new rows than they had been, this one none; with
    thousands of rows the two are the same. It only draws T towards 1, so that the NLL of these rows is never
    worse than with 1.

    Both terms are convex in 1/T. Their one minimum is found by scipy's bounded search (Brent 1973) over log T
    in some twenty evaluations; LBFGS would need a start, a step size and an eye on whether it arrived.

    Args:
        logits: ``(rows, classes)``.
        target: ``(rows,)`` classes, -100 where unknown; or ``(rows, classes)``, 1 where the row has the
            label, NaN where unknown.
        weight: ``(rows,)`` sample weights; the prior is then weighed against the effective number of rows
            (:func:`~polymodal.evaluation.metrics.weighted.effective_rows`). By default all are equal.

    Returns:
        1 where no row is known, or nothing else is better.

    Raises:
        ValueError: If the shapes do not belong together.
    """
    logits, target, weight = _known(logits, target, weight)
    if not len(target):
        return 1.0
    rows = len(target) if weight is None else effective_rows(weight.cpu().numpy())

    def loss(temperature: float) -> float:
        scaled, reduction = logits / temperature, "mean" if weight is None else "none"
        if target.ndim == 1:
            return _mean(F.cross_entropy(scaled, target, reduction=reduction), weight)
        return _mean(F.binary_cross_entropy_with_logits(scaled, target, reduction=reduction), weight)

    def cost(place: float) -> float:
        return loss(math.exp(place)) + PRIOR * (math.exp(-place) - 1 + place) / rows

    bounds = math.log(COLDEST), math.log(HOTTEST)
    fitted = math.exp(minimize_scalar(cost, bounds=bounds, method="bounded").x)
    return fitted if loss(fitted) < loss(1.0) else 1.0


def reliability(
    probabilities: Tensor, target: Tensor, bins: int = CALIBRATION_BINS, weight: Tensor | None = None
) -> Reliability | None:
    """Calibration error and the bins of a reliability diagram.

    For classes confidence is the probability of the likeliest one, for labels the probability of each.

    Args:
        probabilities: ``(rows, classes)``.
        target: As :func:`fit_temperature` takes it.
        bins: Of equal width from 0 to 1.
        weight: ``(rows,)`` sample weights, which count in all but the numbers of rows; by default all equal.

    Returns:
        None if no row's target is known.

    Raises:
        ValueError: If the shapes do not belong together.
        PolymodalError: If a probability is not a finite number.
    """
    smallest = torch.finfo(probabilities.dtype).eps  # as log_loss among the metrics: of zero it is infinite
    probabilities, target, weight = _known(probabilities, target, weight)
    if not len(target):
        return None
    refuse_not_finite(probabilities)
    probabilities = probabilities.clamp(0, 1)  # rounding may give a little over one
    if target.ndim == 1:
        confidence, likeliest = probabilities.max(dim=1)
        right = likeliest == target
        given = probabilities.gather(1, target.unsqueeze(1))
    else:
        confidence, right = probabilities.flatten(), target.flatten()
        given = torch.where(target == 1, probabilities, 1 - probabilities)
    each = torch.ones_like(confidence)
    if weight is not None:
        each = weight.repeat_interleave(len(confidence) // len(weight))
    sure, hit, held = (value.double().cpu().numpy() for value in (confidence, right, each))
    entries, weights = _bins(sure, hit, held, bins)
    gaps = np.array([abs(entry.accuracy - entry.confidence) for entry in entries])
    return Reliability(
        rows=len(target),
        nll=_mean(-given.clamp(min=smallest).log(), weight),
        ece=float(weights @ gaps / weights.sum()),
        brier=float(brier_score(probabilities, target, weight)),
        bins=entries,
    )


def _bins(
    confidence: np.ndarray, right: np.ndarray, weights: np.ndarray, bins: int
) -> tuple[list[ReliabilityBin], np.ndarray]:
    """The bins that are not empty, and the weight in each."""
    edges = np.linspace(0, 1, bins + 1)
    index = np.digitize(confidence, edges[1:-1])  # a confidence of one is in the last
    counts = np.bincount(index, minlength=bins)
    held = np.bincount(index, weights, bins)
    sums = np.bincount(index, weights * confidence, bins), np.bincount(index, weights * right, bins)
    filled = np.flatnonzero(counts)
    return [
        ReliabilityBin(
            low=float(edges[number]),
            high=float(edges[number + 1]),
            count=int(counts[number]),
            confidence=float(sums[0][number] / held[number]),
            accuracy=float(sums[1][number] / held[number]),
        )
        for number in filled
    ], held[filled]


def _mean(values: Tensor, weight: Tensor | None) -> float:
    """The mean of ``values`` ``(rows, …)`` over all, each row's times its weight."""
    if weight is None:
        return float(values.mean())
    return float(values.flatten(1).mean(dim=1) @ weight) if values.ndim > 1 else float(values @ weight)


def _known(values: Tensor, target: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The rows whose target is known and that count, in double precision; their weights add up to one."""
    if values.ndim != 2 or target.shape not in (values.shape[:1], values.shape):
        shapes = tuple(values.shape), tuple(target.shape)
        raise ValueError(
            f"expected (rows, classes) and (rows,) or (rows, classes), got {shapes[0]}, {shapes[1]}"
        )
    values, target = values.detach(), target.to(values.device)
    known = target != NO_ANSWER if target.ndim == 1 else ~target.isnan().any(dim=1)
    if weight is not None:
        weight = weight.to(values.device).double()
        known &= weight > 0
        weight = weight[known] / weight[known].sum()
    target = target[known].long() if target.ndim == 1 else target[known].double()
    return values[known].double(), target, weight
