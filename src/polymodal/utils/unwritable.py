"""Why something could not be written, in the system's words, and what to do about it."""

from __future__ import annotations

import errno
import os
import re

from safetensors import SafetensorError

CUT_OFF = ("inline_container", "iostream")
"""What ``torch.save`` speaks of when a file could not be written; it does not say why."""
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
"""The system's numbers for: no more can be written here. Windows has no quota of this kind."""
FIXES = {
    errno.EACCES: "Allow writing there (see its owner and mode), or give another place with -o",
    errno.EPERM: "Allow writing there (see its owner and mode), or give another place with -o",
    errno.EROFS: "The file system is read-only: give a place on another one with -o",
    errno.ENAMETOOLONG: "Give a shorter name with -o",
    errno.ENOENT: "A folder on the way is missing: make it, or give another place with -o",
    errno.ENOTDIR: "A file lies where a folder is needed: give another place with -o",
    errno.EEXIST: "A file lies where a folder is needed: give another place with -o",
    errno.EISDIR: "A folder has this name: give another name with -o",
    errno.ELOOP: "A link on the way leads back to itself: give another place with -o",
    errno.EMFILE: "Close files, or raise the limit of open files (ulimit -n)",
    errno.ENFILE: "Close files, or raise the limit of open files (ulimit -n)",
    errno.EIO: "The device reports an error: give a place on another one with -o",
    errno.EINVAL: "The file system does not accept this name: give another one with -o",
    errno.EILSEQ: "The file system does not accept this name: give another one with -o",
}
"""What to do, by the system's number of the error."""
ELSEWHERE = "Give another place with -o"
NAME = "Give a name that the file system's encoding holds, with -o"


def why_not_written(error: Exception) -> str | None:
    """The reason that a file could not be written, in the system's words; None if that is not what failed."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, UnicodeEncodeError):
        return f"{error.encoding} has no character {error.object[error.start]!a}"
    number = system_number(error)
    if number is not None:
        return os.strerror(number)
    if any(word in str(error) for word in CUT_OFF):
        return "the file was cut off; is the disk full?"
    return None


def how_to_fix(error: Exception, free: str) -> str:
    """What to do about an ``error`` that :func:`why_not_written` knows.

    Args:
        error: What was raised.
        free: What to say where space is lacking, and only there.
    """
    number = system_number(error)
    if number in FULL or any(word in str(error) for word in CUT_OFF):
        return free
    if isinstance(error, UnicodeEncodeError):
        return NAME
    return ELSEWHERE if number is None else FIXES.get(number, ELSEWHERE)


def system_number(error: Exception) -> int | None:
    """The system's number of an error, also where a library of Rust passes it on; None where it has none."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error)) if isinstance(error, SafetensorError) else None
    return int(found[1]) if found else None
