"""Files and folders that are whole or not there: written aside, then given their name."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from polymodal.errors import RunError

CUT_OFF = ("inline_container", "iostream")
"""What ``torch.save`` speaks of when a file could not be written; it does not say why."""


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
def writing(place: Path | str, cure: str = "Free space or give another folder with -o") -> Iterator[None]:
    """Where writing fails, one line that says where, why and what to do.

    Raises:
        RunError: If the disk is full, the folder is not to be written to, or the like.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = why_not_written(error)
        if reason is None:
            raise
        raise RunError(f"{place}: cannot be written ({reason}). {cure}") from None


def why_not_written(error: Exception) -> str | None:
    """The reason that a file could not be written, in the system's words; None if that is not what failed."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    number = re.search(r"\(os error (\d+)\)", str(error))
    if isinstance(error, SafetensorError) and number:
        return os.strerror(int(number[1]))
    if any(word in str(error) for word in CUT_OFF):
        return "the file was cut off; is the disk full?"
    return None
