"""Standard output and error in any encoding: what an encoding lacks is written in letters that it has."""

from __future__ import annotations

import codecs
import sys
from typing import Any

HANDLER = "polymodal"
INSTEAD = {
    "→": "->", "←": "<-", "×": "x", "–": "-", "−": "-", "…": "...", "’": "'", "‘": "'", "“": '"', "”": '"',
    "«": "<<", "»": ">>", "≥": ">=", "≤": "<=", "·": "-", "²": "2", "✓": "+", "━": "-", "╸": "-", "╺": "-",
}  # fmt: skip
"""What we print ourselves, for encodings that do not have it."""


def write_any_character() -> None:
    """Let every character be written to standard output and error, and read from standard input.

    Python stops at the first one that the encoding of a stream does not have, which a terminal of Windows, a
    pipe or ``LC_ALL=C`` may set.
    """
    codecs.register_error(HANDLER, in_other_letters)
    for stream, errors in ((sys.stdout, HANDLER), (sys.stderr, HANDLER), (sys.stdin, "replace")):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=errors)


def in_other_letters(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that cannot be encoded: by a similar one, or an escape such as ``\\u20ac``."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    written = [
        INSTEAD.get(character) or character.encode("ascii", "backslashreplace").decode()
        for character in error.object[error.start : error.end]
    ]
    return "".join(written), error.end


def holds_all_characters(stream: Any) -> bool:
    """Whether a stream's encoding has every character, so that JSON may be written as it is."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return encoding.lower().replace("_", "-").startswith("utf")
