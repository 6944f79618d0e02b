"""Metrics of several labels per row: predictions and targets are ``(rows, classes)``.

A label that no row has gives no precision to average and no curve, so it is skipped in ``map`` and ``auroc``,
as is from the latter a label that all rows have; a label that is neither there nor predicted is skipped in
``macro_f1``.
"""

from __future__ import annotations

import numpy as np

from polymodal.evaluation.metrics import weighted
from polymodal.evaluation.metrics.class_metrics import brier_score
from polymodal.evaluation.metrics.metrics import METRICS, Additive, Rows

TASKS = ("multilabel",)


def both_and_each(rows: Rows) -> np.ndarray:
    """``(rows, 2)``: labels that are there and predicted, and the sum of both counts."""
    predicted, true = rows.choices.astype(bool), rows.targets.astype(bool)
    both = (predicted & true).sum(axis=1)
    return np.stack([both, predicted.sum(axis=1) + true.sum(axis=1)], axis=1).astype(np.float64)


def micro_f1_of(sums: np.ndarray) -> np.ndarray:
    """Twice the first of two sums over the second."""
    return 2 * sums[..., 0] / sums[..., 1]


@METRICS.register("micro_f1", tasks=TASKS, higher_is_better=True, weighted=True,
                  additive=Additive(both_and_each, micro_f1_of))  # fmt: skip
def micro_f1(rows: Rows) -> float:
    """F1 over all decisions at once."""
    held, count = _counts(rows)
    return float(2 * held.sum() / count.sum()) if count.any() else 0.0


@METRICS.register("exact_match", tasks=TASKS, higher_is_better=True, weighted=True)
def exact_match(rows: Rows) -> float:
    """Share of rows whose labels are all right."""
    return rows.mean((rows.choices == rows.targets).all(axis=1))


@METRICS.register("hamming_loss", tasks=TASKS, higher_is_better=False, weighted=True)
def hamming_loss(rows: Rows) -> float:
    """Share of wrong decisions."""
    return rows.mean((rows.choices != rows.targets).mean(axis=1))


@METRICS.register("brier", tasks=TASKS, higher_is_better=False, weighted=True)
def brier(rows: Rows) -> float:
    """The :func:`brier_score`, from 0 to 1."""
    return brier_score(rows.shares, rows.targets, rows.weights)


@METRICS.register("macro_f1", tasks=TASKS, higher_is_better=True, weighted=True)
def macro_f1(rows: Rows) -> float | None:
    """Mean F1 over the labels that are there or predicted."""
    held, count = _counts(rows)
    return float((2 * held[count > 0] / count[count > 0]).mean()) if count.any() else None


@METRICS.register("map", tasks=TASKS, higher_is_better=True, weighted=True)
def mean_average_precision(rows: Rows) -> float | None:
    """Mean average precision over the labels that some row has."""
    from sklearn.metrics import average_precision_score

    p, t = rows.shares, rows.targets
    labels = np.flatnonzero(t.any(axis=0))
    if not len(labels):
        return None
    weights = rows.weights if rows.is_weighted else None
    return float(np.mean([average_precision_score(t[:, k], p[:, k], sample_weight=weights) for k in labels]))


@METRICS.register("auroc", tasks=TASKS, higher_is_better=True, weighted=True)
def auroc(rows: Rows) -> float | None:
    """Mean area under the curve over the labels that some row has and another lacks."""
    p, t = rows.shares, rows.targets
    labels = np.flatnonzero(t.any(axis=0) & (t == 0).any(axis=0))
    if not len(labels):
        return None
    weights = rows.weights if rows.is_weighted else None
    return float(weighted.areas(p[:, labels], t[:, labels] == 1, weights).mean())


def _counts(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """By label: the weight of rows that have it and it was predicted for, and the sum of both weights."""
    s, t = rows.choices.astype(np.float64), rows.targets.astype(np.float64)
    return rows.weights @ (t * s), rows.weights @ t + rows.weights @ s
