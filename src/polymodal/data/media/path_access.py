"""Which files the media cells of a table may name, and where their relative paths start."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from polymodal.data.media.limits import Limits

SNAPSHOTS, BLOBS = "snapshots", "blobs"
"""Folders of the hub's cache: files of the first are links to files of the second, beside it."""


@dataclass(frozen=True)
class MediaAccess:
    """Which files the cells of a table may name.

    Attributes:
        folder: Relative paths start here; ``None`` for the current folder.
        within: Folders, links followed, one of which holds every file that may be named; ``None`` where any
            file may be named, empty where none may: then cells hold bytes or ``data:`` URIs.
        limits: The most that is read of a cell, in place of what a function is given; None to keep that.
    """

    folder: Path | None = None
    within: tuple[str, ...] | None = None
    limits: Limits | None = None

    @classmethod
    def inside(cls, folder: Path) -> MediaAccess:
        """Access to the files in ``folder`` alone; in the hub's cache also to what its links name."""
        real = os.path.realpath(folder)
        before, snapshots, _ = f"{real}{os.sep}".partition(f"{os.sep}{SNAPSHOTS}{os.sep}")
        blobs = os.path.join(before, BLOBS)
        return cls(folder, (real, blobs) if snapshots and os.path.isdir(blobs) else (real,))

    def locate(self, name: str) -> str | None:
        """The path to open for a cell's ``name``; ``None`` where the cell may not name it.

        The result does not reveal whether the file exists.
        """
        path = os.path.join(self.folder or "", name)  # pathlib is slower than reading a small file
        if self.within is None:
            return path
        real = os.path.realpath(path) if self.within else ""
        return real if any(_holds(folder, real) for folder in self.within) else None

    def __fspath__(self) -> str:
        return os.fspath(self.folder or "")


Root = MediaAccess | Path | None
"""Where media paths start; a plain folder, or None for the current one, lets a cell name any file."""
NOWHERE = MediaAccess(within=())
"""For requests from outside: cells may hold bytes, but name no file."""


def access_of(root: Root) -> MediaAccess:
    """The access that ``root`` allows."""
    return root if isinstance(root, MediaAccess) else MediaAccess(root)


def limits_of(root: Root, limits: Limits) -> Limits:
    """The limits that hold for cells with this access: its own, else ``limits``."""
    own = root.limits if isinstance(root, MediaAccess) else None
    return own or limits


def short_path(name: str, root: Root = None) -> str:
    """``name`` without the folders that lead to it: from ``root`` where it lies there, else its last part."""
    if not os.path.isabs(name):
        return name
    folder = os.path.abspath(root) if root is not None else ""
    if folder and _holds(folder, os.path.normpath(name)):
        return os.path.relpath(name, folder)
    return f"…/{os.path.basename(os.path.normpath(name))}"


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
