"""Disk cache of arrays by the digest of their source: one SQLite file."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from io import BytesIO
from pathlib import Path

import numpy as np

FILE = "arrays.sqlite"
SCHEMA = """
    DROP TABLE IF EXISTS arrays;
    CREATE TABLE IF NOT EXISTS entries
        (digest BLOB PRIMARY KEY, at REAL, bytes INTEGER, shape TEXT, type TEXT, sum BLOB, array BLOB);
    CREATE INDEX IF NOT EXISTS by_age ON entries (at, bytes);
"""
"""``shape``, ``type`` and ``sum`` verify an array; a damaged one is computed again."""
INSERT = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)"
OLDER = "SELECT digest, bytes FROM entries WHERE at < ? ORDER BY at"
BUSY_SECONDS = 30.0
"""Seconds that a process waits for another one that writes."""


def default_folder() -> Path:
    """The folder that ``POLYMODAL_CACHE`` names, or ``polymodal`` in the user's cache folder."""
    named = os.environ.get("POLYMODAL_CACHE")
    return (
        Path(named)
        if named
        else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "polymodal"
    )


def make_private(folder: Path) -> None:
    """Create a folder that only its owner can read; restricts the default one of older versions as well.

    Raises:
        OSError: If it cannot be made.
    """
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    elif folder == default_folder() and not os.environ.get("POLYMODAL_CACHE"):
        folder.chmod(0o700)


def _sum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


class DiskStore:
    """Cache of arrays by digest. Several processes may read and write at once.

    Arrays of earlier fits are evicted, oldest first; those of this one stay, so that a table larger than the
    limit does not evict itself in every epoch.

    Args:
        folder: The folder; created if necessary.
        limit: Largest size in bytes; 0 disables the cache.

    Attributes:
        broken: Why nothing is stored (a read-only folder, a full disk), or an empty text.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.path, self.limit = folder / FILE, limit
        self.broken = ""
        self._began = time.time()
        self._connection: sqlite3.Connection | None = None
        self._owner = 0
        self._used: int | None = None  # writes of other processes are not counted: the limit is soft

    def get(self, digest: bytes) -> np.ndarray | None:
        """The array of ``digest``; None if there is none, or it is damaged."""
        kept = self._run("SELECT shape, type, sum, array FROM entries WHERE digest = ?", digest)
        if not kept:
            return None
        shape, kind, total, content = kept[0]
        if total != _sum(content):
            return None
        try:
            array = np.load(BytesIO(content), allow_pickle=False)
        except (ValueError, EOFError):
            return None
        return array if (str(array.shape), array.dtype.str) == (shape, kind) else None

    def put(self, digest: bytes, array: np.ndarray) -> bool:
        """Store ``array`` if it fits; returns whether it did."""
        if not self._make_room(array.nbytes):
            return False
        content = BytesIO()
        np.save(content, array, allow_pickle=False)
        whole = content.getvalue()
        about = str(array.shape), array.dtype.str, _sum(whole)
        self._run(INSERT, digest, time.time(), array.nbytes, *about, whole)
        self._used = (self._used or 0) + array.nbytes
        return not self.broken

    def room(self) -> int:
        """Bytes that this process may still write; arrays of others are evicted."""
        own = self._run("SELECT coalesce(sum(bytes), 0) FROM entries WHERE at >= ?", self._began)
        return 0 if self.broken else self.limit - own[0][0]

    def size(self) -> tuple[int, int]:
        """Number of stored arrays, and their bytes."""
        if not self.path.exists():
            return 0, 0
        result = self._run("SELECT count(*), coalesce(sum(bytes), 0) FROM entries")
        return result[0] if result else (0, 0)

    def clear(self) -> None:
        """Remove everything, whatever the state of the file."""
        self._connection, self._used, self.broken = None, None, ""
        for ending in ("", "-wal", "-shm"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)

    def _make_room(self, wanted: int) -> bool:
        if wanted > self.limit or self.broken:
            return False
        if self._used is None:
            self._used = self.size()[1]
        if self._used + wanted > self.limit:
            for digest, size in self._run(OLDER, self._began):
                self._run("DELETE FROM entries WHERE digest = ?", digest)
                self._used -= size
                if self._used + wanted <= self.limit:
                    break
        return self._used + wanted <= self.limit

    def _run(self, statement: str, *values: object) -> list[tuple]:
        if self.broken:
            return []
        try:
            return self._open().execute(statement, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            self.broken = f"{self.path}: {error}"
            return []

    def _open(self) -> sqlite3.Connection:
        """The connection of this process: connections do not survive a fork."""
        if self._connection is None or self._owner != os.getpid():
            make_private(self.path.parent)
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")  # after a power cut arrays are computed again
            connection.executescript(SCHEMA)
            self._connection, self._owner = connection, os.getpid()
        return self._connection

    def __getstate__(self) -> dict[str, object]:
        """For workers that are spawned: each opens its own connection."""
        return self.__dict__ | {"_connection": None}
