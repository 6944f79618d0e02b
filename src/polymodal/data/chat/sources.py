"""The item of a media part: from the part itself, or the next of the row's list column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from polymodal.data.media.cells import MediaError, describe, is_empty
from polymodal.data.media.formats import AUDIO, IMAGE, VIDEO
from polymodal.data.readers.items import split_items

KINDS = {each.modality: each.noun for each in (IMAGE, AUDIO, VIDEO)}
"""Types of media parts, and what messages call them."""
KEYS = ("path", "url", "base64", "data")
"""Where a media part may name its file, beside a key that is called like its type."""


def cell_of(part: Mapping[str, Any], kind: str, where: str) -> Any:
    """The cell that a media part itself holds; None where it names no file.

    Args:
        part: Its keys that hold something.
        kind: Its type.
        where: Message and part, for messages.

    Raises:
        MediaError: If it names several files, or one on the network.
    """
    named = [key for key in (kind, *KEYS) if key in part and not is_empty(part[key])]
    if not named:
        return None
    if len(named) > 1:
        reason = f"{where}: {KINDS[kind]} with {' and '.join(map(repr, named))}"
        raise MediaError(found=reason, expected="one of them")
    return _as_cell(part[named[0]], named[0], kind, where)


def _as_cell(value: Any, key: str, kind: str, where: str) -> Any:
    if not isinstance(value, str) or value[:5].lower() == "data:":
        return value
    if value[:7].lower() == "file://":
        return unquote(value[7:])
    if "://" in value[:12]:
        reason = f"{where}: {describe(value)} is an address on the network"
        raise MediaError(found=reason, expected="a file", cure="Download it and give the file's path.")
    return f"data:{kind}/unknown;base64,{value}" if key in ("base64", "data") else value


class Supply:
    """The items of a row's list columns, handed out in order to the media parts that name no file.

    Args:
        row: Its columns ``images``, ``audios``, ``videos`` are looked at; where there is none of a kind, the
            column of its name (``image``), as LLaVA's files have it.
    """

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._columns = {kind: f"{kind}s" if f"{kind}s" in row else kind for kind in KINDS}
        self._items = {kind: _items(row.get(column), kind) for kind, column in self._columns.items()}
        self._used = dict.fromkeys(KINDS, 0)
        self._there = {kind for kind, column in self._columns.items() if column in row}

    def has(self, kind: str) -> bool:
        """Whether the row has a column of such items."""
        return kind in self._there

    def next(self, kind: str, where: str, part: Mapping[str, Any]) -> Any:
        """The next item; None where the column has an empty entry.

        Raises:
            MediaError: If there are no more, or no such column.
        """
        items = self._items[kind]
        if self._used[kind] < len(items):
            self._used[kind] += 1
            return items[self._used[kind] - 1]
        reason = f"{where}: {KINDS[kind]} without a file"
        keys = ", ".join(f"'{key}'" for key in part if key != "type")
        reason += f" (it has {keys})" if keys else ""
        column = f"the row's column '{self._columns[kind]}'"
        if kind in self._there:
            reason += f", and {column} holds {len(items)}"
            raise MediaError(found=reason, expected="an item for each", cure=_cure(kind))
        reason += f", and the row has no column '{kind}s'"
        raise MediaError(found=reason, expected="one of the two", cure=_cure(kind))

    def check_used(self) -> None:
        """Refuse items that no part uses.

        Raises:
            MediaError: If there are any.
        """
        for kind, items in self._items.items():
            if len(items) > self._used[kind]:
                reason = f"{self._used[kind]} parts of type {kind} without a file of their own, "
                reason += f"and {len(items)} items in column '{self._columns[kind]}'"
                fix = f'Write {{"type": "{kind}"}} into the content at the place of each item.'
                raise MediaError(found=reason, expected="as many", cure=fix)


def _items(cell: Any, kind: str) -> list[Any]:
    if is_empty(cell):
        return list(cell) if isinstance(cell, (list, tuple)) else []
    items = split_items(cell, kind)
    return [cell] if items is None else items


def _cure(kind: str) -> str:
    return f'Give {{"type": "{kind}", "path": "…"}}, or one more item in \'{kind}s\'.'
