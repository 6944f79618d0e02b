"""Keys of media cells by content: equal files under two names have one key, and few files are read."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np

from polymodal.data.checks.split_view import Parts
from polymodal.data.media.cells import LIMITS, MediaError, open_cell
from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import is_media
from polymodal.data.readers.items import each_item
from polymodal.data.tables.table import each_cell


class Contents:
    """Keys of the media cells of some columns: equal where, and only where, their contents are equal.

    Files are compared by size first; only files of equal size are read. The key of a file that cannot be read
    is its path.

    Args:
        parts: The splits.
        names: Columns; those without media are ignored.
    """

    def __init__(self, parts: Parts, names: Iterable[str]) -> None:
        self._cells: dict[tuple[str, str], list[list[Hashable]]] = {}
        self._paths: dict[int, set[str]] = defaultdict(set)  # by size
        self._sizes: dict[str, int] = {}
        self._items: dict[str, tuple[Any, Root]] = {}
        self._sizes_of_bytes: set[int] = set()
        self._keys: dict[str, bytes] = {}
        for name in names:
            role = parts.roles.get(name)
            for split in parts.having(name) if is_media(role) else ():
                table = parts.tables[split]
                self._cells[split, name] = [
                    [self._source(item, table.root) for _, item in each_item(cell, str(role))]
                    for cell in each_cell(table.values(name))
                ]

    def keys(self, split: str, name: str) -> list[bytes]:
        """One key per row, of all its items; empty where it has none."""
        return [_digest(*map(self._key, sources)) if sources else b"" for sources in self._cells[split, name]]

    def files(self, split: str, name: str) -> list[tuple[str, ...]]:
        """Per row the files that its items name; none for items in the cell itself."""
        return [
            tuple(source for source in sources if isinstance(source, str))
            for sources in self._cells[split, name]
        ]

    def _source(self, item: Any, root: Root) -> Hashable:
        """The path of a file, or the digest of an item in the cell."""
        if isinstance(item, Mapping) and item.get("array") is not None:
            return _digest(b"array", _of_numbers(item["array"]), repr(item.get("sampling_rate")).encode())
        path = _path(item, root)
        if path is not None:
            if path not in self._sizes:
                self._sizes[path], self._items[path] = _size(path), (item, root)
                self._paths[self._sizes[path]].add(path)
            return path
        if isinstance(item, (str, bytes, Mapping)):
            try:
                with open_cell(item, root, LIMITS) as stream:
                    content = stream.read()
            except MediaError:
                content = repr(item).encode("utf-8", "surrogatepass")
            self._sizes_of_bytes.add(len(content))
            return _digest(b"content", hashlib.blake2b(content, digest_size=32).digest())
        return _digest(b"array", _of_numbers(item))

    def _key(self, source: Hashable) -> bytes:
        if not isinstance(source, str):
            assert isinstance(source, bytes)
            return source
        if source not in self._keys:
            size = self._sizes[source]
            is_alone = len(self._paths[size]) == 1 and size not in self._sizes_of_bytes
            content = None if size < 0 or is_alone else _content(*self._items[source])
            named = _digest(b"path", source.encode("utf-8", "surrogatepass"))
            self._keys[source] = named if content is None else content
        return self._keys[source]


def _path(item: Any, root: Root) -> str | None:
    """The file that an item names, if it names one."""
    if isinstance(item, Mapping) and item.get("bytes") is None:
        item = item.get("path")
    if not isinstance(item, str) or item[:5].lower() == "data:" or item.lstrip()[:1] == "[":
        return None
    return os.path.normpath(os.path.join(root or ".", item))


def _size(path: str) -> int:
    """Bytes of a file; -1 where there is none that may be read."""
    try:
        return os.path.getsize(path) if os.path.isfile(path) else -1
    except (OSError, ValueError):  # a name that no file can have
        return -1


def _content(item: Any, root: Root) -> bytes | None:
    try:
        with open_cell(item, root, LIMITS) as stream:
            result = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=32))  # type: ignore[arg-type]
    except (MediaError, OSError):  # the check reports it
        return None
    return _digest(b"content", result.digest())


def _of_numbers(cell: Any) -> bytes:
    """A list of numbers as bytes, which is faster than as text."""
    try:
        array = np.asarray(cell)
    except ValueError:  # rows of different lengths
        return repr(cell).encode()
    numeric = array.dtype.kind in "fiub"
    return repr(array.shape).encode() + array.tobytes() if numeric else repr(cell).encode()


def _digest(*pieces: bytes) -> bytes:
    whole = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        whole.update(len(piece).to_bytes(8, "little"))
        whole.update(piece)
    return whole.digest()
