"""Counts of changes that readers make to cells, such as clipping, for the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_NOTES: ContextVar[Counter[str] | None] = ContextVar("notes", default=None)


def note(text: str) -> None:
    """Count one cell to which ``text`` applies; without effect outside :func:`collect_notes`."""
    notes = _NOTES.get()
    if notes is not None:
        notes[text] += 1


@contextmanager
def collect_notes() -> Iterator[Counter[str]]:
    """Count the notes inside the block: number of cells by note."""
    notes: Counter[str] = Counter()
    token = _NOTES.set(notes)
    try:
        yield notes
    finally:
        _NOTES.reset(token)
