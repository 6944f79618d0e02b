"""A metric of another package: Matthews' correlation coefficient of several classes (Gorodkin 2004)."""

from __future__ import annotations

import numpy as np

import polymodal as pm
from polymodal.evaluation.metrics.class_metrics import class_counts
from polymodal.evaluation.metrics.metrics import Additive


def mcc_of(sums):
    """Of sums ``(…, 3 · classes)``; see :func:`class_counts`."""
    right, predicted, true = np.split(sums, 3, axis=-1)
    rows = true.sum(axis=-1)
    shared = right.sum(axis=-1) * rows - (predicted * true).sum(axis=-1)
    spread = (rows**2 - (predicted**2).sum(axis=-1)) * (rows**2 - (true**2).sum(axis=-1))
    return np.where(spread > 0, shared / np.sqrt(np.maximum(spread, 1e-300)), 0.0)


MCC = Additive(class_counts, mcc_of)


@pm.METRICS.register("mcc", tasks=("classification",), higher_is_better=True, weighted=True, additive=MCC)
def mcc(rows):
    """Matthews' correlation coefficient."""
    return MCC.of(rows)
