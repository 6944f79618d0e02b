"""JSON files of a run or an index, which may come from a stranger: read within limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from polymodal.errors import RunError

MOST_JSON = 256 * 2**20
"""Largest file in bytes; a large vocabulary takes about 30 MB."""
MOST_ENTRIES = 6_000_000
"""Most values of a file; a large vocabulary with its merges has about 2 million."""


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        RunError: If it is no regular file, or too large or too deep to be one of ours.
        OSError: If it cannot be opened.
        ValueError: If it holds no JSON.
    """
    if path.exists() and not path.is_file():  # reading a pipe or a device might never end
        raise RunError(f"{path}: is no regular file. Fit again")
    if path.stat().st_size > MOST_JSON:
        raise RunError(f"{path}: {path.stat().st_size >> 20} MB, expected at most {MOST_JSON >> 20} MB")
    text = path.read_text(encoding="utf-8")
    entries = text.count(",") + text.count("[") + text.count("{")
    if entries > MOST_ENTRIES:
        raise RunError(f"{path}: {entries:,} values, expected at most {MOST_ENTRIES:,}")
    try:
        return json.loads(text)
    except RecursionError:
        raise RunError(f"{path}: nested too deeply to be a file of a run. Fit again") from None
