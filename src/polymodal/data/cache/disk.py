"""Arrays on disk, by the digest of what they were made from: one SQLite file that outlives the fit."""

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
"""``shape``, ``type`` and ``sum`` say what an array is; one that is not so is made again."""
INSERT = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)"
OLDER = "SELECT digest, bytes FROM entries WHERE at < ? ORDER BY at"
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


def make_private(folder: Path) -> None:
    """Make a folder that nobody else may look into; the default one is closed where an older version left it.

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
        """The array kept under ``digest``; None where there is none, or one that is not as it was written."""
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
        """Keep ``array`` if it fits, and say whether it did."""
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
        """Bytes that this process may still write: what others left gives way."""
        own = self._run("SELECT coalesce(sum(bytes), 0) FROM entries WHERE at >= ?", self._began)
        return 0 if self.broken else self.limit - own[0][0]

    def size(self) -> tuple[int, int]:
        """How many arrays are kept, and their bytes."""
        if not self.path.exists():
            return 0, 0
        found = self._run("SELECT count(*), coalesce(sum(bytes), 0) FROM entries")
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
        """This process's own connection: one does not survive a fork."""
        if self._connection is None or self._owner != os.getpid():
            make_private(self.path.parent)
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")  # what a power cut takes is made again
            connection.executescript(SCHEMA)
            self._connection, self._owner = connection, os.getpid()
        return self._connection

    def __getstate__(self) -> dict[str, object]:
        """For workers that are spawned: each opens its own connection."""
        return self.__dict__ | {"_connection": None}
