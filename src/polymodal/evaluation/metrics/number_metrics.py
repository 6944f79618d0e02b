"""Metrics of one number per row: predictions and targets are ``(rows,)`` in the target's unit."""

from __future__ import annotations

import numpy as np

from polymodal.evaluation.metrics import weighted
from polymodal.evaluation.metrics.metrics import METRICS, Additive, Rows

TASKS = ("regression",)


def error_and_spread(rows: Rows) -> np.ndarray:
    """``(rows, 4)``: squared error, target, its square, and one."""
    truth = rows.targets.astype(np.float64)
    error = np.square(rows.answers.astype(np.float64) - truth)
    return np.stack([error, truth, np.square(truth), np.ones_like(truth)], axis=1)


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
    return weighted.median(_error(rows), rows.weights) if rows.is_weighted else float(np.median(_error(rows)))


@METRICS.register("r2", tasks=TASKS, higher_is_better=True, weighted=True,
                  additive=Additive(error_and_spread, r2_of))  # fmt: skip
def r2(rows: Rows) -> float | None:
    """R²; not defined where all targets are equal."""
    if not _varies(rows):
        return None
    from sklearn.metrics import r2_score

    weights = rows.weights if rows.is_weighted else None
    return float(r2_score(rows.targets, rows.answers, sample_weight=weights))


@METRICS.register("r2_log", tasks=TASKS, higher_is_better=True, weighted=True)
def r2_log(rows: Rows) -> float | None:
    """R² of ``log(1 + x)``, where the head learned that; not defined where all targets are equal."""
    if "log" not in rows.decisions:
        return None
    logs = np.log1p(rows.targets.astype(np.float64).clip(0))
    return r2(
        Rows(rows.decisions["log"].astype(np.float64), logs, rows.weights if rows.is_weighted else None)
    )


@METRICS.register("rmse", tasks=TASKS, higher_is_better=False, weighted=True)
def rmse(rows: Rows) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(weighted.mean(_error(rows) ** 2, rows.weights)))


@METRICS.register("spearman", tasks=TASKS, higher_is_better=True, weighted=True)
def spearman(rows: Rows) -> float | None:
    """Rank correlation; not defined where all targets or all predictions are equal."""
    p, t = rows.answers, rows.targets
    if not _varies(rows) or not (p != p[0]).any():
        return None
    if rows.is_weighted:
        return weighted.rank_correlation(p, t, rows.weights)
    from scipy.stats import spearmanr

    return float(spearmanr(p, t).statistic)


@METRICS.register("mape", tasks=TASKS, higher_is_better=False, weighted=True)
def mape(rows: Rows) -> float | None:
    """Mean absolute error as a share of the target, over rows whose target is not zero."""
    nonzero = rows.targets != 0
    if not nonzero.any():
        return None
    return weighted.mean(_error(rows)[nonzero] / np.abs(rows.targets[nonzero]), rows.weights[nonzero])


@METRICS.register("coverage", tasks=TASKS, higher_is_better=True, weighted=True, selects=False)
def coverage(rows: Rows) -> float | None:
    """Share of the targets that lie in their interval, ends included."""
    if not {"low", "high"} <= {*rows.decisions}:
        return None
    low, high = (rows.decisions[end].astype(np.float64) for end in ("low", "high"))
    return rows.mean((low <= rows.targets) & (rows.targets <= high))


@METRICS.register("interval_width", tasks=TASKS, higher_is_better=False, weighted=True, selects=False)
def interval_width(rows: Rows) -> float | None:
    """Mean width of the intervals."""
    if not {"low", "high"} <= {*rows.decisions}:
        return None
    low, high = (rows.decisions[end].astype(np.float64) for end in ("low", "high"))
    return rows.mean(high - low)


def _error(rows: Rows) -> np.ndarray:
    return np.abs(rows.answers - rows.targets)


def _varies(rows: Rows) -> bool:
    return bool((rows.targets != rows.targets[0]).any())
