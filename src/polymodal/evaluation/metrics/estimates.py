"""Metrics of answers with their intervals, for classes in any number and for amounts."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.bootstrap import Bootstrap

OF_CLASSES = ("accuracy", "balanced_accuracy", "macro_f1")

Estimates = dict[str, dict[str, float | None]]
"""``value``, ``low`` and ``high`` by metric; see
:func:`polymodal.evaluation.statistics.bootstrap.estimate`."""


def class_estimates(said: np.ndarray, true: np.ndarray, classes: int, bootstrap: Bootstrap) -> Estimates:
    """``accuracy``, ``balanced_accuracy`` (over classes that occur), ``macro_f1`` (that occur or are said).

    Args:
        said: ``(rows,)`` places of classes.
        true: ``(rows,)``, of the same.
        classes: How many there are.
        bootstrap: Of these rows.
    """
    right = (said == true).astype(float)
    sums = bootstrap.resample(np.stack([right, np.ones_like(right)], axis=1))
    found = {"accuracy": bootstrap.estimate(right.mean(), sums[:, 0] / sums[:, 1])}
    counts = _counts(said, true, classes, bootstrap)
    drawn = (counts.T @ bootstrap.weights.T).T
    for name in OF_CLASSES[1:]:
        score = Score(name, classes)
        value = score.value(np.asarray(counts.sum(axis=0), dtype=float))
        found[name] = bootstrap.estimate(float(value), score.value(drawn))
    return found


def number_estimates(said: np.ndarray, true: np.ndarray, bootstrap: Bootstrap) -> Estimates:
    """``r2``, ``rmse`` and ``mae`` of ``said`` ``(rows,)`` for ``true`` ``(rows,)``."""
    error = said - true
    rows = np.stack([error**2, true, true**2, np.ones_like(true), np.abs(error)], axis=1)
    whole, drawn = rows.sum(axis=0), bootstrap.resample(rows)

    def metric(name: str, sums: np.ndarray) -> np.ndarray:
        if name == "r2":
            return Score("r2").value(sums[..., :4])
        return np.sqrt(sums[..., 0] / sums[..., 3]) if name == "rmse" else sums[..., 4] / sums[..., 3]

    names = ("r2", "rmse", "mae")
    return {name: bootstrap.estimate(float(metric(name, whole)), metric(name, drawn)) for name in names}


def _counts(said: np.ndarray, true: np.ndarray, classes: int, bootstrap: Bootstrap) -> csr_array:
    """Of each group ``(groups, 3 · classes)``: said and true, said, true; sparse, for most of it is zero."""
    right, groups = said == true, bootstrap.codes
    where = np.concatenate([groups[right], groups, groups])
    what = np.concatenate([said[right], said + classes, true + 2 * classes])
    return csr_array((np.ones(len(where)), (where, what)), shape=(bootstrap.count, 3 * classes))
