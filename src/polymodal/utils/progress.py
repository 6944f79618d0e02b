"""Progress bars and notes on standard error."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from polymodal.errors import LONGEST, one_line

T = TypeVar("T")
CONSOLE = Console(stderr=True, highlight=False, markup=False, emoji=False)


def bar() -> Progress:
    """A transient progress bar; silent where standard error is no terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal)


def progress(items: Iterable[T], description: str, total: int, *, every: float | None = None) -> Iterator[T]:
    """Iterate over ``items`` with a progress bar.

    Args:
        items: To iterate over.
        description: Of the work.
        total: Number of items.
        every: Where standard error is no terminal, print a line every so many seconds; None prints none.
    """
    if every is not None and not CONSOLE.is_terminal:
        yield from _with_lines(items, description, total, every)
        return
    with bar() as shown:
        yield from shown.track(items, total=total, description=description)


def _with_lines(items: Iterable[T], description: str, total: int, every: float) -> Iterator[T]:
    begun = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - last >= every:
            left = (now - begun) / done * (total - done)
            CONSOLE.print(f"{description}: {done}/{total}, about {left:.0f} s left", soft_wrap=True)
            last = now
        yield item


@contextmanager
def working(description: str) -> Iterator[None]:
    """A bar without a total, for work without countable steps."""
    with bar() as shown:
        shown.add_task(description, total=None)
        yield


@contextmanager
def steps(description: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar of ``total`` steps; yields what advances it by one. Without a description none is shown."""
    if not description:
        yield lambda: None
        return
    with bar() as shown:
        task = shown.add_task(description, total=total)
        yield lambda: shown.advance(task)


def note(text: str, quiet: bool = False) -> None:
    """Print a line on standard error."""
    if not quiet:
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
                if line not in self.known and not quiet:
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
