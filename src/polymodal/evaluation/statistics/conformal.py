"""Prediction intervals by split conformal prediction."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from polymodal.evaluation.metrics.weighted import effective_rows


def fewest_rows(level: float) -> int:
    """Rows without which :func:`conformal_quantile` has no answer: 9 for a level of 0.9."""
    return math.ceil(level / (1 - level) - 1e-9)


def conformal_quantile(residuals: Tensor, level: float, weight: Tensor | None = None) -> float | None:
    """How far from its answer a number lies at most, with probability ``level``.

    The ``⌈(n + 1) · level⌉``-th smallest of ``n`` residuals (Lei, G'Sell, Rinaldo, Tibshirani & Wasserman
    2018, algorithm 2). If the rows they come from and a new one can be exchanged, and the model was trained
    on others, the new one is covered with a probability from ``level`` to ``level + 1 / (n + 1)``, whatever
    the model.

    Args:
        residuals: ``(n,)``, not negative, of rows that the model was not trained on.
        level: Between 0 and 1.
        weight: ``(n,)``, above 0, how much each row counts: the residual is given up to which rows hold
            ``(m + 1) / m · level`` of all weight (Tibshirani, Foygel Barber, Candès & Ramdas 2019, with
            a new row of mean weight), ``m`` being the number of :func:`effective_rows`.

    Returns:
        None where there are too few rows for the level, or the residual asked for is not finite.
    """
    if weight is not None:
        return _weighted_quantile(residuals.double().numpy(), level, weight.double().numpy())
    place = math.ceil((len(residuals) + 1) * level - 1e-9)  # without the roundings of 0.9 · 10
    if place > len(residuals) or not len(residuals):
        return None
    value = float(residuals.double().sort().values[max(place, 1) - 1])
    return value if math.isfinite(value) else None


def _weighted_quantile(residuals: np.ndarray, level: float, weights: np.ndarray) -> float | None:
    if not len(residuals):
        return None
    order, rows = np.argsort(residuals, kind="stable"), effective_rows(weights)
    held = np.cumsum(weights[order]) / weights.sum() * rows
    place = int(np.searchsorted(held, (rows + 1) * level - 1e-9 * rows))
    value = float(residuals[order][place]) if place < len(order) else math.inf
    return value if math.isfinite(value) else None
