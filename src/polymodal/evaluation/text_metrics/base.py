"""Results of text metrics, and their registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps

import numpy as np

from polymodal.evaluation.text_metrics.normalization import cleaned
from polymodal.utils.registry import Registry

References = Sequence[Sequence[str]]
"""One or several references per row."""
OfSums = Callable[[np.ndarray], np.ndarray]
"""Sums ``(…, sums)`` → the metric ``(…)``, NaN where it is not defined."""


@dataclass(frozen=True)
class Measured:
    """A metric over rows as sums, so that it is cheap for any resample or subset of rows.

    Attributes:
        rows: ``(rows,)`` the metric of each single row.
        statistics: ``(rows, sums)`` the terms of each row, as
            :meth:`polymodal.evaluation.statistics.bootstrap.Bootstrap.resample` takes it.
        value: See :data:`OfSums`.
        how: Details such as the tokenization; empty if there are none.
    """

    rows: np.ndarray
    statistics: np.ndarray
    value: OfSums
    how: str = ""

    @property
    def figure(self) -> float:
        """The metric over all rows."""
        return float(self.value(self.statistics.sum(axis=0)))

    def among(self, chosen: np.ndarray) -> float:
        """The metric over ``chosen``, ``(rows,)`` bool or row indices; NaN without rows."""
        few = self.statistics[chosen]
        return float(self.value(few.sum(axis=0))) if len(few) else float("nan")


WordMetric = Callable[[Sequence[str], References], Measured]

WORD_METRICS: Registry[WordMetric] = Registry("metric of words", group="polymodal.word_metrics")
HIGHER_IS_BETTER: dict[str, bool] = {}
"""By name of the metric; filled by :func:`word_metric`."""


def word_metric(name: str, *, higher_is_better: bool = True) -> Callable[[WordMetric], WordMetric]:
    """A decorator that registers a metric; it is called with checked and cleaned texts.

    Args:
        name: Name of the metric.
        higher_is_better: Whether higher values are better.
    """

    def enter(metric: WordMetric) -> WordMetric:
        @wraps(metric)
        def measure(answers: Sequence[str], references: References) -> Measured:
            _check(answers, references)
            accepted = [[cleaned(text) for text in row] for row in references]
            return metric([cleaned(answer) for answer in answers], accepted)

        HIGHER_IS_BETTER[name] = higher_is_better
        return WORD_METRICS.register(name)(measure)

    return enter


def mean_of(rows: Sequence[float] | np.ndarray, how: str = "") -> Measured:
    """A metric that is the mean of its rows."""
    values = np.asarray(rows, dtype=float)
    return Measured(values, np.stack([values, np.ones_like(values)], axis=1), _mean, how)


def _mean(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def _check(answers: Sequence[str], references: References) -> None:
    """Raises ValueError where rows do not belong together, or have nothing to be compared with."""
    if not len(answers):
        raise ValueError("there are no answers to be measured")
    if len(answers) != len(references):
        raise ValueError(f"{len(answers)} answers were given, and references of {len(references)} rows")
    for number, row in enumerate(references, start=1):
        if isinstance(row, str):  # it would be a sequence of one-letter references
            raise ValueError(f"the references of row {number} are a text, expected a list of texts")
        if not len(row):
            raise ValueError(f"row {number} has no reference. Leave it out")
