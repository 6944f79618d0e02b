"""Metrics of one number per row: predictions and targets are ``(rows,)`` in the target's unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.metrics import r2_score

from polymodal.evaluation.metrics import weighted
from polymodal.evaluation.metrics.metrics import METRICS, Additive, Rows

TASKS = ("regression",)


def error_and_spread(rows: Rows) -> np.ndarray:
    """``(rows, 4)``: squared error, target, its square, and one."""
    truth = rows.target.double()
    error = (rows.prediction.double() - truth).square()
    return torch.stack([error, truth, truth.square(), torch.ones_like(truth)], dim=1).numpy()


def r2_of(sums: np.ndarray) -> np.ndarray:
    """R² of :func:`error_and_spread`."""
    error, total, squares, count = np.moveaxis(sums, -1, 0)
    spread = squares - total**2 / count
    # Equal targets leave nothing but rounding to be explained.
    return np.where(spread > 1e-12 * squares, 1 - error / spread, np.nan)


@METRICS.register("mae", tasks=TASKS, higher_is_better=False, weighted=True)
def mae(rows: Rows) -> float:
    """Mean absolute error."""
    return weighted.mean(_error(rows), rows.weights)


@METRICS.register("medae", tasks=TASKS, higher_is_better=False, weighted=True)
def medae(rows: Rows) -> float:
    """Median absolute error."""
    if rows.weight is None:
        # torch.median gives the lower of the two middle values, and torch.quantile refuses long inputs.
        return float(np.median(_error(rows)))
    return weighted.median(_error(rows), rows.weights)


@METRICS.register("r2", tasks=TASKS, higher_is_better=True, weighted=True,
                  additive=Additive(error_and_spread, r2_of))  # fmt: skip
def r2(rows: Rows) -> float | None:
    """R²; not defined where all targets are equal."""
    if not _varies(rows):
        return None
    p, t = rows.prediction.cpu().numpy(), rows.target.cpu().numpy()
    return float(r2_score(t, p, sample_weight=None if rows.weight is None else rows.weights))


@METRICS.register("r2_log", tasks=TASKS, higher_is_better=True, weighted=True)
def r2_log(rows: Rows) -> float | None:
    """R² of ``log(1 + x)``, where the head learned that; not defined where all targets are equal."""
    if "log" not in rows.decided:
        return None
    logs = rows.target.double().clamp(min=0).log1p()
    return r2(replace(rows, prediction=rows.decided["log"].double(), target=logs))


@METRICS.register("rmse", tasks=TASKS, higher_is_better=False, weighted=True)
def rmse(rows: Rows) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(weighted.mean(_error(rows) ** 2, rows.weights)))


@METRICS.register("spearman", tasks=TASKS, higher_is_better=True, weighted=True)
def spearman(rows: Rows) -> float | None:
    """Rank correlation; not defined where all targets or all predictions are equal."""
    prediction = rows.prediction
    if not _varies(rows) or not bool((prediction != prediction[0]).any()):
        return None
    p, t = prediction.cpu().numpy(), rows.target.cpu().numpy()
    if rows.weight is not None:
        return weighted.rank_correlation(p, t, rows.weights)
    return float(spearmanr(p, t).statistic)


@METRICS.register("mape", tasks=TASKS, higher_is_better=False, weighted=True)
def mape(rows: Rows) -> float | None:
    """Mean absolute error as a share of the target, over rows whose target is not zero."""
    nonzero = rows.target != 0
    if not nonzero.any():
        return None
    if rows.weight is None:
        error = (rows.prediction - rows.target).abs()
        return float((error[nonzero] / rows.target[nonzero].abs()).mean())
    t, where = rows.target.cpu().numpy(), nonzero.cpu().numpy()
    return weighted.mean(_error(rows)[where] / np.abs(t[where]), rows.weights[where])


@METRICS.register("coverage", tasks=TASKS, higher_is_better=True, weighted=True, selects=False)
def coverage(rows: Rows) -> float | None:
    """Share of the targets that lie in their interval, ends included."""
    if not {"low", "high"} <= {*rows.decided}:
        return None
    low, high = rows.decided["low"].double(), rows.decided["high"].double()
    return rows.mean((low <= rows.target) & (rows.target <= high))


@METRICS.register("interval_width", tasks=TASKS, higher_is_better=False, weighted=True, selects=False)
def interval_width(rows: Rows) -> float | None:
    """Mean width of the intervals."""
    if not {"low", "high"} <= {*rows.decided}:
        return None
    return rows.mean(rows.decided["high"].double() - rows.decided["low"].double())


def _error(rows: Rows) -> np.ndarray:
    return (rows.prediction - rows.target).abs().cpu().numpy()


def _varies(rows: Rows) -> bool:
    return bool((rows.target != rows.target[0]).any())
