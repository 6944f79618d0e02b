"""Cache of decoded media and features of frozen encoders: in memory, then on disk."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np

from polymodal.data.cache.disk import DiskStore

DEFAULT_LIMIT = 2 * 2**30
WORTH = 0.005
"""Seconds of computation above which an array is stored on disk; reading takes about a tenth of it."""
TRIALS = 32
"""Arrays of a kind that are timed before the kind is considered too cheap for the disk."""

Content = Callable[[], bytes | None]
"""The digest of the source of an array, or None without one."""


class ReadCache:
    """Arrays by key: in memory up to a limit, and on disk by content if they are slow to compute.

    Args:
        limit: Bytes in memory.
        store: The disk cache; None for memory only.

    Attributes:
        size: Bytes in memory.
        refused: Number of arrays that did not fit, and are computed every time.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT, store: DiskStore | None = None) -> None:
        self.limit, self.store = limit, store
        self.size, self.refused = 0, 0
        self._kept: dict[Hashable, np.ndarray] = {}
        self._digests: dict[Hashable, bytes | None] = {}
        self._timed: dict[Hashable, list[float]] = defaultdict(list)

    def get(
        self, key: tuple[Hashable, ...], make: Callable[[], np.ndarray], content: Content | None = None
    ) -> np.ndarray:
        """The array of ``key``, computed if it is not cached.

        Args:
            key: Unique in this process; its first part is the kind.
            make: Computes the array.
            content: See :data:`Content`; without it the array is not stored on disk.
        """
        array = self.find(key, content)
        if array is None:
            began = time.perf_counter()
            array = make()
            self.put(key, array, content, time.perf_counter() - began)
        return array

    def find(self, key: tuple[Hashable, ...], content: Content | None = None) -> np.ndarray | None:
        """The array of ``key`` if it is cached."""
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        digest = self._digest(key, content)
        if digest is None or self.store is None:
            return None
        array = self.store.get(digest)
        if array is not None:
            self._remember(key, array)
        return array

    def put(
        self,
        key: tuple[Hashable, ...],
        array: np.ndarray,
        content: Content | None = None,
        seconds: float = float("inf"),
    ) -> None:
        """Cache ``array``, whose computation took ``seconds``."""
        self._timed[key[0]].append(seconds)
        on_disk = False
        digest = self._digest(key, content) if seconds > WORTH else None
        if digest is not None and self.store is not None:
            on_disk = self.store.put(digest, array)
        if not self._remember(key, array) and not on_disk:
            self.refused += 1

    def room(self) -> int:
        """Free bytes, in memory and on disk."""
        return self.limit - self.size + (self.store.room() if self.store else 0)

    def _remember(self, key: Hashable, array: np.ndarray) -> bool:
        if self.size + array.nbytes > self.limit:
            return False
        self._kept[key] = array
        self.size += array.nbytes
        return True

    def _digest(self, key: tuple[Hashable, ...], content: Content | None) -> bytes | None:
        if content is None or self.store is None or self._is_cheap(key[0]):
            return None
        if key not in self._digests:
            self._digests[key] = content()
        return self._digests[key]

    def _is_cheap(self, kind: Hashable) -> bool:
        timed = self._timed[kind]
        return len(timed) >= TRIALS and sorted(timed[:TRIALS])[TRIALS // 2] < WORTH


def cell_key(cell: Any) -> Hashable | None:
    """A key that identifies a cell in this process: its text, path or number, or a digest of its bytes."""
    if isinstance(cell, Mapping):
        if cell.get("array") is not None:  # decoded already; its path is only a name
            return None
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes):
        return digest(cell)
    if isinstance(cell, (int, float)):
        return (type(cell).__name__, repr(cell))  # True, 1 and 1.0 are equal, yet differ as text
    return cell if isinstance(cell, str) else None


def digest(*parts: bytes) -> bytes:
    """A digest of ``parts`` of 16 bytes."""
    whole = hashlib.blake2b(digest_size=16)
    for part in parts:
        whole.update(len(part).to_bytes(8, "little"))
        whole.update(part)
    return whole.digest()
