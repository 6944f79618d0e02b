"""Prediction intervals by split conformal prediction."""

from __future__ import annotations

import math

import numpy as np

from polymodal.evaluation.arrays import Values, as_array
from polymodal.evaluation.metrics.weighted import effective_rows


def fewest_rows(level: float) -> int:
    """Fewest rows for which :func:`conformal_quantile` is defined: 9 for a level of 0.9."""
    return math.ceil(level / (1 - level) - 1e-9)


def conformal_quantile(residuals: Values, level: float, weight: Values | None = None) -> float | None:
    """Half-width of a prediction interval of coverage ``level``, by split conformal prediction.

    The ``⌈(n + 1) · level⌉``-th smallest of ``n`` residuals (Lei, G'Sell, Rinaldo, Tibshirani & Wasserman
    2018, algorithm 2). If the rows and a new one are exchangeable, and the model was trained on others, the
    new one is covered with a probability from ``level`` to ``level + 1 / (n + 1)``, for any model.

    Args:
        residuals: ``(n,)``, not negative, of rows that the model was not trained on.
        level: Between 0 and 1.
        weight: ``(n,)``, above 0, the weights of the rows: the result is the residual up to which rows have
            ``(m + 1) / m · level`` of all weight (Tibshirani, Foygel Barber, Candès & Ramdas 2019, with
            a new row of mean weight), ``m`` being the number of :func:`effective_rows`.

    Returns:
        The half-width; None where there are too few rows for the level, or it is not finite.
    """
    errors = as_array(residuals).astype(np.float64)
    if weight is not None:
        return _weighted_quantile(errors, level, as_array(weight).astype(np.float64))
    index = math.ceil((len(errors) + 1) * level - 1e-9)  # without the roundings of 0.9 · 10
    if index > len(errors) or not len(errors):
        return None
    value = float(np.sort(errors)[max(index, 1) - 1])
    return value if math.isfinite(value) else None


def _weighted_quantile(residuals: np.ndarray, level: float, weights: np.ndarray) -> float | None:
    if not len(residuals):
        return None
    order, rows = np.argsort(residuals, kind="stable"), effective_rows(weights)
    held = np.cumsum(weights[order]) / weights.sum() * rows
    index = int(np.searchsorted(held, (rows + 1) * level - 1e-9 * rows))
    value = float(residuals[order][index]) if index < len(order) else math.inf
    return value if math.isfinite(value) else None
