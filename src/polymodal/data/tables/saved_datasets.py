"""Tables of the library ``datasets``: its datasets, its saved folders, and its columns in other tables.

The library is imported here alone, and this module by whoever holds such a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc

from polymodal.data.media.audio_samples import holds_samples
from polymodal.data.tables import arrow_types
from polymodal.data.tables.arrow_rows import ArrowRows


def rows_of(source: Any) -> ArrowRows | str:
    """The rows of a dataset as it holds them, or what it is where it is not one table."""
    if isinstance(source, datasets.Dataset):
        held = source._indices
        return ArrowRows(source.data.table, None if held is None else held.column(0).to_numpy())
    splits = ", ".join(map(str, source)) if isinstance(source, Mapping) else ""
    return f"a dataset of several splits ({splits})" if splits else "a streaming dataset"


def is_plain(dataset: datasets.Dataset) -> bool:
    """Whether its cells can be read as they are stored."""
    kinds = dataset.data.table.schema.types
    stored = all(arrow_types.is_plain(kind) and not holds_samples(kind) for kind in kinds)
    return stored and not any(_decodes(feature) for feature in dataset.features.values())


def _decodes(feature: Any) -> bool:
    if isinstance(feature, datasets.ClassLabel) or hasattr(feature, "decode_example"):
        return True
    inner = feature.values() if isinstance(feature, Mapping) else feature if isinstance(feature, list) else ()
    nested = getattr(feature, "feature", None)  # the items of a list
    return any(_decodes(part) for part in inner) or (nested is not None and _decodes(nested))


def class_names(table: pa.Table) -> dict[str, pa.Array | pa.ChunkedArray]:
    """The columns of class labels in a table that the library has stored, by their names."""
    features = datasets.Features.from_arrow_schema(table.schema)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {}
    for column in table.column_names:
        feature = features.get(column)
        entry = _entry_feature(feature)
        if isinstance(feature, datasets.ClassLabel):
            columns[column] = _names(table.column(column), feature)
        elif isinstance(entry, datasets.ClassLabel):
            columns[column] = _lists_of_names(table.column(column), entry)
    return columns


def _names(values: pa.ChunkedArray, feature: datasets.ClassLabel) -> pa.Array:
    """The names of class labels; null where a label is empty or -1 (unlabelled)."""
    names = pa.array(feature.names, pa.string())
    indices = pc.if_else(pc.less(values, 0), None, values)
    return names.take(indices.combine_chunks() if isinstance(indices, pa.ChunkedArray) else indices)


def _entry_feature(feature: Any) -> Any:
    """The feature of a list's entries; None where it is no list."""
    if isinstance(feature, list):
        return feature[0]
    return None if isinstance(feature, Mapping) else getattr(feature, "feature", None)


def _lists_of_names(values: pa.ChunkedArray, feature: datasets.ClassLabel) -> pa.ChunkedArray:
    def names(cell: list[int | None]) -> list[str]:
        return [feature.names[entry] for entry in cell if entry is not None and entry >= 0]

    lists = [None if cell is None else names(cell) for cell in values.to_pylist()]
    return pa.chunked_array([pa.array(lists, pa.list_(pa.string()))])
