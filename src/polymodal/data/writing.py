"""Tables out: Parquet, batch after batch, complete or not there at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from polymodal.errors import PolymodalError


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
        for frame in frames:
            schema = writer.schema if writer else _schema(frame, types or {})
            batch = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
            writer = writer or pq.ParquetWriter(part, batch.schema)
            writer.write_table(batch)
            rows += len(frame)
        if writer:
            writer.close()
            os.replace(part, path)
    except OSError as error:
        raise PolymodalError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        with suppress(OSError, pa.ArrowException):  # what went wrong before is what is told
            if writer:
                writer.close()
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return rows


def _schema(frame: pd.DataFrame, types: Mapping[str, pa.DataType]) -> pa.Schema:
    schema = pa.Schema.from_pandas(frame, preserve_index=False)
    return pa.schema([(field.name, types.get(field.name, field.type)) for field in schema])
