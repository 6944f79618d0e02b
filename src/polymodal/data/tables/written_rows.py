"""Writing of rows as CSV, TSV and JSON lines, so that each cell reads back as the same value.

Empty cells are empty (``null`` in JSON), truth values ``true`` and ``false``, dates ISO 8601. CSV holds lists
as JSON. Texts are written unchanged, even where a spreadsheet would read one as a formula: open such a file
as text there, or write ``.xlsx``, whose cells are marked as texts.
"""

from __future__ import annotations

import csv
import json
import math
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from polymodal.data.values.spelling import as_text_of
from polymodal.errors import PolymodalError, one_line
from polymodal.utils.records import JsonObject


class TextFile(Protocol):
    """A text file that rows are written to."""

    def write(self, text: str, /) -> int:
        """Append a text."""

    def close(self) -> None:
        """Finish the file."""


class _Lines:
    """Ends lines with ``\\n``; the CSV writer uses ``\\r\\n``, so that it quotes texts with either."""

    def __init__(self, file: TextFile) -> None:
        self.file = file

    def write(self, text: str) -> int:
        return self.file.write(text[:-2] + "\n")


class DelimitedWriter:
    """Writes CSV, or TSV with another delimiter; the first line has the names of the columns.

    Args:
        file: Closed by :meth:`close`.
        delimiter: Separator of the cells.
    """

    def __init__(self, file: TextFile, delimiter: str = ",") -> None:
        self.file = file
        self.writer = csv.writer(_Lines(file), delimiter=delimiter, lineterminator="\r\n")
        self.begun = False

    def write_table(self, rows: pa.Table) -> None:
        """Append rows."""
        if not self.begun:
            self.writer.writerow(rows.column_names)
            self.begun = True
        columns = [map(_as_text, plain_cells(rows, name, "a text file")) for name in rows.column_names]
        self.writer.writerows(zip(*columns, strict=True))

    def close(self) -> None:
        """Finish the file."""
        self.file.close()


class JsonLinesWriter:
    """Writes one JSON object per line.

    Args:
        file: Closed by :meth:`close`.
    """

    def __init__(self, file: TextFile) -> None:
        self.file = file

    def write_table(self, rows: pa.Table) -> None:
        """Append rows."""
        for row in json_rows(rows):
            self.file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Finish the file."""
        self.file.close()


def json_rows(rows: pa.Table) -> list[JsonObject]:
    """Rows as JSON values."""
    cells = [map(_as_json, plain_cells(rows, name, "JSON")) for name in rows.column_names]
    return [dict(zip(rows.column_names, row, strict=True)) for row in zip(*cells, strict=True)]


def plain_cells(rows: pa.Table, name: str, what: str) -> list[Any]:
    """The cells of a column as plain Python values; float32 in the fewest digits that identify it.

    Args:
        rows: The table.
        name: The column.
        what: The format, for messages.

    Raises:
        PolymodalError: If a cell holds bytes, which only Parquet can hold.
    """
    column = rows.column(name)
    cells = column.to_pylist()
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        cells = [_shortened(cell) for cell in cells]
    if any(_holds_bytes(cell) for cell in cells):
        fix = "Write .parquet, or do not keep the column"
        raise PolymodalError(f"column '{one_line(name, 80)}' holds bytes, which {what} cannot hold. {fix}")
    return cells


def _shortened(cell: Any) -> Any:
    if isinstance(cell, list):
        return [_shortened(value) for value in cell]
    return cell if cell is None else float(str(np.float32(cell)))


def _holds_bytes(cell: Any) -> bool:
    if isinstance(cell, (list, tuple)):
        return any(map(_holds_bytes, cell))
    if isinstance(cell, dict):
        return any(map(_holds_bytes, cell.values()))
    return isinstance(cell, bytes)


def _as_text(cell: Any) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, (list, dict)):
        result = _as_json(cell)
        return "" if result is None else json.dumps(result, ensure_ascii=False)
    return cell if isinstance(cell, str) else as_text_of(cell)


def _as_json(cell: Any) -> Any:
    """A JSON value; null for a list of NaN only, which means no vector."""
    if isinstance(cell, dict):
        return {key: _as_json(value) for key, value in cell.items()}
    if isinstance(cell, list):
        result = [_as_json(value) for value in cell]
        return None if result and all(value is None for value in result) else result
    if isinstance(cell, float) and not math.isfinite(cell):
        return None if math.isnan(cell) else str(cell)
    return cell if cell is None or isinstance(cell, (str, bool, int, float)) else as_text_of(cell)
