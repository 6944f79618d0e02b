"""Number of threads on a CPU: the budget of this process, and the number that is fastest at present.

Threads of OpenMP that wait for each other spin by default. Where another program needs the cores, they then
wait for each other many times longer than they compute. ``OMP_WAIT_POLICY=PASSIVE`` lets them sleep; OpenMP
reads it once, when torch is loaded, so that ``polymodal/__init__.py`` sets it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from polymodal.utils.records import JsonObject

FIXED = "OMP_NUM_THREADS"
"""The environment variable by which a user, or ``torchrun``, fixes the number."""
GAIN = 0.9
"""More threads are used if a step takes less than this share of its time with fewer."""
ROUNDS = 7
"""Steps that are timed with each number of threads; their median is compared."""
LONGEST = 6.0
"""Seconds after which timing of a number of threads stops."""


@dataclass(frozen=True)
class ThreadChoice:
    """The number of threads of a training.

    Attributes:
        threads: The number.
        available: Cores that this process may use.
        reason: ``timed``, ``fixed`` (by ``train.threads`` or the environment) or ``one core``.
        seconds: Median seconds of a step, by number of threads; empty where none was timed.
    """

    threads: int
    available: int
    reason: str = "timed"
    seconds: Mapping[int, float] = field(default_factory=dict)

    def __str__(self) -> str:
        steps = ", ".join(f"{1000 * spent:.3g} ms with {count}" for count, spent in self.seconds.items())
        return f"{self.threads} of {self.available} threads" + (f" (a step takes {steps})" if steps else "")

    def to_json(self) -> JsonObject:
        """The choice as JSON values."""
        return asdict(self) | {"seconds": {str(count): spent for count, spent in self.seconds.items()}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ThreadChoice:
        """The choice from the values of :meth:`to_json`."""
        seconds = {int(count): spent for count, spent in values["seconds"].items()}
        return cls(values["threads"], values["available"], values["reason"], seconds)


def available_threads(workers: int = 0) -> int:
    """Threads that this process may use beside ``workers`` loading processes, at least one.

    Limited by affinity and the CPU quota of a container, as joblib reads them, and by ``OMP_NUM_THREADS``.
    """
    from joblib import cpu_count

    fixed = os.environ.get(FIXED, "").split(",")[0]
    cores = min(cpu_count(), int(fixed)) if fixed.isdigit() and int(fixed) else cpu_count()
    return max(1, cores - workers)


def fixed_threads(workers: int = 0, fixed: int | None = None) -> ThreadChoice | None:
    """The number of threads where it is fixed; None where the fastest is to be timed.

    Args:
        workers: Processes that load rows at the same time.
        fixed: The user's number.
    """
    available = available_threads(workers)
    if fixed is not None or FIXED in os.environ:
        return ThreadChoice(fixed or available, available, "fixed")
    return ThreadChoice(1, 1, "one core") if available == 1 else None


def choose_threads(step: Callable[[], None], available: int) -> ThreadChoice:
    """Find the fastest number of threads for ``step``, which must not change any state.

    The number is doubled from 1 as long as a step gains by it. Two numbers are timed in alternation, so that
    other load on the machine slows both.

    Args:
        step: One step of a training.
        available: The most threads.
    """
    with computing_threads(1):
        best, seconds = 1, dict[int, float]()
        while best < available:
            more = min(2 * best, available)
            one, other = _alternate(step, best, more)
            seconds |= {best: one, more: other}
            if other > GAIN * one:
                break
            best = more
    return ThreadChoice(best, available, "timed", seconds)


def _alternate(step: Callable[[], None], fewer: int, more: int) -> tuple[float, float]:
    """Median seconds of a step with each number of threads, after warm-up steps."""
    import torch  # to count cores needs none

    spent: dict[int, list[float]] = {fewer: [], more: []}
    began = time.perf_counter()
    for turn in range(ROUNDS + 1):
        for count in (fewer, more) if turn % 2 else (more, fewer):
            torch.set_num_threads(count)
            start = time.perf_counter()
            step()
            spent[count].append(time.perf_counter() - start)
        if time.perf_counter() - began > LONGEST and turn:
            break
    return median(spent[fewer][1:]), median(spent[more][1:])


def limit_threads(count: int) -> None:
    """Limit BLAS and OpenMP to ``count`` threads in this process, in all libraries that are loaded."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(count)


@contextmanager
def computing_threads(count: int | None = None) -> Iterator[None]:
    """Compute with ``count`` threads inside the block (None: no change), and restore it afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
