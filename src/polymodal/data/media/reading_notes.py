"""What readers did to a cell beyond reading it, such as to clip it: counted, for whoever reports it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_NOTES: ContextVar[Counter[str] | None] = ContextVar("notes", default=None)


def note(text: str) -> None:
    """Count one cell to which ``text`` applies; nothing happens where nobody collects."""
    notes = _NOTES.get()
    if notes is not None:
        notes[text] += 1


@contextmanager
def collect_notes() -> Iterator[Counter[str]]:
    """Count the notes taken inside, each with how many cells it applies to."""
    notes: Counter[str] = Counter()
    token = _NOTES.set(notes)
    try:
        yield notes
    finally:
        _NOTES.reset(token)
