"""Progress and notes on standard error: bars in terminals and notebooks, else a line every so often."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from importlib.util import find_spec
from typing import ClassVar, ParamSpec, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from polymodal.errors import LONGEST, one_line

P = ParamSpec("P")
T = TypeVar("T")
CONSOLE = Console(stderr=True, highlight=False, markup=False, emoji=False)
DELAY = 0.5
"""Seconds that work takes before a bar is shown."""
FIRST_LINE, RAREST_LINE = 10.0, 300.0
"""Seconds until the first line where no bar can be shown, and at most between two; each wait doubles."""
_SILENT: ContextVar[bool] = ContextVar("polymodal_silent", default=False)


@contextmanager
def silence(quiet: bool = True) -> Iterator[None]:
    """Within the block neither progress nor notes are printed, if ``quiet``."""
    token = _SILENT.set(_SILENT.get() or quiet)
    try:
        yield
    finally:
        _SILENT.reset(token)


def obeying_quiet(function: Callable[P, T]) -> Callable[P, T]:
    """``function``, which prints neither progress nor notes where its argument ``quiet`` is true."""

    taken = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is not parameter.KEYWORD_ONLY and parameter.kind is not parameter.VAR_KEYWORD
    ]

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        if len(args) > len(taken):
            listed = " and ".join(name for name in taken if name != "self") or "nothing"
            name = getattr(function, "__name__", "")
            raise TypeError(f"{name}() takes only {listed} by position: write the others as name=value")
        with silence(bool(kwargs.get("quiet"))):
            return function(*args, **kwargs)

    return called


def draws_bars() -> bool:
    """Whether standard error shows a bar: a terminal does, and a notebook with ipywidgets."""
    return CONSOLE.is_terminal or (CONSOLE.is_jupyter and find_spec("ipywidgets") is not None)


class Meter:
    """How much of a piece of work is done, as a bar or a line every so often; of nested ones the outermost.

    Attributes:
        description: Of the work.
        total: Number of steps; None where they cannot be counted.
        done: Number of steps that are done.
    """

    _shown: ClassVar[Meter | None] = None
    """The outermost one."""

    def __init__(self, description: str, total: int | None = None) -> None:
        self.description, self.total, self.done = description, total, 0
        self._first, self._begun = 0, time.monotonic()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, done: int = 0, *, quiet: bool = False) -> None:
        """Show it from now on.

        Args:
            done: Number of steps that were done before.
            quiet: Show nothing.
        """
        self.done = self._first = done
        self._begun = time.monotonic()
        if not (quiet or _SILENT.get() or Meter._shown):
            Meter._shown = self
            self._thread = threading.Thread(target=self._show, daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Show nothing more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = Meter._shown = None

    def _show(self) -> None:
        if not draws_bars():
            self._print_lines()
        elif not self._ended.wait(DELAY):
            with bar() as shown:
                task = shown.add_task(self.description, total=self.total)
                while not self._ended.wait(0.1):
                    shown.update(task, description=self.description, completed=self.done)

    def _print_lines(self) -> None:
        wait = FIRST_LINE
        while not self._ended.wait(wait):
            CONSOLE.print(self._line(), soft_wrap=True)
            wait = min(2 * wait, RAREST_LINE)

    def _line(self) -> str:
        seconds = time.monotonic() - self._begun
        if self.total is None:
            return f"{self.description}: {about(seconds)} so far"
        steps = self.done - self._first
        left = f", about {about(seconds / steps * (self.total - self.done))} left" if steps else ""
        return f"{self.description}: {self.done:,}/{self.total:,}{left}"


def bar() -> Progress:
    """A transient progress bar."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=CONSOLE, transient=True)


def progress(items: Iterable[T], description: str, total: int, *, quiet: bool = False) -> Generator[T]:
    """Iterate over ``items`` and show how many are done.

    Args:
        items: To iterate over.
        description: Of the work.
        total: Number of items.
        quiet: Show nothing.
    """
    meter = Meter(description, total)
    meter.begin(quiet=quiet)
    try:
        for done, item in enumerate(items):
            meter.done = done
            yield item
    finally:
        meter.end()


@contextmanager
def working(description: str) -> Iterator[None]:
    """Show that work goes on which has no countable steps."""
    meter = Meter(description)
    meter.begin()
    try:
        yield
    finally:
        meter.end()


@contextmanager
def steps(description: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar of ``total`` steps; yields what advances it by one. Without a description none is shown."""
    if not description:
        yield lambda: None
        return
    meter = Meter(description, total)

    def advance() -> None:
        meter.done += 1

    meter.begin()
    try:
        yield advance
    finally:
        meter.end()


def note(text: str, quiet: bool = False) -> None:
    """Print a line on standard error."""
    if not (quiet or _SILENT.get()):
        CONSOLE.print(text, soft_wrap=True)


def about(seconds: float) -> str:
    """A duration, rounded: ``0.4 s``, ``41 s``, ``6 min``, ``2.1 h``."""
    if seconds < 90:
        return f"{seconds:.1g} s" if seconds < 1 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


class Remarks:
    """Warnings and notes of a fit on standard error: each is printed once, however often it comes up."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def show(self, warnings: Iterable[str] = (), notes: Iterable[str] = (), *, quiet: bool = False) -> None:
        """Print those that are new, a line each."""
        for kind, style, lines in (("warning", "yellow", warnings), ("note", "", notes)):
            for line in lines:
                if line not in self.known and not (quiet or _SILENT.get()):
                    CONSOLE.print(Text(f"{kind}: {one_line(line, LONGEST)}", style=style), soft_wrap=True)
                self.known.add(line)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence Transformers' own bars and advice inside the block, unless our own debug messages are shown."""
    if logging.getLogger("polymodal").isEnabledFor(logging.DEBUG):
        yield
        return
    from transformers.utils import logging as library_logging  # bars and notes alone need no Transformers

    shown, level = library_logging.is_progress_bar_enabled(), library_logging.get_verbosity()
    library_logging.disable_progress_bar()
    library_logging.set_verbosity_error()
    try:
        yield
    finally:
        library_logging.set_verbosity(level)
        if shown:
            library_logging.enable_progress_bar()
