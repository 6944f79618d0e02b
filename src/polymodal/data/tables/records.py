"""Conversion of Python objects (list of dicts, DataFrame) to Arrow, with images and arrays in cells."""

from __future__ import annotations

import datetime
import decimal
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image, ImageOps

from polymodal.data.media.arrays import as_array, channels_last, is_bare_array, kind_of, packed
from polymodal.data.media.formats import IMAGE
from polymodal.data.tables.arrow_types import DEEPEST, TEXTED, value_text
from polymodal.data.values.spelling import as_label
from polymodal.errors import DataError, Problem

SETS = (set, frozenset)
SCALARS = (str, int, float, decimal.Decimal, datetime.date, datetime.time)
PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
UNSAVED = {"HSV": "RGB", "RGBa": "RGBA", "RGBX": "RGB", "La": "LA", "I;16L": "I;16", "I;16N": "I;16"}
"""Image modes that no file format has, each with an equivalent."""
HALF = "no Unicode: it holds half a character (a lone surrogate)"
PLAIN = ("string", "integer", "floating", "boolean", "empty")
"""Kinds of categories, by pandas' names, for which Arrow has a type."""
MOST_COLUMNS = 20_000
LONGEST_NAME = 1000
MEND = "Write the text again, as UTF-8."
REFUSED = (pa.ArrowException, OverflowError, TypeError, ValueError)


def from_rows(rows: Sequence[Any], name: str) -> pa.Table:
    """Convert rows as dicts; a missing key is an empty cell.

    Raises:
        DataError: If an entry is no dict, or cells of one column do not fit one type.
    """
    problems = [
        Problem(
            found=f"a {type(row).__name__}", expected="a dict of column names to cells", file=name, row=number
        )
        for number, row in enumerate(rows, start=1)
        if not isinstance(row, Mapping)
    ]
    if problems:
        raise DataError(problems)
    keys = list(dict.fromkeys(key for row in rows for key in row))
    columns = _names(keys)
    check_columns(columns, name)  # before one list per key is built
    return _by_column(columns, [[row.get(key) for row in rows] for key in keys], name)


def from_columns(columns: Mapping[Any, Any], name: str) -> pa.Table:
    """Convert a dict of columns, each a list or an array of one dimension.

    Raises:
        DataError: If a column is none, their lengths differ, or cells of one column do not fit one type.
    """
    problems = []
    for key, cells in columns.items():
        if isinstance(cells, (str, bytes, Mapping)) or not hasattr(cells, "__len__"):
            fix = "For one row, give a list that holds the dict."
            expected = "a list or an array of its cells"
            reason = f"a {type(cells).__name__}"
            problems.append(Problem(found=reason, expected=expected, cure=fix, file=name, column=str(key)))
    lengths = {} if problems else {str(key): len(cells) for key, cells in columns.items()}
    first = next(iter(lengths), "")
    for key, length in lengths.items():
        if length != lengths[first]:
            expected = f"{lengths[first]} as in column '{first}'"
            problems.append(Problem(found=f"{length} cells", expected=expected, file=name, column=key))
    if problems:
        raise DataError(problems)
    return _by_column(_names(columns), [_listed(cells) for cells in columns.values()], name)


def _listed(cells: Any) -> Any:
    """A column's cells as :func:`_by_column` takes them."""
    if isinstance(cells, pd.Series):
        return _series(cells)
    if isinstance(cells, pd.api.extensions.ExtensionArray | pd.Index):
        return _series(pd.Series(cells))
    if isinstance(cells, (pa.Array, pa.ChunkedArray)):
        return cells
    is_plain = isinstance(cells, np.ndarray) and cells.ndim == 1 and cells.dtype.kind in "biufM"
    return pd.Series(cells) if is_plain else list(cells)


def from_frame(frame: pd.DataFrame, name: str) -> pa.Table:
    """Convert the columns of a DataFrame, without its index; NaN is an empty cell.

    Raises:
        DataError: If columns have names of several levels, or cells of one column do not fit one type.
    """
    if isinstance(frame.columns, pd.MultiIndex):
        reason, fix = "columns of several levels", "Join them: frame.columns = frame.columns.map('_'.join)."
        raise DataError(Problem(found=reason, expected="one name a column", cure=fix, file=name))
    columns = [frame.iloc[:, position] for position in range(frame.shape[1])]  # names may be duplicated
    return _by_column(_names(frame.columns), [_series(column) for column in columns], name)


def index_notes(frame: pd.DataFrame) -> list[str]:
    """Notes on a frame's index, which is no column; none for a plain range."""
    names = [str(name) for name in frame.index.names if name is not None]
    if not names and not isinstance(frame.index, pd.MultiIndex) and frame.index.dtype.kind in "iu":
        return []
    about = f" ({', '.join(names)})" if names else ""
    return [f"the DataFrame's index{about} is no column: reset_index() makes it one"]


def _names(keys: Iterable[Any]) -> list[str]:
    """Names of columns as texts; a missing value is no name."""
    return ["" if _is_missing(key) else str(key) for key in keys]


def _series(column: pd.Series) -> Any:
    """A column of a frame as :func:`_array` takes it; cell by cell where Arrow has no type for it."""
    kind = column.dtype
    if isinstance(kind, pd.SparseDtype):
        return _series(column.sparse.to_dense())
    if isinstance(kind, pd.CategoricalDtype) and pd.api.types.infer_dtype(kind.categories) not in PLAIN:
        return list(column)
    is_text = isinstance(kind, (pd.PeriodDtype, pd.IntervalDtype)) or kind.kind in "mc"
    return list(column) if is_text or kind.kind == "O" else column


def from_cells(columns: Sequence[str], cells: Sequence[list[Any]], name: str) -> pa.Table:
    """Convert columns of Python values.

    Raises:
        DataError: If a column has no unique name, or its cells do not fit one type.
    """
    return _by_column(list(columns), list(cells), name)


def check_columns(columns: Sequence[str], name: str) -> None:
    """Refuse columns without a unique name.

    Raises:
        DataError: One line for every such column.
    """
    problems = []
    if len(columns) > MOST_COLUMNS:
        reason, fix = f"{len(columns):,} columns", "Give numbers that belong together as one list in a cell."
        raise DataError(Problem(found=reason, expected=f"at most {MOST_COLUMNS:,}", cure=fix, file=name))
    first: dict[str, int] = {}
    for number, column in enumerate(columns, start=1):
        if not str(column).strip():
            fix = "Name it in the first line, or delete it (a DataFrame's index: to_csv(…, index=False))."
            problems.append(Problem(found=f"column {number} has no name", cure=fix, file=name))
        elif first.setdefault(column, number) != number:
            reason = f"columns {first[column]} and {number} have the same name"
            problems.append(Problem(found=reason, cure="Rename one of them.", file=name, column=column))
        elif not _is_unicode(column):
            problems.append(Problem(found=f"column {number} has a name that is {HALF}", file=name, cure=MEND))
        elif len(column) > LONGEST_NAME or "\0" in column:
            reason = f"a name of {len(column):,} characters" if "\0" not in column else "a NUL in its name"
            expected = f"text of at most {LONGEST_NAME:,} characters"
            problems.append(
                Problem(
                    found=f"column {number} has {reason}", expected=expected, file=name, cure="Rename it."
                )
            )
    if problems:
        raise DataError(problems)


def _by_column(columns: list[str], cells: list[Any], name: str) -> pa.Table:
    problems, arrays = [], []
    check_columns(columns, name)
    for column, values in zip(columns, cells, strict=True):
        try:
            arrays.append(_array(values, name, column))
        except DataError as error:  # collected: other columns may have errors too
            problems.extend(error.problems)
        except UnicodeEncodeError:
            problems.extend(_half_characters(values, name, column))
    if problems:
        raise DataError(problems)
    return pa.table(arrays, names=columns)


def _array(cells: Any, name: str, column: str) -> Any:
    if isinstance(cells, (pa.Array, pa.ChunkedArray)):
        return cells
    try:
        is_plain = isinstance(cells, pd.Series) and not _holds_sets(cells)
        values = cells if is_plain else _all_storable(cells, name, column)
        return pa.array(values, from_pandas=True)
    except REFUSED:  # cells of several types
        return pa.array(_alike(_all_storable(cells, name, column), name, column), from_pandas=True)


def _holds_sets(cells: pd.Series) -> bool:
    """Whether there are sets, whose order differs between processes."""
    return cells.dtype == object and any(isinstance(cell, SETS) for cell in cells)


def _all_storable(cells: Any, name: str, column: str) -> list[Any]:
    stored = []
    for row, cell in enumerate(cells, start=1):
        try:
            stored.append(_storable(cell))
        except RecursionError:
            reason, expected = "lists and records nested too deep", f"at most {DEEPEST} levels"
            raise DataError(
                Problem(found=reason, expected=expected, file=name, row=row, column=column)
            ) from None
    return stored


def _half_characters(cells: Any, name: str, column: str) -> list[Problem]:
    """A problem per cell with half a character; one per column where it is nested."""
    result = [
        Problem(found=f"a text that is {HALF}", file=name, row=row, column=column, cure=MEND)
        for row, cell in enumerate(cells, start=1)
        if isinstance(cell, str) and not _is_unicode(cell)
    ]
    return result or [Problem(found=f"a text that is {HALF}", file=name, column=column, cure=MEND)]


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _storable(cell: Any, depth: int = 1) -> Any:
    """An image as ``{"bytes", "path"}``, arrays as lists, paths as text; plain values are unchanged.

    Raises:
        RecursionError: If it is nested too deep.
    """
    if cell is None or isinstance(cell, (str, bytes, int, float)):
        return cell
    if depth > DEEPEST:
        raise RecursionError
    if isinstance(cell, TEXTED):
        return value_text(cell)
    if isinstance(cell, Image.Image):
        return {"bytes": _picture_bytes(cell), "path": None}
    if isinstance(cell, Mapping):
        if is_bare_array(cell):
            return _storable(cell["array"], depth)
        if cell.get("array") is not None and cell.get("sampling_rate") is not None:
            deeper = depth + 1
            return {str(k): _samples(v) if k == "array" else _storable(v, deeper) for k, v in cell.items()}
        return {str(key): _storable(value, depth + 1) for key, value in cell.items()}
    if isinstance(cell, (bytearray, memoryview)):
        return bytes(cell)
    if isinstance(cell, os.PathLike):
        return os.fspath(cell)
    if isinstance(cell, SETS):
        cell = sorted(cell, key=as_label)
    if isinstance(cell, (list, tuple)):
        is_flat = bool(cell) and isinstance(cell[0], (int, float))
        return list(cell) if is_flat else [_storable(value, depth + 1) for value in cell]
    if hasattr(cell, "__array__"):  # NumPy's arrays and numbers, and tensors
        return _storable_array(as_array(cell))
    return cell


def _storable_array(array: np.ndarray) -> Any:
    """8-bit images as PNG; other arrays in NumPy's format, which keeps their type."""
    if array.ndim == 0 and array.dtype in (np.float16, np.float32):
        return float(str(array[()]))  # 0.1 stays 0.1
    if array.ndim == 0 and array.dtype.kind == "M":
        return array.astype("datetime64[us]").item()  # of nanoseconds NumPy makes a number
    if kind_of(array.shape, array.dtype) == IMAGE.modality and array.dtype == np.uint8 and array.size:
        if array.ndim == 3:
            array = array if channels_last(array.shape) else np.moveaxis(array, 0, -1)
            array = array[:, :, 0] if array.shape[2] == 1 else array
        return {"bytes": _picture_bytes(Image.fromarray(np.ascontiguousarray(array))), "path": None}
    if array.dtype.kind in "fiub" and (array.ndim > 2 or (array.ndim == 2 and array.dtype == np.uint16)):
        return {"bytes": packed(array), "path": None}
    return array if array.ndim == 1 and array.dtype.kind in "fiub" else array.tolist()


def _samples(cell: Any) -> Any:
    """The samples of a recording, channels as lists of the same type."""
    if not hasattr(cell, "__array__"):
        return _storable(cell)
    array = as_array(cell)
    return list(array) if array.ndim == 2 else array


def _picture_bytes(image: Image.Image) -> bytes:
    """The image as a lossless file; rotated upright, for PNG loses the orientation."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode in UNSAVED:
        upright = upright.convert(UNSAVED[upright.mode])
    file = BytesIO()
    upright.save(file, "PNG" if upright.mode in PNG_MODES else "TIFF")
    return file.getvalue()


def _alike(cells: list[Any], name: str, column: str) -> list[Any]:
    """Cells of several types as one: numbers and text as text, paths and bytes as ``{"bytes", "path"}``.

    Where some are lists of these, all become lists. Lists of records of different forms, such as messages
    whose content is a text or a list of parts, become JSON.
    """
    cells = [None if _is_missing(cell) else cell for cell in cells]
    if all(cell is None or isinstance(cell, SCALARS) for cell in cells):
        return [cell if cell is None or isinstance(cell, str) else as_label(cell) for cell in cells]
    if all(_is_file(cell) for cell in cells):
        return [_as_file(cell) for cell in cells]
    lists = [cell if cell is None or isinstance(cell, list) else [cell] for cell in cells]
    entries = [entry for cell in lists if cell is not None for entry in cell]
    if all(entry is None or isinstance(entry, str) for entry in entries):
        return lists
    if all(_is_file(entry) for entry in entries):
        return [None if cell is None else [_as_file(entry) for entry in cell] for cell in lists]
    if all(cell is None or _is_records(cell) for cell in cells):
        return [None if cell is None else json.dumps(cell, ensure_ascii=False) for cell in cells]
    kinds = [type(cell).__name__ for cell in cells]
    first = next(row for row, cell in enumerate(cells) if cell is not None)
    other = next(
        (row for row, cell in enumerate(cells) if cell is not None and kinds[row] != kinds[first]), first
    )
    expected = (
        f"a {kinds[first]} as in row {first + 1}" if other != first else "a plain value, path, bytes or array"
    )
    reason = f"a {kinds[other]}" if other != first else f"a {kinds[first]} that cannot be stored"
    raise DataError(Problem(found=reason, expected=expected, file=name, row=other + 1, column=column))


def _is_missing(cell: Any) -> bool:
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and np.isnan(cell))


def _is_file(cell: Any) -> bool:
    return (
        cell is None
        or isinstance(cell, (str, bytes))
        or (isinstance(cell, dict) and cell.keys() <= {"bytes", "path"})
    )


def _is_records(cell: Any) -> bool:
    """Whether a cell is a list of dicts that JSON can hold."""
    if not isinstance(cell, list) or not all(isinstance(entry, dict) for entry in cell):
        return False
    try:
        json.dumps(cell)
    except (TypeError, ValueError):
        return False
    return True


def _as_file(cell: Any) -> Any:
    if isinstance(cell, str):
        return {"bytes": None, "path": cell}
    return {"bytes": cell, "path": None} if isinstance(cell, bytes) else cell
