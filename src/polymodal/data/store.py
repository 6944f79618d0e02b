"""Arrays on disk, by the digest of what they were made from: one SQLite file that outlives the fit."""

from __future__ import annotations

import os
import sqlite3
import time
from io import BytesIO
from pathlib import Path

import numpy as np

FILE = "arrays.sqlite"
SCHEMA = """
    CREATE TABLE IF NOT EXISTS arrays (digest BLOB PRIMARY KEY, at REAL, bytes INTEGER, array BLOB);
    CREATE INDEX IF NOT EXISTS by_age ON arrays (at, bytes);
"""
INSERT = "INSERT OR REPLACE INTO arrays VALUES (?, ?, ?, ?)"
OLDER = "SELECT digest, bytes FROM arrays WHERE at < ? ORDER BY at"
BUSY_SECONDS = 30.0
"""How long a process waits for another that writes."""


def default_folder() -> Path:
    """The folder that ``POLYMODAL_CACHE`` names, or ``polymodal`` in the user's cache folder."""
    named = os.environ.get("POLYMODAL_CACHE")
    return (
        Path(named)
        if named
        else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "polymodal"
    )


class DiskStore:
    """Arrays by digest. Several processes may read and write at once.

    What earlier fits left gives way to what this one needs, oldest first; what this one wrote stays, so that
    a table larger than the limit does not push itself out in every epoch.

    Args:
        folder: Made if it is not there.
        limit: Bytes; 0 keeps nothing.

    Attributes:
        broken: Why nothing is kept (a folder that cannot be written, a full disk), or an empty text.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.path, self.limit = folder / FILE, limit
        self.broken = ""
        self._began = time.time()
        self._connection: sqlite3.Connection | None = None
        self._owner = 0
        self._used: int | None = None  # other processes' writing is not counted: the limit is a soft one

    def get(self, digest: bytes) -> np.ndarray | None:
        """The array kept under ``digest``."""
        found = self._run("SELECT array FROM arrays WHERE digest = ?", digest)
        try:
            return np.load(BytesIO(found[0][0]), allow_pickle=False) if found else None
        except (ValueError, EOFError):  # cut short by a power cut: it is made again and replaced
            return None

    def put(self, digest: bytes, array: np.ndarray) -> bool:
        """Keep ``array`` if it fits, and say whether it did."""
        if not self._make_room(array.nbytes):
            return False
        content = BytesIO()
        np.save(content, array, allow_pickle=False)
        self._run(INSERT, digest, time.time(), array.nbytes, content.getvalue())
        self._used = (self._used or 0) + array.nbytes
        return not self.broken

    def room(self) -> int:
        """Bytes that this process may still write: what others left gives way."""
        own = self._run("SELECT coalesce(sum(bytes), 0) FROM arrays WHERE at >= ?", self._began)
        return 0 if self.broken else self.limit - own[0][0]

    def size(self) -> tuple[int, int]:
        """How many arrays are kept, and their bytes."""
        if not self.path.exists():
            return 0, 0
        found = self._run("SELECT count(*), coalesce(sum(bytes), 0) FROM arrays")
        return found[0] if found else (0, 0)

    def clear(self) -> None:
        """Forget everything, whatever state the file is in."""
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
                self._run("DELETE FROM arrays WHERE digest = ?", digest)
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
        """This process's own connection: one does not survive a fork."""
        if self._connection is None or self._owner != os.getpid():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")  # what a power cut takes is made again
            connection.executescript(SCHEMA)
            self._connection, self._owner = connection, os.getpid()
        return self._connection

    def __getstate__(self) -> dict[str, object]:
        """For workers that are spawned: each opens its own connection."""
        return self.__dict__ | {"_connection": None}
