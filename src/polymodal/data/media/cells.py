"""What a media cell is (path, bytes, data URI, array), what messages call it, and its bytes as a file."""

from __future__ import annotations

import base64
import binascii
import os
import stat
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from polymodal.data.media.arrays import MAGIC as NUMPY
from polymodal.data.media.arrays import as_array, kind_of, read_header
from polymodal.data.media.formats import AUDIO, FORMATS, IMAGE, OF_SUFFIX, SEQUENCE, VIDEO
from polymodal.data.media.limits import LIMITS, Limits
from polymodal.data.media.path_access import MediaAccess, Root, access_of, limits_of, short_path
from polymodal.data.tables.lists import first_filled, number_depth, written_list
from polymodal.errors import PolymodalError, Problem, worded

RIFF = {kind: each.modality for each in FORMATS.values() for kind in each.riff}
"""The modality by the type in a RIFF file."""
BRANDS = {brand: each.modality for each in FORMATS.values() for brand in each.brands}
"""The modality by the first letters of an ISO media file's brand, where they do not mean a clip."""
DATA_URIS = (IMAGE.modality, AUDIO.modality, VIDEO.modality)
"""The types of a ``data:`` URI that hold media."""
RAW = (bytes, bytearray, memoryview)
__all__ = [
    "LIMITS", "Limits", "MediaError", "OutsideError", "describe", "filled_items", "is_empty", "not_opened",
    "open_cell", "recognise", "tidy_path",
]  # fmt: skip


class MediaError(PolymodalError):
    """A picture or recording that cannot be read; whoever knows its row and column adds them."""

    def __init__(self, *, found: str, expected: str = "", cure: str = "") -> None:
        self.found, self.expected, self.cure = found, expected, cure
        super().__init__(" ".join(str(Problem(found=found, expected=expected, cure=cure)).split()))

    def __reduce__(self) -> tuple[Any, ...]:
        """Keyword arguments would be lost on the way back from a worker process."""
        return partial(type(self), found=self.found, expected=self.expected, cure=self.cure), ()


class OutsideError(MediaError):
    """A cell that names a file which the cells of its table may not name."""


def is_empty(cell: Any) -> bool:
    """Whether a cell holds nothing: ``None``, blank text, NaN, or a dict without path, bytes and array.

    Empty too is a list of nothing but these, save for NaN: that is a list of numbers, and wrong.
    """
    if cell is None:
        return True
    if isinstance(cell, str):
        return not cell or cell.isspace()
    if isinstance(cell, Mapping):
        return not cell.get("path") and cell.get("bytes") is None and cell.get("array") is None
    if isinstance(cell, (list, tuple)):
        return all(not isinstance(entry, (float, np.floating)) and is_empty(entry) for entry in cell)
    return isinstance(cell, (float, np.floating)) and bool(np.isnan(cell))


def filled_items(cell: Any, split: Callable[[Any], list[Any] | None]) -> Iterator[tuple[int, Any]]:
    """The items of a cell that hold something, each with its index from 1; 0 for a cell that is one item.

    Args:
        cell: Any cell.
        split: The items of a cell that is not empty; None if it is an item itself.
    """
    if is_empty(cell):
        return
    items = split(cell)
    if items is None:
        yield 0, cell
    for index, item in enumerate(items or (), start=1):
        if not is_empty(item):
            yield index, item


def recognise(cell: Any) -> str | None:
    """``image``, ``audio``, ``video`` or ``sequence`` by what the cell looks like; nothing is opened.

    A list is what all its entries are.
    """
    if isinstance(cell, Image.Image):
        return IMAGE.modality
    if isinstance(cell, RAW):
        return _of_numpy(cell) if bytes(cell[:6]) == NUMPY else _recognise_bytes(bytes(cell[:12]))
    if isinstance(cell, (str, os.PathLike)):
        written = written_list(cell) if isinstance(cell, str) else None
        return _recognise_text(os.fspath(cell)) if written is None else recognise(written)
    if isinstance(cell, Mapping):
        if cell.get("array") is not None:
            return AUDIO.modality if cell.get("sampling_rate") else recognise(cell["array"])
        return recognise(cell.get("bytes")) or recognise(cell.get("path"))
    if isinstance(cell, np.ndarray):
        return kind_of(cell.shape, cell.dtype)
    if hasattr(cell, "detach"):  # a tensor
        return recognise(as_array(cell))
    if isinstance(cell, (list, tuple)) and cell:
        return _recognise_list(cell)
    return None


def _recognise_list(cell: Sequence[Any]) -> str | None:
    depth = number_depth(cell)
    if depth and not isinstance(first_filled(cell), np.ndarray):
        return SEQUENCE.modality if depth <= 2 else None
    kinds = {recognise(entry) for entry in cell if not is_empty(entry)}
    return kinds.pop() if len(kinds) == 1 else None


def _recognise_bytes(head: bytes) -> str | None:
    if head[:4] == b"RIFF":
        return RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return BRANDS.get(head[8:11], VIDEO.modality)
    if head[:4] == b"FORM":
        return AUDIO.modality if head[8:11] == b"AIF" else None
    return next((name for name, each in FORMATS.items() if head.startswith(each.magic)), None)


def _of_numpy(cell: Any) -> str | None:
    """What an array in NumPy's format is, by its header."""
    try:
        shape, _, dtype = read_header(BytesIO(bytes(cell[:4096])))
    except (ValueError, EOFError, SyntaxError):
        return SEQUENCE.modality  # the reader reports the error
    return kind_of(shape, dtype)


def _recognise_text(text: str) -> str | None:
    if text[:5].lower() == "data:":
        kind = text[5:11].split("/")[0].lower()
        return kind if kind in DATA_URIS else None
    if len(text) > 4096 or "\n" in text:  # no path, but prose that happens to end in a file's name
        return None
    text = tidy_path(text)
    if "://" in text[:12]:  # an address, behind whose path a query may follow
        text = text.partition("?")[0].partition("#")[0]
    return OF_SUFFIX.get(os.path.splitext(text)[1].lower())


def tidy_path(text: str) -> str:
    """A path without blanks and quotes around it."""
    text = text.strip()
    if len(text) > 2 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1].strip()
    return text


def describe(cell: Any) -> str:
    """A short description of a cell for messages: its path, or its size."""
    if isinstance(cell, Mapping):
        inner = next((cell[key] for key in ("path", "bytes", "array") if cell.get(key) is not None), None)
        return describe(inner) if inner is not None else "an empty cell"
    if isinstance(cell, (str, os.PathLike)):
        text = os.fspath(cell)
        if text[:5].lower() == "data:":
            return f"data: URI of {len(text)} characters"
        if os.path.isabs(text) and _recognise_text(text) is not None:
            text = short_path(
                text
            )  # messages may be stored and shared, so they name no folder of the machine
        return text if len(text) <= 200 else f"{text[:200]}…"
    if isinstance(cell, RAW):
        return f"{len(cell)} bytes"
    if isinstance(cell, (np.ndarray, Image.Image)):
        shape = cell.shape if isinstance(cell, np.ndarray) else cell.size
        return f"{'array' if isinstance(cell, np.ndarray) else 'picture'} of {' x '.join(map(str, shape))}"
    return f"{type(cell).__name__} of {len(cell)}" if isinstance(cell, (list, tuple)) else type(cell).__name__


def open_cell(cell: Any, root: Root, limits: Limits) -> BinaryIO:
    """The bytes of a cell as a file open for reading; the caller closes it.

    Args:
        cell: A path, bytes, a ``data:`` URI, or a dict of ``path`` and ``bytes``.
        root: Where its path starts; a :class:`polymodal.data.media.path_access.MediaAccess` also restricts
            the files that it may name.
        limits: Limits of what is read.

    Raises:
        OutsideError: If the cell may not name the file, whether or not it exists.
        MediaError: If there is no such file, it holds nothing or more than ``limits.bytes``.
    """
    given, limits = cell, limits_of(root, limits)
    if not isinstance(cell, str) and isinstance(cell, Mapping):  # the first test is fast
        cell = cell["bytes"] if cell.get("bytes") is not None else cell.get("path")
    if is_empty(cell):
        raise MediaError(found="an empty cell", expected="a file or its bytes")
    if isinstance(cell, str) and cell[:5].lower() == "data:":
        _check_bytes(len(cell) * 3 // 4, given, limits)
        cell = _data_uri(cell, describe(given))
    if isinstance(cell, RAW):
        _check_bytes(len(cell), given, limits)
        return BytesIO(cell)
    if isinstance(cell, (str, os.PathLike)):
        return _open_path(os.fspath(cell), root, limits)
    raise MediaError(found=describe(given), expected="a path, bytes or a data: URI")


def not_opened(cell: Any, kind: str) -> MediaError | None:
    """The refusal of a file of a known format that is not opened, by its suffix; None for any other."""
    if isinstance(cell, Mapping):
        cell = cell.get("path")
    if not isinstance(cell, (str, os.PathLike)):
        return None
    name = os.fspath(cell)
    stem, suffix = os.path.splitext(os.path.basename(name))
    if name[:5].lower() == "data:" or suffix.lower() not in FORMATS[kind].unopened:
        return None
    expected, fix = FORMATS[kind].opened, FORMATS[kind].convert
    reason = f"{describe(name)} is a file of the kind {suffix.lower()}, which is not opened"
    return MediaError(found=reason, expected=expected, cure=fix.format(stem + suffix, stem))


def _check_address(name: str) -> None:
    """Refuse what is no path of this machine.

    Raises:
        MediaError: If it is an address, on the network or not.
    """
    scheme, mark, rest = name.partition("://")
    if not mark or len(scheme) > 10 or not scheme.isalnum():
        return
    if scheme.lower() == "file":
        fix = f"Give the plain path: {urllib.parse.unquote(rest)}"
        raise MediaError(found=f"{describe(name)} is an address", expected="a path", cure=fix)
    fix = "Download it and give the file's path."
    raise MediaError(found=f"{describe(name)} is an address on the network", expected="a file", cure=fix)


def _hint(name: str, root: Root) -> str:
    """What may be wrong with the path of a file that is not there."""
    if name.startswith("~"):
        return "'~' is not replaced by the home folder: write the path out."
    if "\\" in name and os.sep != "\\":
        return "Its '\\' are part of the name on this system: write '/' between folders."
    kind = OF_SUFFIX.get(os.path.splitext(name)[1].lower(), "")
    refused = not_opened(name, kind) if kind else None
    if refused is not None:
        return f"Such files are not opened. {refused.cure}"
    if os.path.isabs(name):
        return ""
    about = "Relative paths start from the table's folder: looked" if root else "Looked"
    return f"{about} in {Path(root or '').absolute()}."


def _open_path(name: str, root: Root, limits: Limits) -> BinaryIO:
    _check_address(name)
    try:
        path = access_of(root).locate(name)
        if path is None:
            raise _outside(name, access_of(root))
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device might never end
            kind = "folder" if stat.S_ISDIR(status.st_mode) else "device or pipe"
            raise MediaError(
                found=f"{describe(name)} is a {kind}", expected="a file", cure="Give the path of one file."
            )
        _check_bytes(status.st_size, name, limits)
        return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError):
        if tidy_path(name) != name:
            return _open_path(tidy_path(name), root, limits)
        problem = f"{short_path(name, root)} does not exist"
        raise MediaError(found=problem, cure=_hint(name, root)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MediaError(found=f"{describe(name)} cannot be opened ({reason})", expected="a file") from error


def _outside(name: str, access: MediaAccess) -> OutsideError:
    if not access.within:
        reason, expected = "the path of a file", "the file's bytes or a data: URI"
        return OutsideError(found=reason, expected=expected)
    reason = f"{short_path(name, access)} lies outside the table's folder"
    root, anywhere = (
        worded("--root", "'data.root' of settings="),
        worded("--media-anywhere", "'data.media_anywhere': True"),
    )
    fix = f"Name the folder of the files by {root}, or allow any by {anywhere}."
    return OutsideError(found=reason, expected="a file in that folder", cure=fix)


def _check_bytes(size: int, cell: Any, limits: Limits) -> None:
    if 0 < size <= limits.bytes:
        return
    name = describe(cell)
    if size == 0:
        raise MediaError(
            found=f"{name}: the file is empty" if name != "0 bytes" else "an empty file",
            cure="Replace the file, or leave the cell empty.",
        )
    expected = f"at most {limits.bytes:,} bytes"
    raise MediaError(found=f"{name} holds {size:,} bytes", expected=expected, cure="Make it smaller.")


def _data_uri(text: str, name: str) -> bytes:
    head, comma, body = text.partition(",")
    try:
        if not comma:
            raise ValueError("no comma")
        raw = urllib.parse.unquote_to_bytes(body)
        return base64.b64decode(b"".join(raw.split()), validate=True) if head.endswith(";base64") else raw
    except (binascii.Error, ValueError) as error:
        expected = "data:image/png;base64,… or the like"
        raise MediaError(found=f"{name} cannot be decoded ({error})", expected=expected) from error
