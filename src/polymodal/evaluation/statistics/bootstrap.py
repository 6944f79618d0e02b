"""Bootstrap intervals from resampled rows; the rows of a cluster are drawn together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from polymodal.utils.records import Record

LEVEL = 0.95
SAMPLES = 1000
FEWEST_GROUPS = 30
"""With fewer rows, or groups of rows, percentiles of resamples are too narrow to be trusted."""


@dataclass(frozen=True, kw_only=True)
class Estimate(Record):
    """A figure with its bootstrap interval.

    Attributes:
        value: The figure on the rows themselves; None where it is not defined.
        low: The lower end of the 95 % interval; None where there is none.
        high: The upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


class Bootstrap:
    """Resamples groups of rows with replacement (the cluster bootstrap; Efron 1979, Davison & Hinkley 1997).

    Args:
        groups: ``(rows,)`` what each row belongs to; rows of one group are drawn together.
        samples: How many resamples.
        seed: Of the draws, which are the same for every call on one object: differences are paired.
    """

    def __init__(self, groups: np.ndarray, *, samples: int = SAMPLES, seed: int = 0) -> None:
        self.codes = np.unique(groups, return_inverse=True)[1].reshape(-1)
        self.samples, self.seed = samples, seed

    @property
    def count(self) -> int:
        """Number of groups."""
        return int(self.codes.max()) + 1 if len(self.codes) else 0

    @cached_property
    def weights(self) -> np.ndarray:
        """``(samples, groups)``: how often each group is drawn."""
        random = np.random.default_rng(self.seed)
        return random.multinomial(self.count, np.full(self.count, 1 / self.count), self.samples).astype(float)

    def grouped(self, statistics: np.ndarray) -> np.ndarray:
        """Sums by group, ``(…, groups, sums)``, of ``statistics`` ``(…, rows, sums)``."""
        summed = np.zeros((*statistics.shape[:-2], self.count, statistics.shape[-1]))
        np.add.at(np.moveaxis(summed, -2, 0), self.codes, np.moveaxis(statistics, -2, 0))
        return summed

    def resample(self, statistics: np.ndarray) -> np.ndarray:
        """Sums of each resample, ``(samples, …, sums)``, of ``statistics`` ``(…, rows, sums)``."""
        return np.tensordot(self.weights, self.grouped(statistics), axes=(1, -2))

    def estimate(self, value: Any, samples: np.ndarray) -> Estimate:
        """As :func:`estimate`, without an interval for a single group, whose resamples are all the same."""
        return estimate(value, samples if self.count > 1 else np.full(samples.shape, np.nan))


def interval(samples: np.ndarray, level: float = LEVEL) -> tuple[Any, Any]:
    """The percentile interval over the first axis of ``samples`` ``(samples, …)``; NaN samples left out."""
    tail = 50 * (1 - level)
    if not np.isfinite(samples).any():
        nothing = np.full(samples.shape[1:], np.nan)
        return nothing, nothing
    low, high = np.nanpercentile(samples, [tail, 100 - tail], axis=0)
    return low, high


def estimate(value: Any, samples: np.ndarray) -> Estimate:
    """``value`` with the percentile interval of ``samples`` ``(samples,)``."""
    low, high = interval(samples)
    return Estimate(value=finite(value), low=finite(low), high=finite(high))


def finite(value: Any) -> float | None:
    """A plain number, without the last digits of rounding, or None for NaN and infinity."""
    return round(float(value), 12) + 0.0 if np.isfinite(value) else None
