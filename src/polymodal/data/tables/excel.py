"""Reading and writing of Excel workbooks (``.xlsx``) of one sheet, with openpyxl (extra ``excel``)."""

from __future__ import annotations

import datetime
import json
import math
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from polymodal.data.tables import records
from polymodal.data.tables.written_rows import plain_cells
from polymodal.data.values.spelling import as_text_of
from polymodal.errors import ConfigError, DataError, PolymodalError, Problem, one_line

MOST_ROWS, MOST_COLUMNS, LONGEST_TEXT = 1_048_576, 16_384, 32_767
"""Limits of a sheet and of a cell in Excel."""
UNPACKED, FEW_CELLS, TEXTS, TIMES = 16 * 2**20, 1_000_000, 256 * 2**20, 20
"""Limits of an unpacked workbook: its bytes, its cells (including the empty ones of a row) and characters of
its texts. Larger files may have ``TIMES`` their size in bytes or characters, and as many cells as bytes."""
EXACT = 2**53
"""Excel's numbers are floats: larger whole numbers are written as text."""
DAMAGED = (
    zipfile.BadZipFile,
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    SyntaxError,
    EOFError,
)


def require_openpyxl(name: str) -> Any:
    """Import openpyxl.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        import openpyxl
    except ImportError:
        raise ConfigError(f"{name}: Excel files need openpyxl: pip install 'polymodal[excel]'") from None
    return openpyxl


def read_excel(path: Path, name: str) -> pa.Table:
    """Read the only sheet with rows of a workbook; its first row names the columns.

    A formula is read as the value that the workbook holds for it.

    Args:
        path: The file.
        name: Its name in messages.

    Raises:
        DataError: If it is no workbook, holds several filled sheets, or a formula without its value.
        ConfigError: If openpyxl is not installed.
    """
    require_openpyxl(name)
    try:
        sheets = _filled_sheets(path, name, _check_size(path, name))
        if len(sheets) > 1:
            fix = "Save the sheet as a file of its own."
            raise _error(name, f"{len(sheets)} sheets ({', '.join(sheets)})", "one sheet with rows", fix)
        if not sheets:
            raise _error(name, "the workbook is empty", "column names and rows")
        ((title, rows),) = sheets.items()
        _check_formulas(path, name, title, rows)
    except DAMAGED as error:
        reason = one_line(str(error), 100) or type(error).__name__
        raise _error(name, f"cannot be read ({reason})", "an Excel workbook", "Save it again.") from error
    except OSError as error:
        raise _error(name, f"cannot be read ({error.strerror or error})") from error
    return _as_table(rows, name)


def _error(name: str, found: str, expected: str = "", cure: str = "") -> DataError:
    return DataError(Problem(found=found, expected=expected, cure=cure, file=name))


def _check_size(path: Path, name: str) -> int:
    """Check the unpacked size of a workbook; returns the size of the file in bytes.

    Raises:
        DataError: If it is too large.
    """
    with zipfile.ZipFile(path) as file:
        size = sum(entry.file_size for entry in file.infolist())
    packed = path.stat().st_size
    limit = max(UNPACKED, TIMES * packed)
    if size > limit:
        raise _too_large(name, f"a workbook of {size / 2**20:,.0f} MB unpacked", f"{limit // 2**20:,} MB")
    return packed


def _too_large(name: str, found: str, most: str) -> DataError:
    return _error(name, found, f"at most {most}", "Save the table as CSV or Parquet.")


@contextmanager
def _opened(path: Path, *, values: bool) -> Iterator[Any]:
    """The workbook, read row by row: the values of formulas, or the formulas themselves."""
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and validation, which tables do not have
        book = openpyxl.load_workbook(path, read_only=True, data_only=values)
        try:
            yield book
        finally:
            book.close()


def _counted(rows: Iterable[tuple[Any, ...]], name: str, packed: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows while cells and characters are counted: one distant cell makes many empty ones.

    Raises:
        DataError: If there are too many cells or characters.
    """
    cells, texts = max(FEW_CELLS, packed), max(TEXTS, TIMES * packed)
    for row in rows:
        cells -= 1 + len(row)
        texts -= sum(len(cell) for cell in row if isinstance(cell, str))
        if cells < 0:
            raise _too_large(
                name, "too many cells, most of them empty or alike", f"{max(FEW_CELLS, packed):,}"
            )
        if texts < 0:
            raise _too_large(name, "too much text", f"{max(TEXTS, TIMES * packed):,} characters")
        yield row


def _filled_sheets(path: Path, name: str, packed: int) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of each sheet that has any, by title, without empty rows at the end."""
    result = {}
    with _opened(path, values=True) as book:
        for sheet in book.worksheets:
            sheet.reset_dimensions()  # the dimensions in a file may be wrong
            rows = list(_counted(sheet.iter_rows(values_only=True), name, packed))
            while rows and all(_is_blank(cell) for cell in rows[-1]):
                rows.pop()
            if rows:
                result[sheet.title] = rows
    return result


def _is_blank(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _check_formulas(path: Path, name: str, title: str, rows: list[tuple[Any, ...]]) -> None:
    """Refuse formulas without a stored value: they would be empty cells."""
    with _opened(path, values=False) as book:
        sheet = book[title]
        sheet.reset_dimensions()
        for number, (cells, kept) in enumerate(zip(sheet.iter_rows(), rows, strict=False)):
            for cell, value in zip(cells, kept, strict=False):
                if value is None and getattr(cell, "data_type", "") == "f":
                    reason = f"cell {cell.coordinate} holds a formula without its value"
                    fix = "Open the file in a spreadsheet and save it."
                    row = number or None
                    raise DataError(Problem(found=reason, cure=fix, file=name, row=row))


def _as_table(rows: list[tuple[Any, ...]], name: str) -> pa.Table:
    width = max(len(row) for row in rows)
    whole = [(*row, *[None] * (width - len(row))) for row in rows]
    columns = list(zip(*whole, strict=True))
    while columns and all(_is_blank(cell) for cell in columns[-1]):
        columns.pop()
    names = ["" if _is_blank(column[0]) else _name(column[0]) for column in columns]
    return records.from_cells(names, [_dated(list(column[1:])) for column in columns], name)


def _name(cell: Any) -> str:
    return cell.strip() if isinstance(cell, str) else as_text_of(cell)


def _dated(cells: list[Any]) -> list[Any]:
    """Convert times that are all midnight to dates, for which a workbook has no type."""
    cells = [None if _is_blank(cell) else cell for cell in cells]
    known = [cell for cell in cells if cell is not None]
    midnight = datetime.time()
    if known and all(isinstance(cell, datetime.datetime) and cell.time() == midnight for cell in known):
        return [None if cell is None else cell.date() for cell in cells]
    return cells


class ExcelWriter:
    """Writes a workbook of one sheet, row by row; texts are marked as texts and never computed.

    Args:
        path: The file; it is written by :meth:`close`.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.rows, self.closed = path, 0, False
        self.book = require_openpyxl(str(path)).Workbook(write_only=True)
        self.sheet = self.book.create_sheet("answers")

    def write_table(self, rows: pa.Table) -> None:
        """Append rows.

        Raises:
            PolymodalError: If a sheet or a cell would be too large.
        """
        if not self.rows:
            self._append(rows.column_names)
        self._check_size(rows)
        columns = [plain_cells(rows, name, "a workbook") for name in rows.column_names]
        for cells in zip(*columns, strict=True):
            self._append(cells)

    def _check_size(self, rows: pa.Table) -> None:
        reason = None
        if self.rows + len(rows) > MOST_ROWS:
            reason = f"more than {MOST_ROWS - 1:,} rows"
        elif rows.num_columns > MOST_COLUMNS:
            reason = f"more than {MOST_COLUMNS:,} columns"
        if reason:
            raise PolymodalError(f"{reason}, which no sheet holds. Write .parquet or .csv")

    def _append(self, cells: Any) -> None:
        self.sheet.append([self._cell(cell) for cell in cells])
        self.rows += 1

    def _cell(self, value: Any) -> Any:
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if _is_excel_value(value):
            return value
        text = value if isinstance(value, str) else _as_text(value)
        if len(text) > LONGEST_TEXT:
            reason = f"a text of {len(text):,} characters in row {self.rows}"
            raise PolymodalError(f"{reason}, where a cell holds {LONGEST_TEXT:,}. Write .parquet or .jsonl")
        cell = WriteOnlyCell(self.sheet, ILLEGAL_CHARACTERS_RE.sub("\ufffd", text))
        cell.data_type = "s"  # otherwise "=1+1" is a formula and "#N/A" an error
        return cell

    def close(self) -> None:
        """Write the file."""
        if not self.closed:
            self.closed = True
            self.book.save(self.path)


def _is_excel_value(value: Any) -> bool:
    """Whether a workbook can hold the value without loss."""
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) <= EXACT
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, datetime.datetime):
        return value.tzinfo is None and value.year >= 1900 and value.microsecond == 0
    return isinstance(value, datetime.date) and value.year >= 1900


def _as_text(value: Any) -> str:
    return (
        json.dumps(value, ensure_ascii=False, default=as_text_of)
        if isinstance(value, (list, dict))
        else as_text_of(value)
    )
