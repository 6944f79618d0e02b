"""Names of checkpoints and paths with ``$VARIABLES`` and ``~``, expanded where they are the user's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_literal: ContextVar[bool] = ContextVar("literal names", default=False)


@contextmanager
def literal_names() -> Iterator[None]:
    """Do not expand ``$`` and ``~`` inside the block: names in a run folder may come from a stranger."""
    token = _literal.set(True)
    try:
        yield
    finally:
        _literal.reset(token)


def expanded(name: str) -> str:
    """``name`` with ``$VARIABLES`` and ``~`` expanded, except inside :func:`literal_names`."""
    return name if _literal.get() else os.path.expanduser(os.path.expandvars(name))
