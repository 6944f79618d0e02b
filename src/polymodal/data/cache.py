"""What was read once is kept in memory, up to a limit, by content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

DEFAULT_LIMIT = 2 * 2**30


class ReadCache:
    """Arrays by key. What would go over the limit is not kept, and is read again each time.

    Args:
        limit: Bytes.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.limit, self.size, self.refused = limit, 0, 0
        self._kept: dict[Hashable, np.ndarray] = {}

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of ``key``, made by ``make`` the first time."""
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        array = make()
        if self.size + array.nbytes <= self.limit:
            self._kept[key] = array
            self.size += array.nbytes
        else:
            self.refused += 1
        return array


def cell_key(cell: Any) -> Hashable | None:
    """What identifies a cell's content: its text or path, or a digest of its bytes; None if neither."""
    if isinstance(cell, dict):
        if cell.get("array") is not None:  # decoded already; its path is but a name
            return None
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes):
        return hashlib.blake2b(cell, digest_size=16).digest()
    return cell if isinstance(cell, str) else None
