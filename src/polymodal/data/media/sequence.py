"""Decoding of feature sequences ``(time, features)`` from cells (path, bytes, list, array); no pickles."""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from polymodal.data.media.arrays import MAGIC, read_header
from polymodal.data.media.cells import LIMITS, Limits, MediaError, describe, open_cell
from polymodal.data.media.path_access import Root, limits_of
from polymodal.data.tables.lists import written_list

DIMENSIONS = 2
ZIP = b"PK\x03\x04"
BLOCK = 2**20
"""Bytes that are unpacked, or values that are checked, at once."""
# What NumPy and zipfile are known to raise on damaged bytes.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError, OSError, EOFError,
    SyntaxError, ValueError, TypeError, LookupError, OverflowError, RuntimeError, MemoryError,
)  # fmt: skip
UNCLEAR = "malformed node"  # part of the message of Python's parser for a bad header
EXPECTED = "numbers of shape (time, features)"


def load_sequence(cell: Any, root: Root = None, limits: Limits = LIMITS) -> np.ndarray:
    """Decode the features in a cell: float32 ``(time, features)``; a single dimension is time.

    Args:
        cell: Path (relative to ``root`` or absolute) of a ``.npy`` or ``.npz`` file, its bytes,
            ``{"path", "bytes"}``, ``{"array"}``, an array, a list of numbers or of lists of numbers, or the
            text of such a list.
        root: Folder that relative paths refer to; the current one by default.
        limits: Limits of what is read.

    Raises:
        MediaError: If there is no such file, it is damaged, too large, holds no such array, or holds values
            that are no numbers.
    """
    limits = limits_of(root, limits)
    if isinstance(cell, Mapping) and cell.get("array") is not None:
        cell = cell["array"]
    if isinstance(cell, str):
        cell = written_list(cell) or cell
    if isinstance(cell, (list, tuple)):
        array = _from_list(cell)
    elif isinstance(cell, np.ndarray):
        array = cell
    else:
        array = _from_file(cell, root, limits)
    return _checked(array, describe(cell))


def _from_list(cell: Any) -> np.ndarray:
    """Lists of numbers as an array; None among them is no number."""
    try:
        array = np.asarray(cell)
        return array.astype(np.float64) if array.dtype.kind == "O" else array
    except (ValueError, TypeError):
        raise _mistake(cell) from None


def _mistake(cell: Any) -> MediaError:
    """The error of lists that are no array: steps of different lengths, or other values."""
    name = describe(cell)
    lengths = [len(step) if isinstance(step, (list, tuple, np.ndarray)) else None for step in cell]
    other = next((index for index, length in enumerate(lengths) if length != lengths[0]), None)
    if other is None or lengths[0] is None or lengths[other] is None:
        return MediaError(found=f"{name} holds something else than numbers", expected=EXPECTED)
    reason = f"{name}: step {other + 1} has {lengths[other]} features"
    return MediaError(
        found=reason, expected=f"{lengths[0]} as in step 1", cure="Give each step all features."
    )


def _from_file(cell: Any, root: Root, limits: Limits) -> np.ndarray:
    with open_cell(cell, root, limits) as stream, _damage(cell):
        size = stream.seek(0, 2)
        stream.seek(0)
        head = stream.read(len(MAGIC))
        stream.seek(0)
        if head == MAGIC:
            return _read_npy(stream, describe(cell), size, limits)
        if head.startswith(ZIP):
            with zipfile.ZipFile(stream) as archive:
                return _read_npz(archive, describe(cell), limits)
        fix = "Write it with numpy.save."
        raise MediaError(found=f"{describe(cell)} is no NumPy file", expected=".npy or .npz", cure=fix)


def _read_npz(archive: zipfile.ZipFile, name: str, limits: Limits) -> np.ndarray:
    """The only array in an archive, whose unpacked size is checked first."""
    arrays = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(arrays) != 1:
        names = ", ".join(f"'{entry.filename.removesuffix('.npy')}'" for entry in arrays[:10])
        reason = f"{name} holds {len(arrays)} arrays" + (f" ({names})" if arrays else "")
        fix = "Save the one to read alone, with numpy.save."
        raise MediaError(found=reason, expected="one array", cure=fix)
    if arrays[0].file_size > limits.bytes:
        reason = f"{name} holds {arrays[0].file_size:,} bytes unpacked"
        expected = f"at most {limits.bytes:,} bytes"
        raise MediaError(found=reason, expected=expected, cure="Make it smaller.")
    with archive.open(arrays[0]) as stream:
        return _read_npy(stream, name, arrays[0].file_size, limits)


def _read_npy(stream: IO[bytes], name: str, size: int, limits: Limits) -> np.ndarray:
    """An array; its header must declare no more than the file holds, and no Python objects."""
    shape, by_column, kind = read_header(stream)
    if kind.hasobject:
        fix = "Save it as numbers: numpy.save(path, array.astype('float32'))."
        raise MediaError(found=f"{name} holds Python objects, never loaded", expected=EXPECTED, cure=fix)
    _check_kind(kind, shape, name)
    count = math.prod(shape)
    if stream.tell() + count * kind.itemsize > size:
        reason = f"{name} is cut short: {size} of {stream.tell() + count * kind.itemsize} bytes"
        raise MediaError(found=reason, expected="a whole array", cure="Copy it or write it again.")
    held = count * (kind.itemsize + (0 if kind == np.float32 and not by_column else 4))
    if held > limits.memory:
        reason = f"{name}: array of {kind}, shape {shape} takes {held:,} bytes to read"
        expected = f"at most {limits.memory:,} bytes"
        raise MediaError(found=reason, expected=expected, cure="Make it shorter, or save it as float32.")
    array = np.empty(count, dtype=kind)
    _fill(stream, array, name)
    return array.reshape(shape, order="F" if by_column else "C")


def _fill(stream: IO[bytes], array: np.ndarray, name: str) -> None:
    """Read ``array`` in blocks: an archive would double what it has unpacked."""
    index = memoryview(array.data).cast("B")
    while len(index):
        block = stream.read(min(BLOCK, len(index)))
        if not block:
            raise MediaError(found=f"{name} is cut short", expected="a whole array", cure="Write it again.")
        index[: len(block)] = block
        index = index[len(block) :]


def _check_kind(kind: np.dtype, shape: tuple[int, ...], name: str) -> None:
    if kind.kind not in "fiub" or not 1 <= len(shape) <= DIMENSIONS:
        reason = f"{name}: array of {kind}, shape {shape}"
        raise MediaError(found=reason, expected=EXPECTED, cure="Save one sequence a file.")
    if min(shape) < 1:
        reason = f"{name}: array of shape {shape} holds no features"
        raise MediaError(found=reason, expected=EXPECTED, cure="Leave the cell empty instead.")


def _checked(array: np.ndarray, name: str) -> np.ndarray:
    """``array`` as float32 ``(time, features)``, all of it finite."""
    _check_kind(array.dtype, array.shape, name)
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which is refused below
        values = np.ascontiguousarray(array if array.ndim == DIMENSIONS else array[:, None], dtype=np.float32)
    if array.dtype.kind == "f":
        _check_finite(values, name)
    return values


def _check_finite(values: np.ndarray, name: str) -> None:
    lines = max(1, BLOCK // values.shape[1])
    bad, first = 0, None
    for top in range(0, len(values), lines):
        indices = np.argwhere(~np.isfinite(values[top : top + lines]))
        if len(indices) and first is None:
            first = indices[0] + (top + 1, 1)
        bad += len(indices)
    if first is not None:
        reason = f"{name} holds {bad} values that are no finite numbers, the first in step {first[0]}, "
        reason += f"feature {first[1]}"
        raise MediaError(found=reason, expected="finite numbers", cure="Fill them, or leave the cell empty.")


@contextmanager
def _damage(cell: Any) -> Iterator[None]:
    """Turn errors of damaged bytes inside the block into one type."""
    try:
        yield
    except DAMAGED as error:
        message = getattr(error, "strerror", None) or str(error)
        reason = (message.splitlines() or [type(error).__name__])[0]
        if UNCLEAR in reason:
            reason = "its header is damaged"
        problem = f"{describe(cell)} cannot be read ({reason})"
        fix = "Replace the file, or leave the cell empty."
        raise MediaError(found=problem, expected="a NumPy array", cure=fix) from error
