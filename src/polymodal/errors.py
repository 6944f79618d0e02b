"""Errors and warnings that a user can fix: a line per problem, with its location and the fix."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NoReturn

LONGEST = 1000
"""Characters of a line: a message shows what it is about, not all of it."""
TURNS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that change the direction of the text behind them."""
_COMMAND_LINE: ContextVar[bool] = ContextVar("polymodal_command_line", default=False)
_OPTIONS = {"output": "-o", "start": "--from"}
"""Options of the command line that are named unlike the arguments of Python functions."""
_CLASS = re.compile(r"<class '([\w.]+)'>")


class PolymodalError(Exception):
    """A mistake in the input, not in the program; its text is all a user needs to see."""

    def __init__(self, message: str = "") -> None:
        """Lines are kept; what a terminal would not show, or obey, is written out."""
        super().__init__("\n".join(one_line(line, LONGEST) for line in str(message).split("\n")))


class ConfigError(PolymodalError):
    """The declaration names something that does not exist or does not fit the data."""


class RunError(PolymodalError):
    """A run folder is incomplete, of another version, or does not support the request."""


class InputWarning(UserWarning):
    """The rows to predict lack inputs of the run, or hold values that its training never saw."""


class ReadingWarning(InputWarning):
    """Cells of the rows to predict were changed as they were read, such as clipped at full scale."""


class ReportedElsewhere(PolymodalError):
    """Another process of the same training failed, and reports the error."""


class Terminated(SystemExit):
    """SIGTERM arrived, which is how Slurm, Kubernetes and ``docker stop`` end a process; exit status 143."""

    def __init__(self) -> None:
        super().__init__(143)


def raise_terminated(number: int, frame: Any) -> NoReturn:
    """Handle SIGTERM: what is open is closed and half-written files are removed, as on Ctrl-C.

    Raises:
        Terminated: In any case.
    """
    raise Terminated


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem of the data and its location.

    Attributes:
        found: The value or state that is wrong.
        expected: What it should be instead.
        cure: How to fix it.
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
        place = [one_line(self.file, 250)] if self.file else []
        if self.row is not None:
            place.append(f"row {self.row}")
        if self.column is not None:
            place.append(f"column '{one_line(self.column, 80)}'")
        found = one_line(self.found, 300)
        text = f"{', '.join(place)}: {found}" if place else found
        if self.expected:
            text += f", expected {one_line(self.expected, 200)}"
        return f"{text}. {one_line(self.cure, 500)}" if self.cure else text


class DataError(PolymodalError):
    """The data cannot be used unchanged; holds every problem, not just the first."""

    SHOWN = 20
    ALIKE = 5
    """Of more rows of a column with the same problem the first three of the table are shown."""

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        every, alike = self._shown()
        shown = every[: self.SHOWN]
        columns = [problem.column for problem in shown if problem.column is not None]
        named = {name: alike[name] for name in columns if name in alike}
        lines = [str(problem) for problem in shown]
        lines += [
            f"… and at least {n} more rows of column '{one_line(name, 80)}'" for name, n in named.items()
        ]
        if others := len(self.problems) - len(shown) - sum(named.values()):
            lines.append(f"… and {others} more")
        super().__init__("\n".join(lines))

    def _shown(self) -> tuple[list[Problem], dict[str, int]]:
        """The problems to show, and by column the number of rows with the same one that are not."""
        kinds: dict[tuple[str, str | None, str, str], list[Problem]] = {}
        for problem in self.problems:
            place = problem.column if problem.row is not None else None
            kinds.setdefault((problem.file, place, problem.expected, problem.cure), []).append(problem)
        left_out: set[int] = set()
        alike: dict[str, int] = {}
        for (_, column, expected, _), group in kinds.items():
            if column is not None and expected and len(group) > self.ALIKE:
                first = sorted(group, key=lambda problem: problem.row or 0)
                left_out |= {id(problem) for problem in first[3:]}
                alike[column] = alike.get(column, 0) + len(group) - 3
        return [problem for problem in self.problems if id(problem) not in left_out], alike


@contextmanager
def on_command_line() -> Iterator[None]:
    """Within the block messages name options and commands, not arguments and functions of Python."""
    token = _COMMAND_LINE.set(True)
    try:
        yield
    finally:
        _COMMAND_LINE.reset(token)


def worded(command: str, python: str) -> str:
    """``command`` if the command line was called, ``python`` if Python was: what the user is to write."""
    return command if _COMMAND_LINE.get() else python


def option(name: str, value: str | float | None = None) -> str:
    """An option as the user is to write it: ``--on-error skip``, or in Python ``on_error='skip'``.

    Args:
        name: Of the argument in Python.
        value: Its value; True for a switch, None where none is named.
    """
    switch = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
    command = switch if value is None or value is True else f"{switch} {value}"
    return worded(command, f"{name}={'' if value is None else repr(value)}")


def setting(name: str, value: str | float | Sequence[str]) -> str:
    """A setting as the user is to write it: ``--set a.b=3``, or in Python ``settings={'a.b': 3}``.

    Args:
        name: With its section.
        value: Its value.
    """
    listed = value if isinstance(value, str | float | int) else f"[{','.join(value)}]"
    python = value if isinstance(value, str | float | int) else list(value)
    return worded(f"--set {name}={listed}", f"settings={{{name!r}: {python!r}}}")


def _plain_name(name: str) -> str:
    """``name`` without capitals and blanks, in one form of Unicode."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known name and lists the others (at most twenty)."""
    known = [one_line(str(entry), 80) for entry in known]
    plain = _plain_name(str(name))
    near = [entry for entry in known if _plain_name(entry) == plain]
    near = near or difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    listed = ", ".join(known[:20]) + (", …" if len(known) > 20 else "")
    return (f"Did you mean '{near[0]}'? " if near else "") + f"There are: {listed}"


def terminal_text(text: str) -> str:
    """Lines of text with what a terminal would obey written out: control characters, turns of direction."""
    obeyed = (c for c in set(text) if (unicodedata.category(c) == "Cc" and c not in "\n\t") or c in TURNS)
    return text.translate({ord(c): c.encode("unicode_escape").decode() for c in obeyed})


def one_line(text: str, longest: int) -> str:
    """``text`` as a terminal may show it: on one line, no control characters, cut where it is too long."""
    if len(text) > longest:
        text = f"{text[: longest - 1]}…"
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return _CLASS.sub(r"\1", text)
