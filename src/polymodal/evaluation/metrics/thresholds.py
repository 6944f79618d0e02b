"""Decision thresholds of classes, tuned for a metric on held-out rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from polymodal.evaluation.arrays import Values, as_array
from polymodal.evaluation.metrics.class_metrics import class_counts
from polymodal.evaluation.metrics.metrics import METRICS

FEWEST_ROWS = 5
"""Fewest rows with a class, and fewest without it, for its threshold to be tuned."""
CANDIDATES = 200
"""Most thresholds of a class that are tried; where there are more, quantiles of them."""
ROUNDS = 5
"""Most passes over the classes; more than three are rarely needed."""
DECISIVE = ("accuracy", "balanced_accuracy", "macro_f1")
"""Our metrics of classes that depend on the predicted class alone."""


def label_thresholds(
    probabilities: Values, target: Values, weight: Values | None = None
) -> list[float | None]:
    """For each label the threshold of largest F1, of several the nearest to ½.

    Args:
        probabilities: ``(rows, classes)``.
        target: The same, 1 where the row has the label; rows that are not known are NaN.
        weight: ``(rows,)``, above 0, how much each row counts; by default all the same.

    Returns:
        A threshold per label; None for a label with fewer than ``FEWEST_ROWS`` rows with or without it.
    """
    p, t = as_array(probabilities).astype(np.float64), as_array(target)
    known = ~np.isnan(t).any(axis=1)
    columns = p[known].T, t[known].T
    weights = None if weight is None else as_array(weight)[known].astype(np.float64)
    return [_largest_f1(*column, weights) for column in zip(*columns, strict=True)]


def _largest_f1(probability: np.ndarray, has: np.ndarray, weights: np.ndarray | None) -> float | None:
    from sklearn.metrics import precision_recall_curve

    positives = int(has.sum())
    if min(positives, len(has) - positives) < FEWEST_ROWS:
        return None
    precision, recall, cuts = precision_recall_curve(has, probability, sample_weight=weights)
    both = precision[:-1] + recall[:-1]
    f1 = 2 * precision[:-1] * recall[:-1] / np.where(both > 0, both, 1)
    # Between two neighbouring probabilities the predicted labels are the same; the middle is the safest.
    middles = (cuts + np.concatenate([[0.0], cuts[:-1]])) / 2
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return _inside(float(middles[best[np.abs(middles[best] - 0.5).argmin()]]))


def class_thresholds(
    probabilities: Values, target: Values, metric: str, weight: Values | None = None
) -> list[float] | None:
    """Thresholds with sum 1 for which ``argmax(probability / threshold)`` is best in ``metric``.

    One class after the other is set while the others stay, as long as the metric rises; of two classes this
    finds the best threshold there is. A class of few rows keeps its own.

    Args:
        probabilities: ``(rows, classes)``.
        target: ``(rows,)``, -100 where unknown.
        metric: Its name; see :func:`is_decisive`.
        weight: ``(rows,)``, above 0, how much each row counts; by default all the same.

    Returns:
        None where no class has rows enough.
    """
    p, t = as_array(probabilities).astype(np.float64).clip(1e-12), as_array(target)
    known = t >= 0
    p, t = p[known], t[known]
    w = None if weight is None else as_array(weight)[known].astype(np.float64)
    classes = p.shape[1]
    thresholds = np.full(classes, 1 / classes)
    rows = np.bincount(t, minlength=classes)
    free = np.flatnonzero((rows >= FEWEST_ROWS) & (len(t) - rows >= FEWEST_ROWS))
    if not len(free):
        return None
    best = score((p / thresholds).argmax(axis=1), t, classes, metric, w)
    for _ in range(ROUNDS):
        before = best
        for index in free:
            thresholds, best = _set_one(p, t, thresholds, int(index), best, metric, w)
        if best <= before:
            break
    return [_inside(value) for value in (thresholds / thresholds.sum()).tolist()]


def _set_one(
    p: np.ndarray,
    t: np.ndarray,
    thresholds: np.ndarray,
    index: int,
    best: float,
    metric: str,
    weights: np.ndarray | None,
) -> tuple[np.ndarray, float]:
    """The thresholds with that of one class set best, and what they reach."""
    scaled = p / thresholds
    scaled[:, index] = -np.inf
    other = scaled.argmax(axis=1)
    # The class is predicted where its threshold lies below this.
    limits = p[:, index] / scaled.max(axis=1)
    result = thresholds
    for value in _between(limits):
        predicted = np.where(limits > value, index, other)
        reached = score(predicted, t, p.shape[1], metric, weights)
        nearer = abs(np.log(value / thresholds[index])) < abs(np.log(result[index] / thresholds[index]))
        if reached > best + 1e-12 or (reached > best - 1e-12 and result is not thresholds and nearer):
            best, result = max(best, reached), thresholds.copy()
            result[index] = value
    return result, best


def _between(limits: np.ndarray) -> np.ndarray:
    """The middles between neighbouring values, on their logarithm's scale, and one beyond each end."""
    distinct = np.unique(limits)
    if len(distinct) > CANDIDATES:
        distinct = np.unique(np.quantile(distinct, np.linspace(0, 1, CANDIDATES)))
    return np.sqrt(
        np.concatenate([[distinct[0] / 2], distinct]) * np.concatenate([distinct, [distinct[-1] * 2]])
    )


def score(
    predicted: np.ndarray,
    target: np.ndarray,
    classes: int,
    metric: str,
    weights: np.ndarray | None = None,
) -> float:
    """A metric of the predicted classes from their counts alone, which is faster than the metric itself.

    Args:
        predicted: ``(rows,)`` indices of the predicted classes.
        target: ``(rows,)`` indices of the true classes.
        classes: Number of classes.
        metric: Name of a metric in :mod:`polymodal.evaluation.metrics.class_metrics`.
        weights: ``(rows,)``; by default all rows count the same.
    """
    hit = predicted == target
    right = np.bincount(target[hit], None if weights is None else weights[hit], minlength=classes)
    counts = (np.bincount(indices, weights, minlength=classes) for indices in (target, predicted))
    true_counts, predicted_counts = counts
    if metric in _SCORES:
        return float(_SCORES[metric](right, true_counts, predicted_counts))
    additive = METRICS.named(metric).additive
    assert additive is not None
    return float(additive.value(np.concatenate([right, predicted_counts, true_counts]).astype(float)))


_SCORES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], float]] = {
    "accuracy": lambda right, are, said: right.sum() / are.sum(),
    "balanced_accuracy": lambda right, are, said: (right[are > 0] / are[are > 0]).mean(),
    "macro_f1": lambda right, are, said: (2 * right[are + said > 0] / (are + said)[are + said > 0]).mean(),
}


def is_decisive(metric: str, task: str) -> bool:
    """Whether a metric of ``task`` depends on the counts of predicted and true classes alone."""
    if metric in _SCORES:
        return True
    known = metric in METRICS and METRICS.named(metric, task)
    return bool(known and known.higher_is_better and known.additive and known.additive.rows is class_counts)


def _inside(threshold: float) -> float:
    """The threshold as a head takes it: neither 0 nor 1."""
    smallest = float(np.finfo(np.float32).tiny)
    return min(max(threshold, smallest), 1 - 1e-7)
