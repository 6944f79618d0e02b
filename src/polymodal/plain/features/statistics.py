"""Statistics over time, with the names of their columns."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]


def _deviation_of_change(values: np.ndarray) -> np.ndarray:
    """The standard deviation from one step to the next; 0 for a single step."""
    return np.diff(values, axis=0).std(axis=0) if len(values) > 1 else np.zeros(values.shape[1])


def _slope(values: np.ndarray) -> np.ndarray:
    """Least-squares slope per full length; 0 for a single step."""
    time = np.linspace(-0.5, 0.5, len(values)) if len(values) > 1 else np.zeros(1)
    return time @ values / max(float(time @ time), 1e-12)


STATISTICS: Mapping[str, Statistic] = {
    "mean": lambda values: values.mean(axis=0),
    "deviation": lambda values: values.std(axis=0),
    "minimum": lambda values: values.min(axis=0),
    "maximum": lambda values: values.max(axis=0),
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
    "slope": _slope,
    "change": _deviation_of_change,
}
"""By name; of values ``(steps, columns)``, at least one step, to ``(columns,)``."""


def over_time(values: np.ndarray, statistics: Sequence[str]) -> np.ndarray:
    """The statistics of values ``(steps, columns)``, one after the other: ``(statistics × columns,)``."""
    return np.concatenate([STATISTICS[name](values) for name in statistics])


def quantiles(values: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Quantiles of values ``(steps, columns)``, each the nearest value below: ``(shares × columns,)``."""
    ranked = np.sort(values, axis=0)
    return np.concatenate([ranked[int(share * (len(values) - 1))] for share in shares])


def segments(values: np.ndarray, number: int) -> np.ndarray:
    """Means of values ``(steps, columns)`` over equal stretches of time: ``(number × columns,)``.

    Stretches end between steps; of a series shorter than ``number``, a step fills several of them.
    """
    edges = np.linspace(0, len(values), number + 1)
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    whole = np.minimum(edges.astype(int), len(values) - 1)
    until = total[whole] + (edges - whole)[:, None] * values[whole]
    return (np.diff(until, axis=0) * number / len(values)).ravel()


def named(columns: Sequence[str], statistics: Sequence[str]) -> list[str]:
    """The names of the columns that :func:`over_time`, :func:`quantiles` and :func:`segments` return."""
    return [f"{column}, {statistic}" for statistic in statistics for column in columns]
