"""Whether a confidence is right as often as it says: how far off it is, and a temperature that mends it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F

from polymodal.evaluation.metrics.metrics import CALIBRATION_BINS, NO_ANSWER, brier_score, refuse_not_finite
from polymodal.evaluation.metrics.weighted import effective_rows
from polymodal.models.heads import Classifier, MultilabelClassifier

FEWEST_ROWS = 30
"""Known rows without which a temperature stays 1."""
COLDEST, HOTTEST = 0.01, 100.0
"""Between these a temperature lies."""
PRIOR = 2.0
"""How strongly a temperature of 1 is held to; see :func:`fit_temperature`."""


def fit_temperature(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> float:
    """The one number that all logits are to be divided by for the likeliest probabilities.

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
        weight: ``(rows,)`` how much each row counts; the prior then stands beside as many rows as say as
            much (:func:`~polymodal.evaluation.metrics.weighted.effective_rows`). By default all count the
            same.

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
    found = math.exp(minimize_scalar(cost, bounds=bounds, method="bounded").x)
    return found if loss(found) < loss(1.0) else 1.0


def reliability(
    probabilities: Tensor, target: Tensor, bins: int = CALIBRATION_BINS, weight: Tensor | None = None
) -> dict[str, Any]:
    """What a reliability diagram is drawn from: how often answers of a confidence are right.

    Of classes it is the confidence of the likeliest one and how often that is right; of labels the
    probability of each, which it is decided by, and how often rows have it.

    Args:
        probabilities: ``(rows, classes)``.
        target: As :func:`fit_temperature` takes it.
        bins: Of equal width from 0 to 1.
        weight: ``(rows,)`` how much each row counts, in all but the numbers of rows; by default all the same.

    Returns:
        JSON values all. ``rows``; ``nll``, the mean negative log-likelihood; ``ece``, the mean distance of
        accuracy and confidence over the bins, by what they hold (Guo et al. 2017, equation 3); ``brier``, see
        :func:`~polymodal.evaluation.metrics.metrics.brier_score`; ``bins``: of those that are not empty
        ``low``, ``high``, ``count``, and mean ``confidence`` and ``accuracy``. Empty if no row is known.

    Raises:
        ValueError: If the shapes do not belong together.
        PolymodalError: If a probability is not a finite number.
    """
    smallest = torch.finfo(probabilities.dtype).eps  # as log_loss among the metrics: of zero it is infinite
    probabilities, target, weight = _known(probabilities, target, weight)
    if not len(target):
        return {}
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
    found, weights = _bins(sure, hit, held, bins)
    gaps = np.array([abs(entry["accuracy"] - entry["confidence"]) for entry in found])
    return {
        "rows": len(target),
        "nll": _mean(-given.clamp(min=smallest).log(), weight),
        "ece": float(weights @ gaps / weights.sum()),
        "brier": float(brier_score(probabilities, target, weight)),
        "bins": found,
    }


@torch.no_grad()
def before_and_after(
    head: Classifier | MultilabelClassifier, logits: Tensor, target: Tensor, weight: Tensor | None = None
) -> dict[str, Any]:
    """The :func:`reliability` of a head's answers without and with its temperature, which stays as it is.

    Returns:
        ``temperature``, ``before`` and ``after``.
    """
    logits = logits.to(head.temperature.device)
    held, found = float(head.temperature), {}
    for name, value in (("before", 1.0), ("after", held)):
        head.temperature.fill_(value)
        found[name] = reliability(head.answer(logits).cpu(), target, weight=weight)
    return {"temperature": held, **found}


def _bins(
    confidence: np.ndarray, right: np.ndarray, weights: np.ndarray, bins: int
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """The bins that are not empty, and the weight in each."""
    edges = np.linspace(0, 1, bins + 1)
    place = np.digitize(confidence, edges[1:-1])  # a confidence of one is in the last
    counts = np.bincount(place, minlength=bins)
    held = np.bincount(place, weights, bins)
    sums = np.bincount(place, weights * confidence, bins), np.bincount(place, weights * right, bins)
    filled = np.flatnonzero(counts)
    return [
        {
            "low": float(edges[number]),
            "high": float(edges[number + 1]),
            "count": int(counts[number]),
            "confidence": float(sums[0][number] / held[number]),
            "accuracy": float(sums[1][number] / held[number]),
        }
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
