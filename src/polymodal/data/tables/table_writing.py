"""Writing of tables: Parquet, CSV, TSV, JSONL or Excel, in batches, atomically."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from polymodal.data.tables.excel import ExcelWriter, require_openpyxl
from polymodal.data.tables.written_rows import DelimitedWriter, JsonLinesWriter
from polymodal.errors import PolymodalError
from polymodal.utils.atomic import require_file
from polymodal.utils.unwritable import how_to_fix

ROW_GROUP = 4096
"""Fewest rows of a batch."""
STANDARD_OUTPUT = "-"
SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".xlsx")


class TableWriter(Protocol):
    """Writes a file in groups of rows."""

    def write_table(self, rows: pa.Table) -> None:
        """Append rows, all of the same columns."""

    def close(self) -> None:
        """Finish the file; closing twice is allowed."""


def check_output(output: Path, table: str | None = None) -> None:
    """Check that a table can be written to a file, before the computation.

    Args:
        output: The file.
        table: The name of the table that is read, which must be another file.

    Raises:
        PolymodalError: If it is the table, its suffix is none of :data:`SUFFIXES`, openpyxl is needed and not
            installed, or the file cannot be written.
    """
    suffix = output.suffix.lower()
    if str(output) != STANDARD_OUTPUT and suffix not in SUFFIXES:
        reason = f"the suffix '{output.suffix}'" if suffix else "no suffix"
        others = f"{', '.join(SUFFIXES)}, or - for CSV on standard output"
        raise PolymodalError(f"{output}: {reason}, expected one of {others}")
    if table is not None and output.exists() and os.path.exists(table) and output.samefile(table):
        raise PolymodalError(
            f"{output}: the table that is read, which the answers would replace. Name another file"
        )
    if suffix == ".xlsx":
        require_openpyxl(str(output))
    if str(output) != STANDARD_OUTPUT:
        require_file(output)


def write_table(
    frames: Iterable[pd.DataFrame], output: Path, types: Mapping[str, pa.DataType] | None = None
) -> int:
    """Write ``frames`` to one file, in the format of its suffix.

    The file is replaced only when the new one is complete: a failure leaves the old one.

    Args:
        frames: Frames of the same columns.
        output: The file, with one of :data:`SUFFIXES`; ``-`` writes CSV to standard output.
        types: Arrow types of columns whose first cells may be empty.

    Returns:
        The number of rows.

    Raises:
        PolymodalError: If the file cannot be written, or its format cannot hold a column.
    """
    check_output(output)
    if str(output) == STANDARD_OUTPUT:
        return _write_groups(frames, types or {}, DelimitedWriter(_StandardOutput()))
    part = output.with_name(f".{output.name}.part")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        rows = write_frames(frames, part, types, suffix=output.suffix.lower())
        if part.exists():
            os.replace(part, output)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error  # Arrow's own message has two sentences
        fix = how_to_fix(error, "Free space, or give another file with -o")
        raise PolymodalError(f"{output}: cannot be written ({reason}). {fix}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return rows


def write_parquet(
    frames: Iterable[pd.DataFrame], path: Path, types: Mapping[str, pa.DataType] | None = None
) -> int:
    """Write ``frames`` to a Parquet file of any suffix: see :func:`write_table`.

    Raises:
        PolymodalError: If the file cannot be written.
    """
    if path.suffix.lower() != ".parquet":
        raise PolymodalError(f"{path}: expected a name that ends in .parquet")
    return write_table(frames, path, types)


def write_frames(
    frames: Iterable[pd.DataFrame],
    path: Path,
    types: Mapping[str, pa.DataType] | None = None,
    suffix: str = ".parquet",
) -> int:
    """Write ``frames`` to ``path`` directly, in the format of ``suffix``; returns the number of rows."""
    return _write_groups(frames, types or {}, _Lazy(path, suffix))


def _write_groups(
    frames: Iterable[pd.DataFrame], types: Mapping[str, pa.DataType], writer: TableWriter
) -> int:
    rows = 0
    try:
        for group in _groups(frames, types):
            writer.write_table(group)
            rows += len(group)
        writer.close()
    except BaseException:
        with suppress(OSError, pa.ArrowException):  # the first error is the one to report
            writer.close()
        raise
    return rows


class _Lazy:
    """A writer that opens at the first rows, which define the columns."""

    def __init__(self, path: Path, suffix: str) -> None:
        self.path, self.suffix = path, suffix
        self.writer: TableWriter | None = None

    def write_table(self, rows: pa.Table) -> None:
        self.writer = self.writer or self._open(rows.schema)
        self.writer.write_table(rows)

    def _open(self, schema: pa.Schema) -> TableWriter:
        if self.suffix == ".parquet":
            return pq.ParquetWriter(self.path, schema)
        if self.suffix == ".xlsx":
            return ExcelWriter(self.path)
        file = self.path.open("w", encoding="utf-8", newline="")
        if self.suffix == ".jsonl":
            return JsonLinesWriter(file)
        return DelimitedWriter(file, "\t" if self.suffix == ".tsv" else ",")

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


class _StandardOutput:
    """Standard output in UTF-8; in its own encoding where it is a terminal."""

    def __init__(self) -> None:
        self.stream: Any = sys.stdout
        self.stream.flush()
        self.buffer = None if self.stream.isatty() else getattr(self.stream, "buffer", None)

    def write(self, text: str) -> int:
        return self.stream.write(text) if self.buffer is None else self.buffer.write(text.encode())

    def close(self) -> None:
        self.stream.flush()  # standard output stays open


def _groups(frames: Iterable[pd.DataFrame], types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
    """The frames, concatenated to groups: the metadata of a Parquet group would outweigh a few rows."""
    gathered: list[pa.Table] = []
    schema = None
    for frame in frames:
        schema = _schema(frame, types) if schema is None else schema
        gathered.append(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))
        if sum(map(len, gathered)) >= ROW_GROUP:
            yield pa.concat_tables(gathered)
            gathered = []
    if gathered:
        yield pa.concat_tables(gathered)


def _schema(frame: pd.DataFrame, types: Mapping[str, pa.DataType]) -> pa.Schema:
    schema = pa.Schema.from_pandas(frame, preserve_index=False)
    return pa.schema([(field.name, types.get(field.name, field.type)) for field in schema])
