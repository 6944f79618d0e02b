"""Work that is cancelled from another thread: between its steps it looks whether anyone still waits for it.

Python ends no thread from outside. So what may compute for long calls :func:`stop_if_cancelled` between its
steps, which has an effect only where the caller runs it by :func:`until_cancelled`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_CANCELLED: ContextVar[threading.Event | None] = ContextVar("cancelled", default=None)


class Cancelled(BaseException):
    """Nobody waits for this work any more.

    It is no :class:`Exception`: code that handles the failure of a row, or of a batch, must not catch it.
    """


def until_cancelled(
    cancelled: threading.Event, function: Callable[P, T], /, *arguments: P.args, **options: P.kwargs
) -> T:
    """What a function returns; it ends at its next step once ``cancelled`` is set, by any thread.

    Raises:
        Cancelled: If it was set, before the function began or at one of its steps.
    """
    token = _CANCELLED.set(cancelled)
    try:
        stop_if_cancelled()
        return function(*arguments, **options)
    finally:
        _CANCELLED.reset(token)


def is_cancellable() -> bool:
    """Whether this thread runs by :func:`until_cancelled`."""
    return _CANCELLED.get() is not None


def stop_if_cancelled() -> None:
    """End the work of this thread if it was cancelled; to be called between two of its steps.

    Raises:
        Cancelled: If it was.
    """
    cancelled = _CANCELLED.get()
    if cancelled is not None and cancelled.is_set():
        raise Cancelled
