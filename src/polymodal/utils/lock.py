"""Locks for one writer per folder; the system releases the lock of a process that is killed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from polymodal.errors import RunError
from polymodal.utils.atomic import make_folders, remove_empty, write_text, writing

LOCK, WRITER = ".lock", ".writer"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock ``folder`` for writing inside the block.

    Raises:
        RunError: If somebody does already.
    """
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


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Lock a run folder, which is created if necessary; the lock file is removed afterwards.

    No process waits for this lock, so that its file may be removed: the next process creates a new one. A
    folder that was created here and stays empty is removed again.

    Raises:
        RunError: If another process writes to it already, or it cannot be written to.
    """
    with ExitStack() as stack:
        with writing(folder):
            if folder.exists() and not folder.is_dir():
                raise RunError(f"{folder}: is a file, expected a folder to write the run to")
            stack.callback(remove_empty, make_folders(folder))
            stack.enter_context(locked(folder))
            stack.callback(_remove_lock, folder)
        yield


def _remove_lock(folder: Path) -> None:
    with suppress(OSError):  # Windows removes no file that is open
        (folder / LOCK).unlink(missing_ok=True)


def _writer(folder: Path) -> str:
    """The process that writes, from its lock file."""
    try:
        return (folder / WRITER).read_text(encoding="utf-8") or "another process"
    except FileNotFoundError:  # it has just started, or has just finished
        return "another process"
