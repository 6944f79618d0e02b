"""One writer an index: a lock that the system takes back from a process that is killed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polymodal.data.aside import write_text
from polymodal.errors import RunError

LOCK, WRITER = ".lock", ".writer"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else writes to ``folder`` meanwhile.

    Raises:
        RunError: If somebody does already.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"{folder}: is being written by {_writer(folder)}. Wait until it is done, or end it"
        ) from None
    try:
        write_text(folder / WRITER, f"process {os.getpid()} of {socket.gethostname()}")
        yield
    finally:
        (folder / WRITER).unlink(missing_ok=True)
        lock.release()


def _writer(folder: Path) -> str:
    """Who writes, as it said itself."""
    try:
        return (folder / WRITER).read_text(encoding="utf-8") or "another process"
    except FileNotFoundError:  # it has only just begun, or is done by now
        return "another process"
