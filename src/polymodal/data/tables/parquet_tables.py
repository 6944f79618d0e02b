"""Reading of Parquet in pieces: a few bytes of a file may decode to very many cells."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from polymodal.data.tables import records
from polymodal.data.tables.arrow_types import check_types
from polymodal.errors import DataError, Problem

ROWS, PIECE = 2**16, 2**30
"""Rows per batch, and bytes of a piece of the table."""
FREE = 256 * 2**20
TIMES = 20
"""Limit of the decoded size as a multiple of the file; smaller files may have :data:`FREE` bytes."""


def read_parquet(path: Path, name: str) -> pa.Table:
    """Read a Parquet file; dictionaries are decoded.

    Raises:
        DataError: If the decoded table would be too large for such a file.
        ArrowException, OSError: If it cannot be read.
    """
    metadata = pyarrow.parquet.read_metadata(path)
    limit = max(FREE, TIMES * path.stat().st_size)
    _check_size(metadata, limit, name)
    shared = _shared(metadata)
    try:
        return _read(path, name, shared, limit)
    except pa.ArrowNotImplementedError:  # several dictionaries inside of lists
        return _read(path, name, [column for column in shared if "." not in column], limit)


def _read(path: Path, name: str, shared: list[str], limit: int) -> pa.Table:
    """Read batch by batch; texts stay in dictionaries until their decoded size is known."""
    file = pyarrow.parquet.ParquetFile(path, read_dictionary=shared)
    metadata = file.metadata
    schema = pa.schema([field.with_type(_written_type(field.type)) for field in file.schema_arrow])
    schema = schema.with_metadata(file.schema_arrow.metadata)
    records.check_columns(schema.names, name)
    check_types(schema.empty_table(), name)
    pieces: list[pa.RecordBatch] = []
    size = 0
    for batch in file.iter_batches(min(ROWS, max(1, 4 * ROWS // max(1, metadata.num_columns)))):
        size += sum(_size(column) for column in batch.columns)
        if size > limit:
            raise _too_large(name, f"{metadata.num_rows:,} rows that come to more than {limit >> 20:,} MB")
        pieces += _written_out(batch, schema)
    return pa.Table.from_batches(pieces, schema)


def _shared(metadata: pyarrow.parquet.FileMetaData) -> list[str]:
    """Paths of the dictionary-encoded columns of texts or bytes."""
    paths: dict[str, None] = {}
    for group in range(metadata.num_row_groups):
        for at in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(at)
            if chunk.physical_type == "BYTE_ARRAY" and any(
                "DICTIONARY" in entry for entry in chunk.encodings
            ):
                paths[chunk.path_in_schema] = None
    return list(paths)


def _written_type(kind: pa.DataType) -> pa.DataType:
    """A type without dictionaries, also inside lists and records."""
    if pa.types.is_dictionary(kind):
        return _written_type(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        field = kind.value_field.with_type(_written_type(kind.value_type))
        return pa.list_(field) if pa.types.is_list(kind) else pa.large_list(field)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_written_type(field.type)) for field in kind])
    return kind


def _written_out(batch: pa.RecordBatch, schema: pa.Schema) -> list[pa.RecordBatch]:
    """The batch without dictionaries, in pieces that one array can hold."""
    if batch.num_rows > 1 and sum(_size(column) for column in batch.columns) > PIECE:
        middle = batch.num_rows // 2
        return _written_out(batch.slice(0, middle), schema) + _written_out(batch.slice(middle), schema)
    columns = [
        column if column.type == field.type else column.cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return [pa.RecordBatch.from_arrays(columns, schema=schema)]


def _size(column: pa.Array) -> int:
    """Decoded size of a column in bytes."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return 8 * len(column) + _size(column.flatten())
    if pa.types.is_struct(kind):
        return sum(_size(part) for part in column.flatten())
    if not pa.types.is_dictionary(kind):
        return column.nbytes
    if not len(column.dictionary):
        return 0
    values = column.dictionary
    if not _is_text(values.type):
        return len(column) * (values.nbytes // len(values) + 1)
    lengths = pc.fill_null(pc.binary_length(values).cast(pa.int64()), 0)
    return (pc.sum(lengths.take(column.indices)).as_py() or 0) + 4 * len(column)


def _is_text(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )


def _check_size(metadata: pyarrow.parquet.FileMetaData, limit: int, name: str) -> None:
    """Check the size in the metadata, before any cell is read; a cell takes at least an eighth of a byte."""
    cells = metadata.num_rows * metadata.num_columns
    if cells > 8 * limit:
        raise _too_large(name, f"{metadata.num_rows:,} rows × {metadata.num_columns:,} columns")
    groups = (metadata.row_group(at) for at in range(metadata.num_row_groups))
    unpacked = sum(group.total_byte_size for group in groups)
    if unpacked > limit:
        raise _too_large(name, f"{unpacked:,} bytes unpacked")


def _too_large(name: str, found: str) -> DataError:
    fix = "Give fewer rows or columns, or read it yourself and give the DataFrame."
    expected = f"at most {FREE >> 20} MB in memory, or {TIMES} times the file"
    return DataError(Problem(file=name, found=found, expected=expected, cure=fix))
