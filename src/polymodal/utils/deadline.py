"""A time limit: how much of it is left, and shares of it that are passed on to parts of the work."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from polymodal.errors import ConfigError, PolymodalError
from polymodal.utils.atomic import write_text, writing
from polymodal.utils.json_files import read_json

Clock = Callable[[], float]
"""Seconds from any fixed moment; never goes back."""

FORM = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s?)?")
EXPECTED = "expected seconds above 0, or such as 90s, 10m or 1h30m"
KEPT_EVERY = 5.0
"""Seconds between two writes of the time that a fit has taken."""


TIMED_PIECES, TIMED_SECONDS, TIMED_SHARE = 2, 1.0, 0.02
"""Pieces of work, seconds, and the share of the time that they may take, after which their pace is known."""
T = TypeVar("T")


class OutOfTime(PolymodalError):
    """The time left is too short for a part of the work.

    Attributes:
        shortest: About the shortest limit in seconds that leaves room for it.
    """

    def __init__(self, message: str, shortest: float) -> None:
        super().__init__(message)
        self.shortest = shortest


@dataclass(frozen=True)
class Deadline:
    """A moment at which work has to be done; infinitely far without a time limit.

    Attributes:
        limit: Seconds that were given, counted from ``began``.
        began: On ``clock``; earlier by the seconds of the legs of a resumed fit.
        end: On ``clock``: ``began + limit``, or earlier where later work needs time too.
        clock: The clock.
        file: Where the time taken is kept for a later leg; None: nowhere.
        earlier: Seconds that were taken before ``began``.
        reserved: Seconds between ``end`` and the limit.
        pieces: Equal pieces of work that the time left was divided among.
    """

    limit: float
    began: float
    end: float
    clock: Clock = time.monotonic
    file: Path | None = None
    earlier: float = 0.0
    reserved: float = 0.0
    pieces: float = 1

    @classmethod
    def start(cls, limit: float = math.inf, *, clock: Clock = time.monotonic) -> Self:
        """A limit that is counted from now."""
        now = clock()
        return cls(limit, now, now + limit, clock)

    @property
    def is_set(self) -> bool:
        """Whether there is a limit."""
        return math.isfinite(self.limit)

    @property
    def spent(self) -> float:
        """Seconds since the beginning, those of earlier legs included."""
        return self.clock() - self.began

    @property
    def left(self) -> float:
        """Seconds until the end; below 0 once it has passed."""
        return self.end - self.clock()

    def limited(self, limit: float | None) -> Self:
        """The same beginning with another limit; None for no limit."""
        limit = math.inf if limit is None else limit
        return replace(self, limit=limit, end=self.began + limit)

    def before(self, seconds: float) -> Self:
        """A deadline that leaves so many seconds for later work."""
        if not self.is_set:
            return self
        return replace(self, end=self.end - seconds, reserved=self.reserved + seconds)

    def share(self, of: float) -> Self:
        """The deadline of the next of so many equal pieces of work; its size is one."""
        if not self.is_set:
            return self
        return replace(self, end=self.clock() + self.left / of, pieces=self.pieces * of)

    def part(self, of: int) -> Self:
        """The same as a limit of its own, which begins now."""
        if not self.is_set:
            return self
        now, limit = self.clock(), max(0.0, self.left / of)
        return replace(self, limit=limit, began=now, end=now + limit, earlier=self.earlier + self.spent)

    def resumed(self, file: Path, *, legs: bool) -> Self:
        """The deadline that counts the seconds kept in ``file``, if ``legs``, and keeps its own there."""
        spent = _kept(file) if legs else 0.0
        return replace(self, began=self.began - spent, end=self.end - spent, file=file)

    def keep(self) -> None:
        """Keep the time taken; at most every few seconds, and not once the folder is removed.

        Raises:
            RunError: If it cannot be written.
        """
        file = self.file
        if file is None or not file.parent.is_dir():
            return
        spent = self.earlier + self.spent
        if spent < _kept(file) + KEPT_EVERY:
            return
        with writing(file):
            write_text(file, json.dumps({"seconds": round(spent, 1)}) + "\n")

    def require(self, seconds: float, what: str) -> None:
        """Check that there is time for a part of the work.

        Args:
            seconds: That it takes, about.
            what: Names it.

        Raises:
            OutOfTime: If there is not.
        """
        if seconds > self.left:
            shortest = self.spent + self.pieces * seconds + self.reserved
            takes = f"about {in_words(seconds)}" if seconds >= 1 else "up to 1s"
            left = f"{in_words(self.left)} are" if self.left >= 1 else "nothing is"
            raise OutOfTime(f"{what} takes {takes}, and {left} left of the time limit", shortest)


def bounded(
    items: Iterable[T],
    total: int,
    deadline: Deadline,
    what: str,
    *,
    share: float = 1.0,
    after: int = TIMED_PIECES,
) -> Iterator[T]:
    """Iterate over equal pieces of work as long as all of them can be done in time.

    The first piece is often slower than the others, so that their pace is taken from the second on. The more
    of them is done, the more of the time may go into the rest: half of what ``share`` leaves, at the end.
    Work that is nearly done is not given up for a slow moment.

    Args:
        items: Of the work, ``total`` of them.
        total: Their number.
        deadline: Of the work.
        what: Names the work.
        share: Of the time left at the beginning that the work may take.
        after: Pieces after which their pace is known.

    Raises:
        OutOfTime: Once the first pieces show that the others would come too late.
    """
    begun, left, first = deadline.clock(), deadline.left, 0.0
    for done, item in enumerate(items):
        passed, allowed = deadline.clock() - begun, (share + (1 - share) / 2 * done / total) * left
        first = passed if done == 1 else first
        if done >= after and passed >= max(TIMED_SECONDS, TIMED_SHARE * allowed):
            pace = (passed - first) / (done - 1) if done > 1 else passed
            rest = pace * (total - done)
            deadline.before(deadline.left - (allowed - passed)).require(rest, what)
        yield item


def in_time(items: Iterable[T], deadline: Deadline) -> Iterator[T]:
    """The first items, as many as can be worked on before a deadline, at least one.

    An item is taken if the mean time of those before it, half as much again, is left.
    """
    begun = deadline.clock()
    for done, item in enumerate(items):
        if done and 1.5 * (deadline.clock() - begun) / done > deadline.left:
            return
        yield item


NO_LIMIT = Deadline.start()
"""No time limit; its beginning is that of the program."""


def too_short(deadline: Deadline, shortest: float, reason: str = "") -> ConfigError:
    """The error about a limit within which nothing can be done."""
    because = f" ({reason})" if reason else ""
    fix = f"The shortest that works is about {in_words(rounded_up(shortest))}"
    return ConfigError(f"a time limit of {in_words(deadline.limit)} is too short{because}. {fix}")


def rounded_up(seconds: float) -> float:
    """A fifth more, in steps of 5 seconds: timings differ from one fit to the next."""
    return 5.0 * math.ceil(1.2 * seconds / 5)


def read_limit(value: float | str) -> float:
    """Seconds of a time limit: a number, or a text such as ``90s``, ``10m`` or ``1h30m``.

    Raises:
        ValueError: If it is neither, or not above 0.
    """
    if isinstance(value, str):
        parts = FORM.fullmatch(value.strip().lower().replace(" ", ""))
        if parts is None or not any(parts.groups()):
            raise ValueError(f"{value!r} is no length of time, {EXPECTED}")
        hours, minutes, seconds = (float(part or 0) for part in parts.groups())
        value = 3600 * hours + 60 * minutes + seconds
    if isinstance(value, bool) or not value > 0 or not math.isfinite(value):
        raise ValueError(f"{value!r} is no length of time, {EXPECTED}")
    return float(value)


def in_words(seconds: float) -> str:
    """Such as ``90s``, ``10m`` or ``1h30m``, rounded to seconds; a text that :func:`read_limit` takes."""
    whole = round(seconds)
    if whole < 120 and whole % 60:
        return f"{whole}s"
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def _kept(file: Path) -> float:
    """The seconds kept in a file; 0 where it is missing or holds none."""
    try:
        seconds = read_json(file)["seconds"]
    except (OSError, ValueError, LookupError, TypeError):
        return 0.0
    return float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < math.inf else 0.0
