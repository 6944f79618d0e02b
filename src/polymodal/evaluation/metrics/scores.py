"""Metrics as functions of sums over rows, so that any resampling of the rows is one matrix product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from polymodal.evaluation.arrays import Values
from polymodal.evaluation.metrics.class_metrics import class_counts
from polymodal.evaluation.metrics.metrics import METRICS, Additive, Metric, Rows

MOST_CLASSES = 50
"""Above it no metric of counts per class is resampled: its sums would fill the memory."""


@dataclass(frozen=True)
class Score:
    """A metric, the higher the better, of what rows add up to.

    Attributes:
        name: Of a metric that is :class:`~polymodal.evaluation.metrics.metrics.Additive`, such as
            ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``micro_f1`` or ``r2``.
        classes: Number of classes, for metrics that average over them.
        task: Whose metric it is, where several tasks have one of that name.
    """

    name: str
    classes: int = 0
    task: str = field(default="", compare=False)

    def statistics(self, answer: Values, target: Values, decided: Mapping[str, Values]) -> np.ndarray:
        """The contribution of each row to the sums, ``(rows, sums)``; every target must be known.

        Args:
            answer: Of the head, ``(rows, classes)`` or ``(rows,)``.
            target: ``(rows,)``, or ``(rows, classes)`` for labels.
            decided: See :meth:`polymodal.models.heads.Head.decide`.
        """
        return self._additive.rows(Rows(answer, target, decided=decided, classes=self.classes))

    def value(self, sums: np.ndarray) -> np.ndarray:
        """The metric of sums ``(…, sums)``: ``(…)``, NaN where it is not defined."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._additive.value(sums)

    @property
    def _additive(self) -> Additive:
        additive = METRICS.named(self.name, self.task).additive
        if additive is None:
            raise ValueError(f"the metric '{self.name}' is no function of sums over rows")
        return additive


def can_score(metric: Metric, classes: int) -> bool:
    """Whether a metric can be resampled, and more of it is better."""
    if metric.additive is None or not metric.higher_is_better:
        return False
    return classes <= MOST_CLASSES or metric.additive.rows is not class_counts
