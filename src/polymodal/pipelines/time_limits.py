"""The time limit of a fit: its deadline, and what is kept of it for the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polymodal.artifact.capabilities import Kind
from polymodal.errors import ConfigError
from polymodal.training.opening import AnyJob
from polymodal.training.request import FitRequest
from polymodal.utils import distributed as processes
from polymodal.utils.deadline import Deadline, OutOfTime, too_short

FILE = "time.json"
"""Beside the checkpoints: the seconds that a fit has taken, for the leg that resumes it."""
LEAST = 5.0
"""Seconds that the smallest training takes, about."""
END_SHARE, END_LEAST, END_MOST = 0.15, 8.0, 90.0
"""Share of a limit that is kept for metrics and pages, and its bounds in seconds. A report takes the rest of
the time too; one for which it is too short is measured on fewer rows, or leaves parts out."""


def deadline_of(request: FitRequest, job: AnyJob, folder: Path) -> Deadline:
    """The deadline of a fit, counted from its request and, where it is resumed, with its earlier legs.

    Args:
        request: With the limit, unless it is declared.
        job: Opened.
        folder: Of the run or the runs.

    Raises:
        ConfigError: If the fit is of a kind that knows no time limit.
    """
    deadline = request.deadline(job.declaration.train.time_limit)
    if deadline.is_set and job.kind is Kind.words:
        raise ConfigError("a time limit does not go with answers in words. Leave one of them out")
    if deadline.is_set and processes.count() > 1:
        raise ConfigError("a time limit does not go with several processes. Leave one of them out")
    return deadline.resumed(folder / "checkpoints" / FILE, legs=request.resume)


def end_seconds(deadline: Deadline) -> float:
    """What is kept of a limit for metrics and pages; 0 without one."""
    if not deadline.is_set:
        return 0.0
    return min(END_MOST, max(END_LEAST, END_SHARE * deadline.limit))


def require_some(deadline: Deadline) -> None:
    """Check that there is time for any training.

    Raises:
        OutOfTime: If there is not.
    """
    if deadline.left < LEAST:
        begun = "reading and checking the table took it, or earlier legs of this fit"
        raise OutOfTime(begun, deadline.spent + LEAST + end_seconds(deadline))


@contextmanager
def in_its_time(deadline: Deadline, fits: int = 0) -> Iterator[None]:
    """Keep the time that a fit takes; a limit too short for it becomes an error.

    Args:
        deadline: Of the fit, or of all fits.
        fits: Number of fits that share what is left, each by :meth:`Deadline.part`; 0: one fit has it all.

    Raises:
        ConfigError: In place of :class:`OutOfTime`, naming the shortest limit that works.
    """
    before = deadline.spent if fits else 0.0
    try:
        yield
    except OutOfTime as error:
        raise too_short(deadline, before + max(1, fits) * error.shortest, str(error)) from None
    finally:
        if processes.is_main():
            deadline.keep()
