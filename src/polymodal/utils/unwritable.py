"""Reasons and fixes for failed writes, in the system's words."""

from __future__ import annotations

import errno
import os
import re
import sys

KNOWN = (OSError, RuntimeError, UnicodeEncodeError)
"""What writing a file may raise."""
CUT_OFF = ("inline_container", "iostream")
"""Parts of the messages of ``torch.save`` for a failed write, which give no reason."""
FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
"""The system's error numbers for a full disk or quota; Windows has no such quota."""
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
"""Fixes by the system's error number."""
ELSEWHERE = "Give another place with -o"
NAME = "Give a name that the file system's encoding holds, with -o"


def why_not_written(error: Exception) -> str | None:
    """The reason why a file could not be written, in the system's words; None for other errors."""
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
    """The fix for an ``error`` that :func:`why_not_written` knows.

    Args:
        error: What was raised.
        free: The fix where space is lacking.
    """
    number = system_number(error)
    if number in FULL or any(word in str(error) for word in CUT_OFF):
        return free
    if isinstance(error, UnicodeEncodeError):
        return NAME
    return ELSEWHERE if number is None else FIXES.get(number, ELSEWHERE)


def system_number(error: Exception) -> int | None:
    """The system's error number, also from Rust libraries; None if there is none."""
    if isinstance(error, OSError):
        return error.errno
    is_rust = isinstance(error, failures()) and not isinstance(error, KNOWN)
    result = re.search(r"\(os error (\d+)\)", str(error)) if is_rust else None
    return int(result[1]) if result else None


def failures() -> tuple[type[Exception], ...]:
    """:data:`KNOWN`, and the error of safetensors where that is loaded: exports answer without it."""
    library = sys.modules.get("safetensors")
    return KNOWN if library is None else (*KNOWN, library.SafetensorError)
