"""Cells of a table as JSON values, with the files of their media copied beside them."""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, time
from decimal import Decimal
from pathlib import Path

import numpy as np

from polymodal.artifact.samples import FILE, MEDIA
from polymodal.data import media
from polymodal.data.chat.sources import KEYS, KINDS
from polymodal.data.media.arrays import packed
from polymodal.data.media.formats import AUDIO, OF_SUFFIX
from polymodal.data.media.path_access import Root
from polymodal.data.readers import CategoriesReader, CategoryReader, NumberReader, TextReader
from polymodal.data.readers.base import READERS, is_media
from polymodal.data.values.column_values import as_label
from polymodal.data.values.labels import read_labels
from polymodal.data.values.missing import DEFAULT_MARKS, Marks
from polymodal.data.values.numbers import read_number
from polymodal.data.values.spelling import as_text_of
from polymodal.errors import PolymodalError
from polymodal.utils.records import JsonObject, JsonValue

LABELLED = (CategoryReader.modality, TextReader.modality)
"""Modalities whose cells are read as text, whatever type they have."""
STARTS = {
    b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"BM": ".bmp", b"II*\0": ".tif",
    b"MM\0*": ".tif", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff\xfb": ".mp3",
    b"\x1aE\xdf\xa3": ".webm", b"\x93NUMPY": ".npy", b"PK\x03\x04": ".npz",
}  # fmt: skip
"""Suffixes by the first bytes of a file without a name."""
RIFF = {b"WAVE": ".wav", b"WEBP": ".webp", b"AVI ": ".avi"}


@dataclass(frozen=True)
class Column:
    """How the cells of a column are read.

    Attributes:
        modality: Of its cells; empty for messages.
        written: How texts write numbers.
        separator: Between the labels of a text.
        missing: Marks of a missing value.
    """

    modality: str
    written: str | None = None
    separator: str | None = None
    missing: Marks = DEFAULT_MARKS


class UnkeptError(PolymodalError):
    """A cell that cannot be kept: JSON and files do not hold it, or there is no room for it."""


class CellWriter:
    """Writes the media of rows into a folder, up to a number of bytes.

    Args:
        folder: ``samples/`` of a run.
        room: Bytes of media that it may get.

    Attributes:
        files: By name what is to be written.
    """

    def __init__(self, folder: Path, room: int) -> None:
        self.folder, self.room = folder, room
        self.files: dict[str, bytes] = {}

    def row(self, cells: Mapping[str, object], columns: Mapping[str, Column], root: Root) -> JsonObject:
        """The cells of a row as JSON; their files are added to :attr:`files`.

        Args:
            cells: By column.
            columns: How each is read.
            root: Where paths in the cells start.

        Raises:
            UnkeptError: If a cell cannot be kept; then no file is added.
            MediaError: If a file cannot be read.
        """
        taken = _Taken(root, self.room)
        written = {name: taken.cell(cell, columns[name]) for name, cell in cells.items()}
        new = {name: content for name, content in taken.files.items() if name not in self.files}
        size = sum(map(len, new.values()))
        if size > self.room:
            raise UnkeptError("its media are too large")
        self.room -= size
        self.files |= new
        return written

    def write(self) -> None:
        """Write the files."""
        (self.folder / MEDIA).mkdir(parents=True, exist_ok=True) if self.files else None
        for name, content in self.files.items():
            (self.folder / name).write_bytes(content)


class _Taken:
    """The files of one row.

    Args:
        root: Where paths start.
        room: The most bytes of a file.
    """

    def __init__(self, root: Root, room: int) -> None:
        self.root, self.files = root, dict[str, bytes]()
        self.limits = replace(media.LIMITS, bytes=min(room, media.LIMITS.bytes))
        self.room = room

    def cell(self, cell: object, column: Column) -> JsonValue:
        """A cell as JSON."""
        if not column.modality:
            return self._messages(cell)
        if media.is_empty(cell) and not isinstance(cell, list):
            return None
        if not is_media(column.modality):
            return _value(cell, column)
        items = READERS[column.modality].split_items(cell)
        if items is None:
            return self._item(cell, column.modality)
        return [None if media.is_empty(item) else self._item(item, column.modality) for item in items]

    def _item(self, item: object, modality: str) -> JsonValue:
        suffix, content = self._content(item, modality)
        name = f"{MEDIA}/{hashlib.sha256(content).hexdigest()[:16]}{suffix}"
        self.files[name] = content
        return {FILE: name}

    def _content(self, item: object, modality: str) -> tuple[str, bytes]:
        if isinstance(item, Mapping) and item.get("array") is not None:
            return _of_array(item["array"], modality, item.get("sampling_rate"))
        if isinstance(item, list):
            return _of_array(item, modality, None)
        written = isinstance(item, str) and item.lstrip()[:1] == "["
        if written:  # a list of numbers as text
            return _of_array(json.loads(str(item)), modality, None)
        if self._size(item) > self.room:
            raise UnkeptError("its media are too large")
        with media.open_cell(item, self.root, self.limits) as stream:
            content = stream.read()
        return _suffix(item, content), content

    def _size(self, item: object) -> int:
        """Bytes of a file that is named; 0 where it is none, or its size is not known."""
        name = item.get("path") if isinstance(item, Mapping) and item.get("bytes") is None else item
        if not isinstance(name, (str, os.PathLike)):
            return 0
        try:
            return os.stat(os.path.join(self.root or "", name)).st_size
        except (OSError, ValueError):  # a data: URI; or it is reported when it is opened
            return 0

    def _messages(self, cell: object) -> JsonValue:
        """Text, or messages whose media parts name files."""
        if isinstance(cell, str):
            try:
                parsed = json.loads(cell) if cell.lstrip()[:1] in ("[", "{") else None
            except ValueError:
                parsed = None
            return cell if parsed is None else self._part(parsed)
        return self._part(cell)

    def _part(self, value: object) -> JsonValue:
        if isinstance(value, Mapping):
            filled = {str(key): inner for key, inner in value.items() if inner is not None}
            kind = filled.get("type")
            if kind in KINDS:
                return {key: self._named(inner, key, str(kind)) for key, inner in filled.items()}
            return {key: self._part(inner) for key, inner in filled.items()}
        return [self._part(inner) for inner in value] if isinstance(value, list) else _plain(value)

    def _named(self, value: object, key: str, kind: str) -> JsonValue:
        if key not in (kind, *KEYS) or media.is_empty(value):
            return self._part(value)
        if key in ("base64", "data") and isinstance(value, str) and value[:5].lower() != "data:":
            value = f"data:{kind}/unknown;base64,{value}"
        return self._item(value, kind)


def _value(cell: object, column: Column) -> JsonValue:
    """A cell of values: a number as such, labels and texts as text, several labels as a list."""
    if column.modality == CategoriesReader.modality:
        labels = read_labels(cell, column.separator, column.missing, written=True)
        return None if labels is None else list(labels)
    if isinstance(cell, list):
        return [None if entry is None else _value(entry, column) for entry in cell]
    value = _plain(cell)
    if column.modality == NumberReader.modality:
        number = read_number(value, column.written)
        if math.isnan(number):  # a mark, such as n/a, that only numbers have
            return None
        return int(number) if number.is_integer() else number
    is_label = column.modality in LABELLED and not isinstance(cell, str)
    return as_label(cell) if is_label else value


def _plain(cell: object) -> JsonValue:
    """A value as JSON.

    Raises:
        UnkeptError: If JSON has no such value.
    """
    if cell is None or isinstance(cell, (bool, int, float, str)):
        return None if isinstance(cell, float) and np.isnan(cell) else cell
    if isinstance(cell, (Decimal, date, time)):
        return as_text_of(cell)
    raise UnkeptError(f"a {type(cell).__name__} is no value of JSON")


def _of_array(values: object, modality: str, rate: object) -> tuple[str, bytes]:
    """A file with the numbers of an array: a recording as WAV, others in NumPy's format.

    Raises:
        UnkeptError: If they are no array, or a recording of several channels.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise UnkeptError("lists of different lengths are no array") from None
    if array.dtype.kind not in "fiub":
        raise UnkeptError("lists of something else than numbers")
    if modality != AUDIO.modality:
        return ".npy", packed(array)
    if array.ndim != 1 or not isinstance(rate, (int, float)) or int(rate) != rate:
        raise UnkeptError("no recording of one channel")
    return ".wav", wave_file(array.astype("<f4"), int(rate))


def wave_file(samples: np.ndarray, rate: int) -> bytes:
    """A WAV file of float32 ``samples`` ``(length,)``: exactly these numbers, ``rate`` of them a second."""
    content = samples.astype("<f4").tobytes()
    kind = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, rate, 4 * rate, 4, 32)
    body = b"WAVE" + kind + struct.pack("<4sI", b"data", len(content)) + content
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def _suffix(item: object, content: bytes) -> str:
    """The suffix of a file's name where readers know it, else by what the file begins with."""
    name = item.get("path") if isinstance(item, Mapping) else item
    if isinstance(name, (str, os.PathLike)) and os.fspath(name)[:5].lower() != "data:":
        suffix = os.path.splitext(os.fspath(name).strip(" '\""))[1].lower()
        if suffix in OF_SUFFIX:
            return suffix
    if content[:4] == b"RIFF":
        return RIFF.get(content[8:12], "")
    if content[4:8] == b"ftyp":
        return ".mp4"
    return next((suffix for start, suffix in STARTS.items() if content.startswith(start)), "")
