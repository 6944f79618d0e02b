"""Atomic writes: files and folders are written beside their path, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from polymodal.errors import RunError
from polymodal.utils.unwritable import failures, how_to_fix, why_not_written


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Yield a temporary path; it replaces ``path`` when the block ends without an error.

    A process that is killed in between leaves ``path`` unchanged.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in UTF-8, atomically."""
    with aside(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def folder_aside(folder: Path, last: str) -> Iterator[Path]:
    """Yield an empty folder; its files then move to ``folder`` one by one, ``last`` as the last.

    If ``last`` was not in ``folder`` before, its presence means that the other files are complete. After an
    error, or Ctrl-C, a folder that was empty is empty, and one that was not there is not there either.
    """
    part = folder / ".part"
    discard(part)
    was_empty = not folder.is_dir() or not any(folder.iterdir())
    new, moved = make_folders(part), list[Path]()
    try:
        yield part
        give_usual_mode(part)
        for path in sorted(part.iterdir(), key=lambda path: path.name == last):
            if path.is_dir():
                discard(folder / path.name)
            moved.append(folder / path.name)
            os.replace(path, moved[-1])
    except BaseException:
        for path in moved if was_empty else ():
            _remove(path)
        raise
    finally:
        discard(part)
        remove_empty(new)


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        discard(path)
    else:
        path.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove a folder, if it exists; a process that is killed in between leaves no partial folder."""
    stale = folder.with_name(f".{folder.name}.stale")
    shutil.rmtree(stale, ignore_errors=True)
    if folder.is_dir():
        os.rename(folder, stale)
        shutil.rmtree(stale, ignore_errors=True)


@contextmanager
def writing(
    path: Path | str, free: str = "Free space or give another folder with -o", after: str = ""
) -> Iterator[None]:
    """Turn a failed write inside the block into one line: path, reason and fix.

    Args:
        path: What is written.
        free: The fix where space is lacking.
        after: A sentence after every other fix.

    Raises:
        RunError: If the disk is full, the folder is read-only, or the like.
    """
    try:
        yield
    except failures() as error:
        reason = why_not_written(error)
        if reason is None:
            raise
        fix = how_to_fix(error, free)
        if after and fix != free:
            fix = f"{fix}. {after}"
        raise RunError(f"{path}: cannot be written ({reason}). {fix}") from None


def require_folder(folder: Path) -> None:
    """Check that a folder can be written to, before the work; nothing is left behind.

    Raises:
        RunError: If the folder, or a file in it, cannot be created.
    """
    with writing(folder):
        _try_to_write(folder / ".polymodal")


def require_file(path: Path) -> None:
    """Check that a file can be written, before the work; nothing is left behind.

    Raises:
        RunError: If it is a folder, or cannot be written.
    """
    with writing(path, "Free space, or give another file with -o"):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        _try_to_write(path)


def _try_to_write(path: Path) -> None:
    part = path.with_name(f".{path.name}.part")
    new = make_folders(path.parent)
    try:
        if not part.is_symlink():  # a later write reports why it fails
            part.touch()
            part.unlink()
    finally:
        remove_empty(new)


def make_folders(folder: Path) -> list[Path]:
    """Create a folder and its parents; returns those that were new, the deepest first."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return new


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove those of the folders that are empty, the deepest first."""
    for path in folders:
        with suppress(OSError):  # not empty, or removed already
            path.rmdir()


def give_usual_mode(folder: Path) -> None:
    """Give every file in ``folder`` the mode of a new file there (by umask or the folder's rules).

    Safetensors writes files that only their owner may read.
    """
    probe = folder / ".mode"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)
