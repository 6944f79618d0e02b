"""Reading of JSON: one object per line (JSONL), a list of objects, or pandas' forms of a DataFrame."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from polymodal.data.tables import records
from polymodal.data.tables.arrow_types import DEEPEST
from polymodal.errors import DataError, Problem, one_line
from polymodal.utils.records import JsonObject

BAD_JSON = (ValueError, RecursionError)
SPLIT = {"columns", "data"}
SPLIT_TOO = {"index", "index_names", "column_names"}
CELL_KEYS = {"bytes", "path", "array", "sampling_rate"}
"""Keys of a media cell: an object of these alone is one row."""
MOST_LISTED = 1000
SPARSE, FEW_CELLS = 10, 10_000_000
"""Limit of the cells of a table, as a multiple of those in the file, or in total: every key adds a column."""


def read_json(
    raw: bytes, name: str, lines: bool, rejected: list[Problem] | None, notes: list[str]
) -> pa.Table:
    """Read the rows of a JSON file.

    Args:
        raw: The text, in UTF-8.
        name: The file's name in messages.
        lines: Whether it holds one object per line, as ``.jsonl``; otherwise it may be a single value.
        rejected: Malformed rows that are skipped are added here; without it they are refused.
        notes: Unusual findings are noted here.

    Raises:
        DataError: If it holds no rows; lists every bad row.
    """
    text = raw.decode("utf-8", "surrogatepass")
    if text.lstrip().startswith("["):
        try:
            values = json.loads(text)
        except BAD_JSON as error:
            expected = "a list of objects, or one object a line"
            raise _error(name, f"not valid JSON ({_why(error)})", expected) from error
        return _rows(enumerate(values, start=1), name, rejected, [])
    whole = None if lines else _whole(text)
    if whole is not None:
        table = _oriented(whole, name, notes)
        return table if table is not None else records.from_rows([whole], name)
    problems: list[Problem] = []
    return _rows(_lines(text, name, problems), name, rejected, problems)


def _why(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else one_line(str(error), 100)


def _whole(text: str) -> JsonObject | None:
    """The single object of a file; None where it has one per line, or none."""
    try:
        value = json.loads(text)
    except BAD_JSON:
        return None
    return value if isinstance(value, dict) else None


def _lines(text: str, name: str, problems: list[Problem]) -> Iterator[tuple[int, Any]]:
    """The values of the lines that are not blank, with row numbers; lines that are no JSON are problems."""
    row = 0
    for number, line in enumerate(io.StringIO(text, newline="\n"), start=1):
        if not line.strip():
            continue
        row += 1
        try:
            value = json.loads(line)
        except BAD_JSON as error:
            reason = f"line {number} is not valid JSON ({_why(error)})"
            problems.append(Problem(found=reason, expected="one object a line", file=name, row=row))
            continue
        yield row, value


def _rows(
    values: Iterator[tuple[int, Any]], name: str, rejected: list[Problem] | None, problems: list[Problem]
) -> pa.Table:
    """The rows among numbered values; bad ones are added to ``problems``."""
    rows = []
    for row, value in values:
        if isinstance(value, dict):
            rows.append(value)
            continue
        expected = 'an object such as {"column": "cell"}'
        reason = f"found {json.dumps(value)[:40]}"
        problems.append(Problem(found=reason, expected=expected, file=name, row=row))
        if rejected is None and len(problems) >= MOST_LISTED:
            break
    problems.sort(key=lambda problem: problem.row or 0)
    if problems and rejected is None:
        raise DataError(problems)
    if rejected is not None:
        rejected += problems
    _check_cells(rows, name)
    return records.from_rows(rows, name)


def _check_cells(rows: Sequence[Mapping[str, Any]], name: str, depth: int = 0) -> None:
    """Refuse rows of so many different keys that nearly all cells would be empty; also objects in cells.

    Raises:
        DataError: If the table would have far more cells than the file.
    """
    inner: dict[str, list[Mapping[str, Any]]] = {}
    filled = 0
    for row in rows:
        filled += len(row)
        for key, cell in row.items():
            known = inner.setdefault(key, [])
            if isinstance(cell, (dict, list)):
                known.extend(_objects(cell))
    cells = len(inner) * len(rows)
    if cells > max(FEW_CELLS, SPARSE * filled):
        reason = (
            f"{len(rows):,} rows with {len(inner):,} different keys, of which they hold {filled:,} in all"
        )
        raise _error(name, reason, "keys that rows share", "Write what only some rows have as one list.")
    for known in inner.values() if depth < DEEPEST else ():
        if known:
            _check_cells(known, name, depth + 1)


def _objects(cell: Any) -> Iterator[Mapping[str, Any]]:
    """The objects in a cell, also in nested lists, but not inside other objects."""
    waiting = [cell]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
        else:
            waiting += [entry for entry in part if isinstance(entry, (dict, list))]


def _oriented(value: Mapping[str, Any], name: str, notes: list[str]) -> pa.Table | None:
    """The table of an object that ``DataFrame.to_json`` wrote; None where the object is a row."""
    if SPLIT <= value.keys() <= SPLIT | SPLIT_TOO:
        return _split(value, name, notes)
    if value.keys() == {"schema", "data"} and isinstance(value["data"], list):
        return _schema(value, name, notes)
    inner = [entry for entry in value.values() if isinstance(entry, dict)]
    if not inner or len(inner) < len(value):
        return None
    keys = list(inner[0])
    if not keys or any(entry.keys() != inner[0].keys() for entry in inner) or set(keys) <= CELL_KEYS:
        return None
    if _by_row(value, keys, name):
        _note_index(list(value), notes)
        return records.from_rows(inner, name)
    _note_index(keys, notes)
    return records.from_columns({column: list(cells.values()) for column, cells in value.items()}, name)


def _by_row(value: Mapping[str, Mapping[str, Any]], inner: Sequence[str], name: str) -> bool:
    """Whether the outer keys of nested objects are rows: they are numbers, or their cells differ in type.

    Raises:
        DataError: If it is ambiguous.
    """
    outer_counts, inner_counts = (all(key.isdecimal() for key in keys) for keys in (value, inner))
    if outer_counts != inner_counts:
        return outer_counts
    alike_below = all(_alike(entry.values()) for entry in value.values())
    alike_across = all(_alike([entry[key] for entry in value.values()]) for key in inner)
    if alike_below == alike_across:
        reason = "nested objects, of which either the outer or the inner keys may be the columns"
        raise _error(name, reason, "one of the two", "Write it with to_json(orient='records').")
    return alike_across


def _alike(cells: Any) -> bool:
    kinds = {
        "number" if isinstance(cell, (int, float)) else type(cell).__name__
        for cell in cells
        if cell is not None
    }
    return len(kinds) <= 1


def _split(value: Mapping[str, Any], name: str, notes: list[str]) -> pa.Table:
    columns, data = value["columns"], value["data"]
    if not isinstance(columns, list) or not isinstance(data, list):
        raise _error(name, "'columns' or 'data' is no list", "what to_json(orient='split') writes")
    if any(isinstance(column, list) for column in columns):
        raise _error(name, "columns of several levels", "one name a column", "Join the names of the levels.")
    bad = [
        Problem(file=name, row=row, found=f"found {one_line(json.dumps(cells), 40)}",
                expected=f"a list of {len(columns)} cells")
        for row, cells in enumerate(data, start=1)
        if not isinstance(cells, list) or len(cells) != len(columns)
    ]  # fmt: skip
    if bad:
        raise DataError(bad[:MOST_LISTED])
    names = [str(column) for column in columns]
    records.check_columns(names, name)
    _note_index([str(entry) for entry in value.get("index") or ()], notes)
    return records.from_columns({key: [row[at] for row in data] for at, key in enumerate(names)}, name)


def _schema(value: Mapping[str, Any], name: str, notes: list[str]) -> pa.Table:
    schema = value["schema"] if isinstance(value["schema"], dict) else {}
    index = [key for key in schema.get("primaryKey") or () if isinstance(key, str)]
    rows = [{key: cell for key, cell in row.items() if key not in index} if isinstance(row, dict) else row
            for row in value["data"]]  # fmt: skip
    _note_index(
        [str(row.get(key)) for row in value["data"][:9] for key in index if isinstance(row, dict)], notes
    )
    return _rows(enumerate(rows, start=1), name, None, [])


def _note_index(labels: Sequence[str], notes: list[str]) -> None:
    if any(not label.isdecimal() for label in labels):
        notes.append("the DataFrame's index is no column: reset_index() makes it one")


def _error(name: str, found: str, expected: str = "", cure: str = "") -> DataError:
    return DataError(Problem(found=found, expected=expected, cure=cure, file=name))
