"""Table files → Arrow, text as text: every row that does not fit is named, none is dropped or bent."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from polymodal.data import records
from polymodal.errors import DataError, Problem, one_line

DELIMITERS = {".csv": ",", ".tsv": "\t"}
SAID = {",": "','", "\t": "a tab"}
BAD_JSON = (ValueError, RecursionError)
KNOWN = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
UTF16 = (b"\xff\xfe", b"\xfe\xff")
PIECE = 2**20  # bytes


def read_file(path: Path, name: str, rejected: list[Problem] | None = None) -> pa.Table:
    """Read a table file by its extension.

    Args:
        path: Of the file.
        name: What the user calls it.
        rejected: Takes in the rows that are left out because they are none; without it the file is refused.

    Raises:
        DataError: If it is missing, of another kind, or does not hold rows and columns; every row at fault.
    """
    suffix = path.suffix.lower()
    if not os.path.exists(path):
        raise _error(name, "there is no such file", cure=f"Looked in {path.absolute().parent}.")
    if suffix not in KNOWN:
        found = f"extension '{path.suffix}'" if suffix else "no extension"
        raise _error(name, found, f"one of {', '.join(KNOWN)}", "Save the table as CSV or Parquet.")
    try:
        if suffix == ".parquet":
            return _tidied(pa.parquet.ParquetFile(path).read())
        raw = path.read_bytes()
    except (OSError, pa.ArrowException) as error:
        reason = str(getattr(error, "strerror", None) or error).splitlines()[0]
        expected = "a Parquet file" if suffix == ".parquet" else "a file that can be read"
        raise _error(name, f"cannot be read ({reason})", expected, "Write it anew.") from error
    if not raw.strip():
        raise _error(name, "the file is empty", "column names and rows")
    _check_text(raw, name, header=0 if suffix not in DELIMITERS else 1)
    if suffix in DELIMITERS:
        return _tidied(_csv(raw, name, DELIMITERS[suffix], rejected))
    return _tidied(_json(raw, name, rejected))


def _tidied(table: pa.Table) -> pa.Table:
    """The same, and the memory that Arrow keeps after parsing, twice the table's own, given back."""
    pa.default_memory_pool().release_unused()
    return table


def read_folder(path: Path, name: str) -> Any:
    """A folder written by ``Dataset.save_to_disk`` → its dataset, its cells not read yet.

    Raises:
        DataError: If the folder is none, or is damaged.
    """
    if (path / "dataset_dict.json").is_file():
        splits = ", ".join(sorted(str(path / entry.name) for entry in path.iterdir() if entry.is_dir()))
        raise _error(name, "a saved dataset of several splits", "one table", f"Give one of {splits}.")
    if not (path / "state.json").is_file():
        inside = sorted(entry.name for entry in path.iterdir() if entry.suffix.lower() in KNOWN)
        cure = f"Did you mean {path / inside[0]}?" if inside else "Give the path of the table's file."
        raise _error(name, "the path is a folder", "a table or a folder written by save_to_disk", cure)
    try:
        return datasets.load_from_disk(str(path))
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise _error(name, f"cannot be read ({reason})", "a saved dataset", "Save it anew.") from error


def _error(name: str, found: str, expected: str = "", cure: str = "", row: int | None = None) -> DataError:
    return DataError(Problem(found=found, expected=expected, cure=cure, file=name, row=row))


def _check_text(raw: bytes, name: str, header: int) -> None:
    """Refuse what is no UTF-8: its first byte is named with its line, and its row if it stands in one."""
    try:
        decoder = codecs.getincrementaldecoder("utf-8")()
        for start in range(0, len(raw), PIECE):  # as a whole it would be a second, larger copy of the file
            decoder.decode(raw[start : start + PIECE], final=start + PIECE >= len(raw))
        return
    except UnicodeDecodeError:
        pass  # of a piece: it does not know its place in the file
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        # Line ends inside quotes do not end a row; doubled quotes leave the count of pieces even.
        records_before = sum(piece.count(b"\n") for piece in before.split(b'"')[::2]) if header else line - 1
        row = records_before - header + 1
        found = f"byte 0x{raw[error.start]:02X} in line {line} is not UTF-8"
        if raw[:2] in UTF16:
            found, row = "the file is UTF-16", 0
        cure = "Save the table as UTF-8 (in a spreadsheet: 'CSV UTF-8')."
        raise _error(name, found, "UTF-8 text", cure, row if row > 0 else None) from None


def _csv(raw: bytes, name: str, delimiter: str, rejected: list[Problem] | None) -> pa.Table:
    """All columns as text, an empty cell as null: '007' and the country code 'NA' are what they are."""
    columns = _header(raw, name, delimiter)
    ragged: list[Problem] = []

    def note(row: pyarrow.csv.InvalidRow) -> str:
        found, expected = f"found {row.actual_columns} cells", f"{row.expected_columns} as in the first line"
        cure = f"Put a cell that holds {SAID[delimiter]} in double quotes."
        # Arrow counts rows from 1 with the header, blank lines not counted.
        ragged.append(Problem(found=found, expected=expected, cure=cure, file=name, row=row.number - 1))
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(raw),
            # One block: a cell may be a data: URI of any length. One thread: rows get their numbers.
            pyarrow.csv.ReadOptions(use_threads=False, block_size=min(len(raw) + 1, 2**31 - 1)),
            pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), null_values=[""], strings_can_be_null=True
            ),
            pa.system_memory_pool(),  # which gives back what parsing took
        )
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise _error(name, f"cannot be read as a table ({reason})", cure="Write it anew as CSV.") from error
    _check_quotes(raw, table, name)
    _reject(ragged, rejected)
    return table


def _reject(problems: list[Problem], rejected: list[Problem] | None) -> None:
    if problems and rejected is None:
        raise DataError(problems)
    if rejected is not None:
        rejected += problems


def _header(raw: bytes, name: str, delimiter: str) -> list[str]:
    text = io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8-sig", newline="")
    try:
        rows = csv.reader(text, delimiter=delimiter)
        columns = next(row for row in rows if row)
    except csv.Error as error:
        raise _error(name, f"the first line cannot be read ({error})", "the names of the columns") from error
    other = ";" if ";" in columns[0] else "\t"
    if len(columns) == 1 and other in columns[0]:
        found = f"cells are separated by {'semicolons' if other == ';' else 'tabs'}"
        cure = "Save it with commas." if other == ";" else "Name the file .tsv."
        raise _error(name, found, "commas" if delimiter == "," else "tabs", cure)
    records.check_columns(columns, name)
    return columns


def _check_quotes(raw: bytes, table: pa.Table, name: str) -> None:
    """A quote that is never closed swallows all rows behind it, without a word from the parser."""
    if raw.count(b'"') % 2 and len(table):
        swallowed = [c for c in table.column_names if "\n" in (table.column(c)[-1].as_py() or "")]
        if swallowed:
            found, cure = "a double quote is opened and never closed", "Close it, or write a quote as two."
            raise DataError(Problem(found=found, cure=cure, file=name, row=len(table), column=swallowed[-1]))


def _why(error: Exception) -> str:
    return "nested too deep" if isinstance(error, RecursionError) else one_line(str(error), 100)


def _json(raw: bytes, name: str, rejected: list[Problem] | None) -> pa.Table:
    """One object a line, or one list of objects."""
    text = raw.decode("utf-8-sig")
    rows, problems = [], []
    if text.lstrip().startswith("["):
        try:
            rows = json.loads(text)
        except BAD_JSON as error:
            raise _error(
                name, f"not valid JSON ({_why(error)})", "a list of objects, or one object a line"
            ) from error
    else:
        lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
        for row, (number, line) in enumerate(lines, start=1):
            try:
                rows.append(json.loads(line))
            except BAD_JSON as error:
                found = f"line {number} is not valid JSON ({_why(error)})"
                problems.append(Problem(found=found, expected="one object a line", file=name, row=row))
                rows.append({})
    for row, value in enumerate(rows, start=1):
        if not isinstance(value, dict):
            expected = 'an object such as {"column": "cell"}'
            problems.append(
                Problem(found=f"found {json.dumps(value)[:40]}", expected=expected, file=name, row=row)
            )
    _reject(problems, rejected)
    bad = {problem.row for problem in problems}
    return records.from_rows([value for row, value in enumerate(rows, start=1) if row not in bad], name)
