"""Files of plain models: JSON and arrays, which may come from a stranger and of which nothing is executed."""

from __future__ import annotations

import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np

from polymodal.errors import RunError, one_line
from polymodal.utils.atomic import aside, write_text
from polymodal.utils.json_files import read_json
from polymodal.utils.records import JsonValue, Settings

T = TypeVar("T")
Arrays: TypeAlias = "dict[str, np.ndarray]"
SETTINGS, ARRAYS = "settings.json", "arrays.npz"
MOST_BYTES = 2**31
"""Largest sum of the arrays of a file, unpacked: a small file may claim to unpack to any size."""
FOREIGN: tuple[type[Exception], ...] = (
    OSError, ValueError, TypeError, LookupError, EOFError, ArithmeticError, AttributeError, RuntimeError,
    StopIteration, MemoryError, struct.error, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
"""What reading a file may raise that is damaged or that was not written here."""


def write_state(folder: Path, settings: Settings, arrays: Arrays) -> None:
    """Write settings and arrays into a folder, which is created.

    Raises:
        ValueError: If an array holds objects.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / SETTINGS, json.dumps(settings, ensure_ascii=False, allow_nan=False))
    with aside(folder / ARRAYS) as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **{f"{name}": array for name, array in arrays.items()})


def read_state(folder: Path) -> tuple[Settings, Arrays]:
    """Read what :func:`write_state` wrote.

    Raises:
        RunError: If a file is missing, too large, or holds anything but JSON and arrays of numbers.
    """
    with refusing(folder):
        settings = read_json(folder / SETTINGS)
        if not isinstance(settings, dict):
            raise ValueError(f"{SETTINGS} holds no object")
        return settings, _read_arrays(folder / ARRAYS)


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        ValueError: If it is no regular file, or too large.
    """
    if not path.is_file():  # reading a pipe or a device might never end
        raise ValueError(f"no file {path.name}")
    if path.stat().st_size > MOST_BYTES // 4:
        raise ValueError(
            f"{path.name} of {path.stat().st_size >> 20} MB, expected at most {MOST_BYTES >> 22} MB"
        )
    return path.read_text(encoding="utf-8")


def _read_arrays(path: Path) -> Arrays:
    if not path.is_file():  # reading a pipe or a device might never end
        raise ValueError(f"no file {path.name}")
    with zipfile.ZipFile(path) as file:
        size = sum(entry.file_size for entry in file.infolist())
    if size > MOST_BYTES:
        raise ValueError(f"arrays of {size >> 20} MB, expected at most {MOST_BYTES >> 20} MB")
    with np.load(path, allow_pickle=False) as content:
        return {name: content[name] for name in content.files}


@contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """Turn what an incomplete or foreign folder of a plain model causes into one line.

    Raises:
        RunError: In place of a missing file or key, a wrong type or value.
    """
    try:
        yield
    except FOREIGN as error:
        raise RunError(f"{folder}: is no plain model of a run ({reason_of(error)}). Fit again") from None


def reason_of(error: Exception) -> str:
    """What is wrong with a file, in a few words, from the error of whoever read it."""
    if isinstance(error, KeyError):
        return f"no entry {one_line(str(error), 200)}"
    if isinstance(error, OSError) and error.strerror:
        return f"{Path(error.filename).name}: {error.strerror}" if error.filename else error.strerror
    return one_line((str(error).splitlines() or [type(error).__name__])[0], 200)


def as_array(arrays: Arrays, name: str, *shape: int, kinds: str = "f") -> np.ndarray:
    """The array of that name, if it has this shape and finite values.

    Args:
        arrays: By name.
        name: Of the array.
        shape: The expected one.
        kinds: The letters of the allowed kinds of ``dtype``.

    Raises:
        ValueError: If it has another shape or kind, or a value that is not finite.
        KeyError: If there is none.
    """
    array = arrays[name]
    if array.shape != shape or array.dtype.kind not in kinds:
        raise ValueError(f"'{name}' of shape {array.shape} and type {array.dtype}, expected shape {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"'{name}' with a value that is not finite")
    return array


def as_list(value: JsonValue, name: str) -> list[JsonValue]:
    """``value`` if it is a list; see :func:`_of_type`."""
    return _of_type(value, list, f"'{name}' is no list")


def as_object(value: JsonValue, name: str) -> Settings:
    """``value`` if it is an object of JSON; see :func:`_of_type`."""
    return _of_type(value, dict, f"'{name}' is no object")


def _of_type(value: JsonValue, kind: type[T], wrong: str) -> T:
    """``value`` if it is of a type.

    Raises:
        ValueError: With the text ``wrong``, if it is not.
    """
    if not isinstance(value, kind):
        raise ValueError(wrong)
    return value


def as_count(value: JsonValue, name: str) -> int:
    """``value`` if it is a whole number from 0.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"'{name}' is no count")
    return value


def as_number(value: JsonValue, name: str) -> float:
    """``value`` if it is a number.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise ValueError(f"'{name}' is no number")
    return float(value)
