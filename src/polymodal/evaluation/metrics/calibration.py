"""Calibration error and temperature scaling (Guo et al. 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from polymodal.evaluation.arrays import Values, as_array
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


def fit_temperature(logits: Values, target: Values, weight: Values | None = None) -> float:
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
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    values, answers, weights = _known(logits, target, weight)
    if not len(answers):
        return 1.0
    rows = len(answers) if weights is None else effective_rows(weights)

    def loss(temperature: float) -> float:
        scaled = values / temperature
        if answers.ndim == 1:
            given = np.take_along_axis(scaled, answers[:, None], axis=1)[:, 0]
            return _mean(logsumexp(scaled, axis=1) - given, weights)
        return _mean(np.logaddexp(0, scaled) - answers * scaled, weights)

    def cost(place: float) -> float:
        return loss(math.exp(place)) + PRIOR * (math.exp(-place) - 1 + place) / rows

    bounds = math.log(COLDEST), math.log(HOTTEST)
    fitted = math.exp(minimize_scalar(cost, bounds=bounds, method="bounded").x)
    return fitted if loss(fitted) < loss(1.0) else 1.0


def reliability(
    probabilities: Values, target: Values, bins: int = CALIBRATION_BINS, weight: Values | None = None
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
    smallest = np.finfo(as_array(probabilities).dtype).eps  # as log_loss among the metrics: of zero infinite
    values, answers, weights = _known(probabilities, target, weight)
    if not len(answers):
        return None
    refuse_not_finite(values)
    values = values.clip(0, 1)  # rounding may give a little over one
    if answers.ndim == 1:
        confidence, likeliest = values.max(axis=1), values.argmax(axis=1)
        right = likeliest == answers
        given = np.take_along_axis(values, answers[:, None], axis=1)[:, 0]
    else:
        confidence, right = values.ravel(), answers.ravel()
        given = np.where(answers == 1, values, 1 - values)
    each = np.ones(len(confidence))
    if weights is not None:
        each = weights.repeat(len(confidence) // len(weights))
    entries, held = _bins(confidence, right.astype(np.float64), each, bins)
    gaps = np.array([abs(entry.accuracy - entry.confidence) for entry in entries])
    return Reliability(
        rows=len(answers),
        nll=_mean(-np.log(given.clip(smallest)), weights),
        ece=float(held @ gaps / held.sum()),
        brier=brier_score(values, answers, weights),
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


def _mean(values: np.ndarray, weights: np.ndarray | None) -> float:
    """The mean of ``values`` ``(rows, …)`` over all, each row's times its weight."""
    return float(np.average(values.reshape(len(values), -1).mean(axis=1), weights=weights))


def _known(
    values: Values, target: Values, weight: Values | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The rows whose target is known and that count, in double precision; their weights add up to one."""
    if values.ndim != 2 or tuple(target.shape) not in (tuple(values.shape[:1]), tuple(values.shape)):
        shapes = tuple(values.shape), tuple(target.shape)
        raise ValueError(
            f"expected (rows, classes) and (rows,) or (rows, classes), got {shapes[0]}, {shapes[1]}"
        )
    numbers, answers = as_array(values).astype(np.float64), as_array(target)
    known = answers != NO_ANSWER if answers.ndim == 1 else ~np.isnan(answers).any(axis=1)
    weights = None
    if weight is not None:
        weights = as_array(weight).astype(np.float64)
        known &= weights > 0
        weights = weights[known] / weights[known].sum()
    answers = answers[known].astype(np.int64 if answers.ndim == 1 else np.float64)
    return numbers[known], answers, weights
