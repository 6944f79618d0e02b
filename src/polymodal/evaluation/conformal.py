"""Prediction intervals by split conformal prediction."""

from __future__ import annotations

import math

from torch import Tensor


def fewest_rows(level: float) -> int:
    """Rows without which :func:`conformal_quantile` has no answer: 9 for a level of 0.9."""
    return math.ceil(level / (1 - level) - 1e-9)


def conformal_quantile(residuals: Tensor, level: float) -> float | None:
    """How far from its answer a number lies at most, with probability ``level``.

    The ``⌈(n + 1) · level⌉``-th smallest of ``n`` residuals (Lei, G'Sell, Rinaldo, Tibshirani & Wasserman
    2018, algorithm 2). If the rows they come from and a new one can be exchanged, and the model was trained
    on others, the new one is covered with a probability from ``level`` to ``level + 1 / (n + 1)``, whatever
    the model.

    Args:
        residuals: ``(n,)``, not negative, of rows that the model was not trained on.
        level: Between 0 and 1.

    Returns:
        None where there are too few rows for the level, or the residual asked for is not finite.
    """
    place = math.ceil((len(residuals) + 1) * level - 1e-9)  # without the roundings of 0.9 · 10
    if place > len(residuals) or not len(residuals):
        return None
    value = float(residuals.double().sort().values[max(place, 1) - 1])
    return value if math.isfinite(value) else None
