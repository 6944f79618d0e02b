"""What can be the user's to mend: every message is one line a thing, and says the cure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


class PolymodalError(Exception):
    """A mistake in what was given, not in the program; its text is all a user needs to see."""


class ConfigError(PolymodalError):
    """The declaration asks for something that does not exist or does not fit."""


class RunError(PolymodalError):
    """A run folder is incomplete, of another version, or asked for what it cannot do."""


class ToldElsewhere(PolymodalError):
    """Another process of the same training failed, and tells why."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with the data, and where.

    Attributes:
        found: What stands there.
        expected: What should stand there.
        cure: What the user can do about it.
        file: The table or medium, as the user named it.
        row: Number of the row, from 1, the header not counted.
        column: Name of the column.
    """

    found: str
    expected: str = ""
    cure: str = ""
    file: str = ""
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        place = [self.file] if self.file else []
        if self.row is not None:
            place.append(f"row {self.row}")
        if self.column is not None:
            place.append(f"column '{self.column}'")
        text = f"{', '.join(place)}: {self.found}" if place else self.found
        if self.expected:
            text += f", expected {self.expected}"
        return f"{text}. {self.cure}" if self.cure else text


class DataError(PolymodalError):
    """The data cannot be used as they are; holds every problem, not the first one."""

    SHOWN = 20

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        lines = [str(problem) for problem in self.problems[: self.SHOWN]]
        if len(self.problems) > self.SHOWN:
            lines.append(f"… and {len(self.problems) - self.SHOWN} more")
        super().__init__("\n".join(lines))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known name and lists the others (at most twenty)."""
    known = [str(entry) for entry in known]
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    listed = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    return (f"Did you mean '{near[0]}'? " if near else "") + f"There are: {listed}"
