"""Lists in cells: parsing of lists in texts, and the depth of nested lists of numbers."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

LONGEST = 2**20
"""Most characters of a list in Python's notation."""


def written_list(text: str) -> list[Any] | None:
    """Parse a list in JSON's or Python's (and pandas') notation; None if the text is none."""
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    # Python's parser needs hundreds of bytes per byte of text.
    for parse in (json.loads, ast.literal_eval) if len(text) <= LONGEST else (json.loads,):
        try:
            result = parse(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        return result if isinstance(result, list) else None
    return None


def number_depth(cell: Any) -> int:
    """Nesting depth of the numbers: 1 for ``[0.5]``, 2 for ``[[0.5]]``; 0 where there are none."""
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
    """The first entry that is neither None nor an empty list."""
    return next((entry for entry in cell if entry is not None and not _is_void(entry)), None)


def _is_void(entry: Any) -> bool:
    return isinstance(entry, (list, tuple, np.ndarray)) and not len(entry)


def as_list(cell: Any) -> list[Any] | None:
    """A cell that is a list, a tuple or an array of texts as a list; None for any other."""
    if isinstance(cell, np.ndarray) and cell.dtype.kind in "OUS":  # pandas gives lists of texts as arrays
        return cell.tolist()
    return list(cell) if isinstance(cell, (list, tuple)) else None
