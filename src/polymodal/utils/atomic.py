"""Files and folders that are whole or not there: written aside, then given their name."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from polymodal.errors import RunError
from polymodal.utils.unwritable import how_to_fix, why_not_written


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """The path to write the new content of ``path`` to; it replaces the file when all has been written.

    A process that is killed meanwhile leaves ``path`` as it was.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """``text`` as the whole content of ``path``, in UTF-8."""
    with aside(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def folder_aside(folder: Path, last: str) -> Iterator[Path]:
    """An empty folder to write to; its files then move to ``folder`` one by one, ``last`` as the last.

    Whoever finds ``last`` in ``folder`` finds the rest there too, if it was not there before.
    """
    part = folder / ".part"
    discard(part)
    part.mkdir(parents=True)
    try:
        yield part
        give_usual_mode(part)
        for path in sorted(part.iterdir(), key=lambda path: path.name == last):
            if path.is_dir():
                discard(folder / path.name)
            os.replace(path, folder / path.name)
    finally:
        discard(part)


def discard(folder: Path) -> None:
    """Remove a folder that may not be there; a process that is killed meanwhile leaves no half of it."""
    stale = folder.with_name(f".{folder.name}.stale")
    shutil.rmtree(stale, ignore_errors=True)
    if folder.is_dir():
        os.rename(folder, stale)
        shutil.rmtree(stale, ignore_errors=True)


@contextmanager
def writing(
    place: Path | str, free: str = "Free space or give another folder with -o", after: str = ""
) -> Iterator[None]:
    """Where writing fails, one line that says where, why and what to do.

    Args:
        place: What is written.
        free: What to do where space is lacking.
        after: A sentence behind every other remedy.

    Raises:
        RunError: If the disk is full, the folder is not to be written to, or the like.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError, UnicodeEncodeError) as error:
        reason = why_not_written(error)
        if reason is None:
            raise
        fix = how_to_fix(error, free)
        told = f"{fix}. {after}" if after and fix != free else fix
        raise RunError(f"{place}: cannot be written ({reason}). {told}") from None


def require_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written to, before the work whose result goes there; leaves no trace.

    Raises:
        RunError: If it cannot be made, or no file in it.
    """
    with writing(folder):
        _try_to_write(folder / ".polymodal")


def require_file(path: Path) -> None:
    """The same of a file.

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
        if not part.is_symlink():  # what writes there later says why it cannot
            part.touch()
            part.unlink()
    finally:
        remove_empty(new)


def make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it; those that were not there before, the deepest first."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return new


def remove_empty(folders: Sequence[Path]) -> None:
    """Remove those folders in which nothing lies, the deepest first."""
    for path in folders:
        with suppress(OSError):  # something lies there, or it is gone already
            path.rmdir()


def give_usual_mode(folder: Path) -> None:
    """Give every file below ``folder`` the mode that a new file gets there (by umask or the folder's rules).

    Safetensors writes files that nobody but their owner may read.
    """
    probe = folder / ".mode"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)
