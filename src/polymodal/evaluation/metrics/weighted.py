"""The metrics of rows that do not all count the same: a row of weight 2 counts as it would if it stood twice.

Each function gives the same metrics by the same names as its unweighted counterpart in
:mod:`polymodal.evaluation.metrics.metrics`; of weights that are all equal they are the same numbers. Only the
ratios of the weights matter.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score
from torch import Tensor

CALIBRATION_BINS = 15


def class_metrics(
    probabilities: Tensor, target: Tensor, predicted: Tensor, weight: Tensor
) -> dict[str, float]:
    """See :func:`polymodal.evaluation.metrics.metrics.classification_metrics`; every target is known.

    Args:
        probabilities: ``(rows, classes)``.
        target: ``(rows,)`` places of classes.
        predicted: ``(rows,)``, of the same.
        weight: ``(rows,)``, above 0.
    """
    smallest = np.finfo(probabilities.cpu().numpy().dtype).eps
    p, t, said, w = (value.cpu().numpy() for value in (probabilities, target, predicted, weight.double()))
    p, classes = p.astype(np.float64).clip(0, 1), p.shape[1]
    right = np.bincount(t[said == t], w[said == t], minlength=classes)
    are, are_said = np.bincount(t, w, minlength=classes), np.bincount(said, w, minlength=classes)
    occurs, appears = are > 0, are + are_said > 0
    given = p[np.arange(len(t)), t]
    values = {
        "accuracy": mean(said == t, w),
        "balanced_accuracy": (right[occurs] / are[occurs]).mean(),
        "macro_f1": (2 * right[appears] / (are + are_said)[appears]).mean(),
        "log_loss": -mean(np.log(given.clip(min=smallest)), w),
        "brier": mean(((p - np.eye(classes)[t]) ** 2).sum(axis=1), w),
        "ece": calibration_error(p.max(axis=1), p.argmax(axis=1) == t, w),
    }
    if occurs.sum() > 1:
        curves = [1] if classes == 2 else np.flatnonzero(occurs)
        values["auroc"] = np.mean([roc_auc_score(t == c, p[:, c], sample_weight=w) for c in curves])
    return {name: float(value) for name, value in values.items()}


def label_metrics(probabilities: Tensor, target: Tensor, said: Tensor, weight: Tensor) -> dict[str, float]:
    """See :func:`polymodal.evaluation.metrics.metrics.multilabel_metrics`; every row is known.

    Args:
        probabilities: ``(rows, classes)``.
        target: The same shape, 1 where the row has the label.
        said: The same, 1 where it was said.
        weight: ``(rows,)``, above 0.
    """
    p, t, s, w = (value.double().cpu().numpy() for value in (probabilities, target, said, weight))
    both, are = w @ (t * s), w @ t + w @ s
    values = {
        "micro_f1": 2 * both.sum() / are.sum() if are.any() else 0.0,
        "exact_match": mean((t == s).all(axis=1), w),
        "hamming_loss": mean((t != s).mean(axis=1), w),
        "brier": mean(((p - t) ** 2).mean(axis=1), w),
    }
    if are.any():
        values["macro_f1"] = (2 * both[are > 0] / are[are > 0]).mean()
    has, lacks = t.any(axis=0), (t == 0).any(axis=0)
    for name, metric, where in (
        ("map", average_precision_score, has),
        ("auroc", roc_auc_score, has & lacks),
    ):
        if where.any():
            each = [metric(t[:, c], p[:, c], sample_weight=w) for c in np.flatnonzero(where)]
            values[name] = np.mean(each)
    return {name: float(value) for name, value in values.items()}


def number_metrics(
    prediction: Tensor, target: Tensor, interval: tuple[Tensor, Tensor] | None, weight: Tensor
) -> dict[str, float]:
    """See :func:`polymodal.evaluation.metrics.metrics.regression_metrics`; every target is known.

    Args:
        prediction: ``(rows,)``.
        target: The same.
        interval: Its ends, the same each.
        weight: ``(rows,)``, above 0.
    """
    p, t, w = (value.double().cpu().numpy() for value in (prediction, target, weight))
    error = np.abs(p - t)
    values = {
        "mae": mean(error, w),
        "rmse": np.sqrt(mean(error**2, w)),
        "medae": median(error, w),
    }
    varies = (t != t[0]).any()
    if varies:
        values["r2"] = r2_score(t, p, sample_weight=w)
    if varies and (p != p[0]).any():
        values["spearman"] = rank_correlation(p, t, w)
    nonzero = t != 0
    if nonzero.any():
        values["mape"] = mean(error[nonzero] / np.abs(t[nonzero]), w[nonzero])
    if interval is not None:
        low, high = (value.double().cpu().numpy() for value in interval)
        values |= {
            "coverage": mean((low <= t) & (t <= high), w),
            "interval_width": mean(high - low, w),
        }
    return {name: float(value) for name, value in values.items()}


def effective_rows(weights: np.ndarray) -> float:
    """How many rows of equal weight say as much as these (Kish 1965): ``(Σ w)² / Σ w²``."""
    return float(weights.sum() ** 2 / np.square(weights).sum()) if weights.any() else 0.0


def mean(values: np.ndarray, weights: np.ndarray) -> float:
    """The weighted mean of ``values`` ``(rows,)``."""
    return float(np.average(values, weights=weights))


def median(values: np.ndarray, weights: np.ndarray) -> float:
    """The weighted median of ``values`` ``(rows,)``; between two halves of equal weight it is their middle.

    scikit-learn's compares sums of weights without room for rounding, and misses such middles.
    """
    order = np.argsort(values, kind="stable")
    held = np.cumsum(weights[order])
    half, room = held[-1] / 2, 1e-9 * held[-1]
    sides = np.searchsorted(held, [half - room, half + room])
    return float(values[order][np.minimum(sides, len(values) - 1)].mean())


def calibration_error(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray) -> float:
    """The mean distance of accuracy and confidence over bins of equal width, by the weights in them.

    See Guo et al. 2017, equation 3.
    """
    edges = torch.linspace(0, 1, CALIBRATION_BINS + 1).numpy()  # as torchmetrics has them
    place = np.searchsorted(edges, confidence, side="right").clip(1, CALIBRATION_BINS)
    gap = np.bincount(place, weights * (right - confidence))
    return float(np.abs(gap).sum() / weights.sum())


def rank_correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> float:
    """Spearman's coefficient of weighted rows: Pearson's of the weighted middle ranks."""
    ranks = np.stack([middle_ranks(first, weights), middle_ranks(second, weights)])
    covariance = np.cov(ranks, aweights=weights, ddof=0)
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def middle_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Of each value the weight of all that are smaller, and half the weight of its equals."""
    place = rankdata(values, method="dense").astype(int) - 1
    own = np.bincount(place, weights)
    return (np.cumsum(own) - own / 2)[place]
