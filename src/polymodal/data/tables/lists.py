"""Lists in cells: written out as text, and how deep their numbers lie."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

LONGEST = 2**20
"""Characters of a list that may be written in Python's way."""


def written_list(text: str) -> list[Any] | None:
    """The list that ``text`` writes out, as JSON or as Python (and pandas) would; None if it is none."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    # Python's own parser takes hundreds of bytes for each byte of a text.
    for parse in (json.loads, ast.literal_eval) if len(text) <= LONGEST else (json.loads,):
        try:
            found = parse(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        return found if isinstance(found, list) else None
    return None


def number_depth(cell: Any) -> int:
    """How many lists deep its numbers lie: 1 for ``[0.5]``, 2 for ``[[0.5]]``; 0 where there are none."""
    if isinstance(cell, np.ndarray) and cell.dtype.kind in "fiub":
        return cell.ndim
    if not isinstance(cell, (list, tuple, np.ndarray)):
        return 0
    first = first_filled(cell)
    if isinstance(first, (int, float, np.number)) and not isinstance(first, bool):
        return 1
    inner = number_depth(first)
    return inner + 1 if inner else 0


def first_filled(cell: Sequence[Any] | np.ndarray) -> Any:
    """The first entry that is not None, and no list without any."""
    return next((entry for entry in cell if entry is not None and not _is_void(entry)), None)


def _is_void(entry: Any) -> bool:
    return isinstance(entry, (list, tuple, np.ndarray)) and not len(entry)


def as_list(cell: Any) -> list[Any] | None:
    """A cell that is a list, a tuple or an array of texts as a list; None for any other."""
    if isinstance(cell, np.ndarray) and cell.dtype.kind in "OUS":  # pandas gives lists of texts as arrays
        return cell.tolist()
    return list(cell) if isinstance(cell, (list, tuple)) else None
