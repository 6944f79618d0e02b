"""Metrics of one of several ordered classes per row; as of classes, but distances of ranks count."""

from __future__ import annotations

import numpy as np

from polymodal.evaluation.metrics.class_metrics import ratio, right_rows
from polymodal.evaluation.metrics.metrics import METRICS, Additive, Rows

TASKS = ("ordinal",)


def rank_error_sums(rows: Rows) -> np.ndarray:
    """``(rows, 2)``: the distance of the predicted rank from the true one, and one."""
    distance = np.abs(rows.choices - rows.targets).astype(np.float64)
    return np.stack([distance, np.ones_like(distance)], axis=1)


def kappa_sums(rows: Rows) -> np.ndarray:
    """``(rows, 6)``: squared distance of the ranks, both ranks, their squares, and one."""
    predicted, true = rows.choices.astype(np.float64), rows.targets.astype(np.float64)
    sums = [np.square(predicted - true), predicted, true, np.square(predicted), np.square(true)]
    return np.stack([*sums, np.ones_like(true)], axis=1)


def quadratic_kappa_of(sums: np.ndarray) -> np.ndarray:
    """Cohen's kappa with quadratic weights (Cohen 1968) of :func:`kappa_sums`.

    With weights ``(i - j)²`` the expected disagreement of independent ranks is a function of their first and
    second moments, so that no table of classes is needed.
    """
    observed, first, second, squares, others, count = np.moveaxis(sums, -1, 0)
    expected = squares + others - 2 * first * second / count
    return np.where(expected > 1e-12 * (squares + others), 1 - observed / expected, np.nan)


RANK_ERROR = Additive(rank_error_sums, ratio)
KAPPA = Additive(kappa_sums, quadratic_kappa_of)


@METRICS.register("rank_mae", tasks=TASKS, higher_is_better=False, weighted=True, additive=RANK_ERROR)
def rank_mae(rows: Rows) -> float | None:
    """Mean distance of the predicted rank from the true one."""
    return RANK_ERROR.of(rows)


@METRICS.register("quadratic_kappa", tasks=TASKS, higher_is_better=True, weighted=True, additive=KAPPA)
def quadratic_kappa(rows: Rows) -> float | None:
    """Cohen's kappa with quadratic weights; not defined where truth and answers are one class."""
    return KAPPA.of(rows)


@METRICS.register("accuracy", tasks=TASKS, higher_is_better=True, weighted=True,
                  additive=Additive(right_rows, ratio))  # fmt: skip
def accuracy(rows: Rows) -> float:
    """Share of rows whose class is right."""
    return rows.mean(rows.choices == rows.targets)
