"""Metrics of one class per row: predictions are probabilities ``(rows, classes)``, targets ``(rows,)``.

A class without a row has no recall and no curve, so it is skipped in ``balanced_accuracy`` and ``auroc``;
``macro_f1`` counts it only if it was predicted, which is a mistake.
"""

from __future__ import annotations

import numpy as np

from polymodal.evaluation.metrics import weighted
from polymodal.evaluation.metrics.metrics import METRICS, Additive, Rows

TASKS = ("classification",)


def right_rows(rows: Rows) -> np.ndarray:
    """``(rows, 2)``: whether the class is right, and one."""
    right = (rows.choices == rows.targets).astype(np.float64)
    return np.stack([right, np.ones_like(right)], axis=1)


def ratio(sums: np.ndarray) -> np.ndarray:
    """The first of two sums over the second."""
    return sums[..., 0] / sums[..., 1]


def class_counts(rows: Rows) -> np.ndarray:
    """``(rows, 3 · classes)``, one-hot: the class where it is right, the predicted class, the true class."""
    predicted, true = _one_hot(rows.choices, rows.classes), _one_hot(rows.targets, rows.classes)
    return np.concatenate([predicted * true, predicted, true], axis=1)


def balanced_accuracy_of(sums: np.ndarray) -> np.ndarray:
    """The mean recall over classes that occur, of :func:`class_counts`."""
    right, _, true = np.split(sums, 3, axis=-1)
    return np.nanmean(np.where(true > 0, right / true, np.nan), axis=-1)


def macro_f1_of(sums: np.ndarray) -> np.ndarray:
    """The mean F1 over classes that occur or are predicted, of :func:`class_counts`."""
    right, predicted, true = np.split(sums, 3, axis=-1)
    count = predicted + true
    return np.nanmean(np.where(count > 0, 2 * right / count, np.nan), axis=-1)


@METRICS.register("accuracy", tasks=TASKS, higher_is_better=True, weighted=True,
                  additive=Additive(right_rows, ratio))  # fmt: skip
def accuracy(rows: Rows) -> float:
    """Share of rows whose class is right."""
    return rows.mean(rows.choices == rows.targets)


@METRICS.register("balanced_accuracy", tasks=TASKS, higher_is_better=True, weighted=True,
                  additive=Additive(class_counts, balanced_accuracy_of))  # fmt: skip
def balanced_accuracy(rows: Rows) -> float:
    """Mean recall over the classes that occur."""
    right, are, _ = _counts(rows)
    return float((right[are > 0] / are[are > 0]).mean())


@METRICS.register("macro_f1", tasks=TASKS, higher_is_better=True, weighted=True,
                  additive=Additive(class_counts, macro_f1_of))  # fmt: skip
def macro_f1(rows: Rows) -> float:
    """Mean F1 over the classes that occur or are predicted."""
    right, are, predicted = _counts(rows)
    appears = are + predicted > 0
    return float((2 * right[appears] / (are + predicted)[appears]).mean())


@METRICS.register("log_loss", tasks=TASKS, higher_is_better=False, weighted=True)
def log_loss(rows: Rows) -> float:
    """Mean negative log-likelihood; probabilities are at least epsilon, or the mean would be infinite."""
    smallest = np.finfo(rows.answers.dtype).eps
    right = np.take_along_axis(rows.shares, rows.targets[:, None], axis=1)[:, 0]
    return -rows.mean(np.log(right.clip(smallest)))


@METRICS.register("brier", tasks=TASKS, higher_is_better=False, weighted=True)
def brier(rows: Rows) -> float:
    """The :func:`brier_score`, from 0 to 2."""
    return brier_score(rows.shares, rows.targets, rows.weights)


@METRICS.register("ece", tasks=TASKS, higher_is_better=False, weighted=True)
def ece(rows: Rows) -> float:
    """Calibration error of the likeliest class over 15 bins of equal width (Guo et al. 2017, equation 3)."""
    p, t = rows.shares, rows.targets
    return weighted.calibration_error(p.max(axis=1), p.argmax(axis=1) == t, rows.weights)


@METRICS.register("auroc", tasks=TASKS, higher_is_better=True, weighted=True)
def auroc(rows: Rows) -> float | None:
    """Area under the curve: of class 1 if there are two, else the mean of each class against the rest."""
    p, t = rows.shares, rows.targets
    occurs = np.bincount(t, minlength=rows.classes) > 0
    if occurs.sum() < 2:
        return None
    curves = np.array([1]) if rows.classes == 2 else np.flatnonzero(occurs)
    weights = rows.weights if rows.is_weighted else None
    return float(weighted.areas(p[:, curves], t[:, None] == curves, weights).mean())


def brier_score(probabilities: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The mean squared error of ``probabilities`` ``(rows, classes)``.

    Of classes, ``target`` ``(rows,)``, it is summed over all of them, from 0 to 2 (Brier 1950, equation 2);
    of labels, ``target`` of the same shape, it is the mean over them, from 0 to 1. With ``weight``
    ``(rows,)`` each row counts so much.
    """
    if target.ndim > 1:
        each = np.square(probabilities - target).mean(axis=1)
    else:
        each = np.square(probabilities - _one_hot(target, probabilities.shape[1])).sum(axis=1)
    return float(np.average(each, weights=weight))


def _one_hot(indices: np.ndarray, classes: int) -> np.ndarray:
    """``(rows, classes)``: 1 at the index of each row, else 0."""
    result = np.zeros((len(indices), classes))
    result[np.arange(len(indices)), indices] = 1
    return result


def _counts(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The weight of the rows of each class that are right, that have it, and that it was predicted for."""
    t, predicted, w = rows.targets, rows.choices, rows.weights
    right = np.bincount(t[predicted == t], w[predicted == t], minlength=rows.classes)
    are, were = (np.bincount(values, w, minlength=rows.classes) for values in (t, predicted))
    return right, are, were
