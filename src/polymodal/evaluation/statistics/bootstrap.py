"""Bootstrap intervals; rows of one cluster are resampled together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from polymodal.utils.records import Record

LEVEL = 0.95
SAMPLES = 1000
FEWEST_GROUPS = 30
"""Fewest rows, or groups of rows, for reliable percentile intervals."""


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
        groups: ``(rows,)`` the group of each row; rows of one group are drawn together.
        samples: Number of resamples.
        seed: Seed of the draws, which are the same for all calls of one object: differences are paired.
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
        """``value`` with its interval (see :func:`estimate`); without one for a single group."""
        return estimate(value, samples if self.count > 1 else np.full(samples.shape, np.nan))


def interval(samples: np.ndarray, level: float = LEVEL) -> tuple[Any, Any]:
    """The percentile interval over the first axis of ``samples`` ``(samples, …)``; without NaN samples."""
    tail = 50 * (1 - level)
    if not np.isfinite(samples).any():
        nothing = np.full(samples.shape[1:], np.nan)
        return nothing, nothing
    low, high = np.nanpercentile(samples, [tail, 100 - tail], axis=0)
    return low, high


def estimate(value: Any, samples: np.ndarray) -> Estimate:
    """``value`` with its interval as JSON values; None where undefined."""
    low, high = interval(samples)
    return Estimate(value=finite(value), low=finite(low), high=finite(high))


def finite(value: Any) -> float | None:
    """A rounded Python number; None for NaN and infinity."""
    return round(float(value), 12) + 0.0 if np.isfinite(value) else None
