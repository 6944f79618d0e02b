"""Python objects (list of dicts, DataFrame) → Arrow; a picture or array in a cell becomes storable."""

from __future__ import annotations

import datetime
import decimal
import json
import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image, ImageOps

from polymodal.data.spelling import as_label
from polymodal.errors import DataError, Problem

SCALARS = (str, int, float, decimal.Decimal, datetime.date, datetime.time)
PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
HALF = "no Unicode: it holds half a character (a lone surrogate)"
MEND = "Write the text anew, as UTF-8."
REFUSED = (pa.ArrowException, OverflowError, TypeError, ValueError)


def from_rows(rows: Sequence[Any], name: str) -> pa.Table:
    """Rows as dicts → Arrow; a key absent from a row is an empty cell.

    Raises:
        DataError: If an entry is no dict, or cells of one column cannot stand together.
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
    return _by_column([str(key) for key in keys], [[row.get(key) for row in rows] for key in keys], name)


def from_frame(frame: pd.DataFrame, name: str) -> pa.Table:
    """A DataFrame's columns → Arrow, without its index; NaN is an empty cell.

    Raises:
        DataError: If cells of one column cannot stand together.
    """
    columns = [frame.iloc[:, position] for position in range(frame.shape[1])]  # names may stand twice
    cells = [list(column) if column.dtype == object else column for column in columns]
    return _by_column([str(column) for column in frame.columns], cells, name)


def check_columns(columns: Sequence[str], name: str) -> None:
    """Refuse columns without a name of their own.

    Raises:
        DataError: One line for every such column.
    """
    problems = []
    for number, column in enumerate(columns, start=1):
        if not str(column).strip():
            cure = "Name it in the first line, or delete it (a DataFrame's index: to_csv(…, index=False))."
            problems.append(Problem(found=f"column {number} has no name", cure=cure, file=name))
        elif column in columns[: number - 1]:
            found = f"columns {columns.index(column) + 1} and {number} have the same name"
            problems.append(Problem(found=found, cure="Rename one of them.", file=name, column=column))
        elif not _is_unicode(column):
            problems.append(Problem(found=f"column {number} has a name that is {HALF}", file=name, cure=MEND))
    if problems:
        raise DataError(problems)


def _by_column(columns: list[str], cells: list[Any], name: str) -> pa.Table:
    problems, arrays = [], []
    check_columns(columns, name)
    for column, values in zip(columns, cells, strict=True):
        try:
            arrays.append(_array(values, name, column))
        except DataError as error:  # of this column: the others may have theirs
            problems.extend(error.problems)
        except UnicodeEncodeError:
            problems.extend(_half_characters(values, name, column))
    if problems:
        raise DataError(problems)
    return pa.table(arrays, names=columns)


def _array(cells: Any, name: str, column: str) -> Any:
    try:
        values = cells if isinstance(cells, pd.Series) else [_storable(cell) for cell in cells]
        return pa.array(values, from_pandas=True)
    except REFUSED:  # cells of several kinds
        return pa.array(_alike([_storable(cell) for cell in cells], name, column), from_pandas=True)


def _half_characters(cells: Any, name: str, column: str) -> list[Problem]:
    """A problem for every cell that holds half a character; for the column where they lie deeper."""
    found = [
        Problem(found=f"a text that is {HALF}", file=name, row=row, column=column, cure=MEND)
        for row, cell in enumerate(cells, start=1)
        if isinstance(cell, str) and not _is_unicode(cell)
    ]
    return found or [Problem(found=f"a text that is {HALF}", file=name, column=column, cure=MEND)]


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _storable(cell: Any) -> Any:
    """A picture as ``{"bytes", "path"}``, arrays as lists, paths as text; what is plain stays."""
    if cell is None or isinstance(cell, (str, bytes, int, float)):
        return cell
    if isinstance(cell, Image.Image):
        return {"bytes": _picture_bytes(cell), "path": None}
    if isinstance(cell, Mapping):
        return {str(key): _storable(value) for key, value in cell.items()}
    if isinstance(cell, (bytearray, memoryview)):
        return bytes(cell)
    if isinstance(cell, os.PathLike):
        return os.fspath(cell)
    if isinstance(cell, (list, tuple)):
        is_flat = bool(cell) and isinstance(cell[0], (int, float))
        return list(cell) if is_flat else [_storable(value) for value in cell]
    if hasattr(cell, "__array__"):  # NumPy's arrays and numbers, and tensors
        array = np.asarray(cell)
        if array.ndim == 0 and array.dtype in (np.float16, np.float32):
            return float(str(array[()]))  # 0.1 stays 0.1
        if array.ndim == 0 and array.dtype.kind == "M":
            return array.astype("datetime64[us]").item()  # of nanoseconds NumPy makes a number
        if array.dtype == np.uint8 and array.ndim in (2, 3):
            return {"bytes": _picture_bytes(Image.fromarray(array)), "path": None}
        return array if array.ndim == 1 and array.dtype.kind in "fiub" else array.tolist()
    return cell


def _picture_bytes(image: Image.Image) -> bytes:
    """The picture without loss as a file; upright, as PNG would forget how the camera was held."""
    upright = ImageOps.exif_transpose(image)
    file = BytesIO()
    upright.save(file, "PNG" if upright.mode in PNG_MODES else "TIFF")
    return file.getvalue()


def _alike(cells: list[Any], name: str, column: str) -> list[Any]:
    """Cells of several kinds as one: numbers and text as text, paths and bytes as ``{"bytes", "path"}``.

    Where some are lists of such, all become lists. Lists of records that differ in their form, such as
    messages whose content is a text here and a list of parts there, become JSON.
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
    found = f"a {kinds[other]}" if other != first else f"a {kinds[first]} that cannot be stored"
    raise DataError(Problem(found=found, expected=expected, file=name, row=other + 1, column=column))


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
