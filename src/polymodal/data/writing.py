"""Tables out: Parquet, batch after batch, complete or not there at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from polymodal.data.unwritable import how_to_fix
from polymodal.errors import PolymodalError

ROW_GROUP = 4096
"""Rows that are written at once, at least."""


def write_parquet(
    frames: Iterable[pd.DataFrame], path: Path, types: Mapping[str, pa.DataType] | None = None
) -> int:
    """Write ``frames`` one after another into one file; returns the number of rows.

    The file gets its name only when it is complete: a failure leaves what stood there before.

    Args:
        frames: All of the same columns.
        path: Ends in ``.parquet``.
        types: Of columns whose first cells may not show it.

    Raises:
        PolymodalError: If the file cannot be written.
    """
    if path.suffix.lower() != ".parquet":
        raise PolymodalError(f"{path}: expected a name that ends in .parquet")
    part = path.with_name(f".{path.name}.part")
    rows, writer = 0, None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for group in _groups(frames, types or {}):
            writer = writer or pq.ParquetWriter(part, group.schema)
            writer.write_table(group)
            rows += len(group)
        if writer:
            writer.close()
            os.replace(part, path)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error  # Arrow's own text is two sentences long
        fix = how_to_fix(error, "Free space, or give another file with -o")
        raise PolymodalError(f"{path}: cannot be written ({reason}). {fix}") from None
    finally:
        with suppress(OSError, pa.ArrowException):  # what went wrong before is what is told
            if writer:
                writer.close()
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return rows


def _groups(frames: Iterable[pd.DataFrame], types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
    """The frames, put together: the notes that Parquet keeps of a group would outgrow a few rows."""
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
