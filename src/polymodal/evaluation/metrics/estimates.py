"""Metrics of predictions with their intervals, for classes in any number and for amounts."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.bootstrap import Bootstrap, Estimate

OF_CLASSES = ("accuracy", "balanced_accuracy", "macro_f1")

Estimates = dict[str, Estimate]
"""By metric."""


def class_estimates(predicted: np.ndarray, true: np.ndarray, classes: int, bootstrap: Bootstrap) -> Estimates:
    """``accuracy``, ``balanced_accuracy`` (over classes that occur), ``macro_f1``.

    The macro F1 is over classes that occur or are predicted.

    Args:
        predicted: ``(rows,)`` indices of classes.
        true: ``(rows,)``, of the same.
        classes: How many there are.
        bootstrap: Of these rows.
    """
    right = (predicted == true).astype(float)
    sums = bootstrap.resample(np.stack([right, np.ones_like(right)], axis=1))
    result = {"accuracy": bootstrap.estimate(right.mean(), sums[:, 0] / sums[:, 1])}
    counts = _counts(predicted, true, classes, bootstrap)
    drawn = (counts.T @ bootstrap.weights.T).T
    for name in OF_CLASSES[1:]:
        score = Score(name, classes)
        value = score.value(np.asarray(counts.sum(axis=0), dtype=float))
        result[name] = bootstrap.estimate(float(value), score.value(drawn))
    return result


def number_estimates(predicted: np.ndarray, true: np.ndarray, bootstrap: Bootstrap) -> Estimates:
    """``r2``, ``rmse`` and ``mae`` of ``predicted`` ``(rows,)`` for ``true`` ``(rows,)``."""
    error = predicted - true
    rows = np.stack([error**2, true, true**2, np.ones_like(true), np.abs(error)], axis=1)
    whole, drawn = rows.sum(axis=0), bootstrap.resample(rows)

    def metric(name: str, sums: np.ndarray) -> np.ndarray:
        if name == "r2":
            return Score("r2").value(sums[..., :4])
        return np.sqrt(sums[..., 0] / sums[..., 3]) if name == "rmse" else sums[..., 4] / sums[..., 3]

    names = ("r2", "rmse", "mae")
    return {name: bootstrap.estimate(float(metric(name, whole)), metric(name, drawn)) for name in names}


def _counts(predicted: np.ndarray, true: np.ndarray, classes: int, bootstrap: Bootstrap) -> csr_array:
    """``(groups, 3 · classes)``, sparse: rows predicted rightly, predicted, and true, by group and class."""
    right, groups = predicted == true, bootstrap.codes
    where = np.concatenate([groups[right], groups, groups])
    what = np.concatenate([predicted[right], predicted + classes, true + 2 * classes])
    return csr_array((np.ones(len(where)), (where, what)), shape=(bootstrap.count, 3 * classes))
