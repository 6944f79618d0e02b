"""Reading of table files. Malformed rows raise with their number; values are never coerced."""

from __future__ import annotations

import difflib
import os
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa

from polymodal.data.tables import excel
from polymodal.data.tables.delimited import Dialect, as_utf8, read_delimited
from polymodal.data.tables.json_tables import read_json
from polymodal.data.tables.parquet_tables import read_parquet
from polymodal.errors import DataError, Problem

USUAL = {".csv": ",", ".tsv": "\t"}
"""Usual separator by extension."""
KNOWN = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx")
PACKED = ".gz"
UNPACKED, TIMES = 64 * 2**20, 10
"""Limit of an unpacked file in bytes, or as a multiple of its packed size."""


def _nearest(path: Path) -> str:
    """A sentence with the table of the same folder that has nearly this name; empty where none has."""
    try:
        tables = [entry.name for entry in path.absolute().parent.iterdir() if _suffix(entry) in KNOWN]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, tables, n=1, cutoff=0.7)
    return f"Did you mean '{near[0]}'? " if near else ""


def read_file(
    path: Path, name: str, dialect: Dialect, rejected: list[Problem] | None, notes: list[str]
) -> pa.Table:
    """Read a table file by its extension.

    Args:
        path: The file.
        name: Its name in messages.
        dialect: Separator and encoding of a text file, where they are not to be detected.
        rejected: Malformed rows that are skipped are added here; without it the file is refused.
        notes: Unusual findings are noted here.

    Raises:
        DataError: If it is missing, of another format, or holds no rows and columns; lists every bad row.
    """
    suffix = _suffix(path)
    if not os.path.exists(path):
        raise _error(
            name, "there is no such file", cure=f"{_nearest(path)}Looked in {path.absolute().parent}."
        )
    if suffix not in KNOWN:
        problem = f"extension '{path.suffix}'" if suffix else "no extension"
        raise _error(name, problem, f"one of {', '.join(KNOWN)}", "Save the table as CSV or Parquet.")
    if suffix == ".xlsx":
        return _tidied(excel.read_excel(path, name))
    try:
        if suffix == ".parquet":
            return _tidied(read_parquet(path, name))
        raw = _read(path, name)
    except (OSError, pa.ArrowException) as error:
        reason = str(getattr(error, "strerror", None) or error).splitlines()[0]
        expected = "a Parquet file" if suffix == ".parquet" else "a file that can be read"
        raise _error(name, f"cannot be read ({reason})", expected, "Write it again.") from error
    if not raw.strip():
        raise _error(name, "the file is empty", "column names and rows")
    raw = as_utf8(raw, name, dialect.encoding, int(suffix in USUAL), notes)
    if suffix in USUAL:
        return _tidied(read_delimited(raw, name, USUAL[suffix], dialect, rejected, notes))
    return _tidied(read_json(raw, name, suffix == ".jsonl", rejected, notes))


def holds_texts(path: Path) -> bool:
    """Whether the format has no types but text: CSV and TSV, packed or not."""
    return _suffix(path) in USUAL


def _suffix(path: Path) -> str:
    """The extension, of a packed text file that below ``.gz``."""
    suffix = path.suffix.lower()
    inner = path.with_suffix("").suffix.lower()
    return inner if suffix == PACKED and inner in (*USUAL, ".jsonl", ".json") else suffix


def _read(path: Path, name: str) -> bytes:
    raw = path.read_bytes()
    if path.suffix.lower() != PACKED:
        return raw
    limit, text = max(UNPACKED, TIMES * len(raw)), b""
    try:
        while raw:  # a file may have several members
            opened = zlib.decompressobj(16 + zlib.MAX_WBITS)
            text += opened.decompress(raw, limit + 1 - len(text))
            if len(text) > limit:
                expected = f"at most {UNPACKED >> 20} MB, or {TIMES} times the file"
                raise _error(name, f"more than {limit:,} bytes unpacked", expected, "Give it unpacked.")
            if not opened.eof:
                raise _error(name, "the file is cut short", "a whole gzip file", "Pack it again.")
            raw = opened.unused_data
    except zlib.error as error:
        raise _error(name, f"cannot be unpacked ({error})", "a gzip file", "Pack it again.") from None
    return text


def _tidied(table: pa.Table) -> pa.Table:
    """Return the memory that Arrow keeps after parsing, twice that of the table, to the system."""
    pa.default_memory_pool().release_unused()
    return table


def read_folder(path: Path, name: str) -> Any:
    """Open the dataset in a folder that ``Dataset.save_to_disk`` wrote; its cells are not read yet.

    Raises:
        DataError: If it is no such folder, or is damaged.
    """
    if (path / "dataset_dict.json").is_file():
        splits = ", ".join(sorted(str(path / entry.name) for entry in path.iterdir() if entry.is_dir()))
        raise _error(name, "a saved dataset of several splits", "one table", f"Give one of {splits}.")
    if not (path / "state.json").is_file():
        inside = sorted(entry.name for entry in path.iterdir() if entry.suffix.lower() in KNOWN)
        fix = f"Did you mean {path / inside[0]}?" if inside else "Give the path of the table's file."
        raise _error(name, "the path is a folder", "a table or a folder written by save_to_disk", fix)
    import datasets  # which takes a second

    try:
        return datasets.load_from_disk(str(path))
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise _error(name, f"cannot be read ({reason})", "a saved dataset", "Save it again.") from error


def _error(name: str, found: str, expected: str = "", cure: str = "", row: int | None = None) -> DataError:
    return DataError(Problem(found=found, expected=expected, cure=cure, file=name, row=row))
