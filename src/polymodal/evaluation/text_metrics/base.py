"""What a metric of generated words gives back, and the names under which metrics are found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps

import numpy as np

from polymodal.evaluation.text_metrics.normalization import cleaned
from polymodal.utils.registry import Registry

References = Sequence[Sequence[str]]
"""One or several accepted answers a row."""
OfSums = Callable[[np.ndarray], np.ndarray]
"""Sums ``(…, sums)`` → the metric ``(…)``, NaN where it is not defined."""


@dataclass(frozen=True)
class Measured:
    """A metric over rows, as sums, so that any resampling or choice of rows costs one addition.

    Attributes:
        rows: ``(rows,)`` the metric of each row alone.
        statistics: ``(rows, sums)`` what each row adds to the metric of all, as
            :meth:`polymodal.evaluation.statistics.bootstrap.Bootstrap.resample` takes it.
        value: See :data:`OfSums`.
        how: What was compared, such as the tokenization; empty where the name says it all.
    """

    rows: np.ndarray
    statistics: np.ndarray
    value: OfSums
    how: str = ""

    @property
    def figure(self) -> float:
        """Over all rows."""
        return float(self.value(self.statistics.sum(axis=0)))

    def among(self, chosen: np.ndarray) -> float:
        """Over ``chosen``, ``(rows,)`` bool or places of rows; NaN where none is chosen."""
        few = self.statistics[chosen]
        return float(self.value(few.sum(axis=0))) if len(few) else float("nan")


WordMetric = Callable[[Sequence[str], References], Measured]

WORD_METRICS: Registry[WordMetric] = Registry("metric of words", group="polymodal.word_metrics")
HIGHER_IS_BETTER: dict[str, bool] = {}
"""By name, entered by :func:`word_metric`."""


def word_metric(name: str, *, higher_is_better: bool = True) -> Callable[[WordMetric], WordMetric]:
    """A decorator that enters a metric under ``name``; it is then given texts that are checked and clean.

    Args:
        name: Under which it is asked for.
        higher_is_better: Whether more of it is better.
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
        if isinstance(row, str):  # it would be read as references of one letter each
            raise ValueError(f"the references of row {number} are a text, expected a list of texts")
        if not len(row):
            raise ValueError(f"row {number} has no reference. Leave it out")
