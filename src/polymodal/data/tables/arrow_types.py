"""Conversion of Arrow's types to the few that the readers know; others become text."""

from __future__ import annotations

import datetime
import fractions
import uuid
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from polymodal.errors import DataError, Problem

TEXTED = (
    uuid.UUID, pd.Period, pd.Interval, datetime.timedelta, np.timedelta64, complex, np.complexfloating,
    fractions.Fraction,
)  # fmt: skip
"""Types whose values are read as the text that pandas writes to a CSV."""
TEXTED_EXTENSIONS = ("pandas.period", "pandas.interval", "arrow.uuid")
DEEPEST = 32
"""Most levels of lists and records in a cell."""


def value_text(value: Any) -> str | None:
    """A value of :data:`TEXTED` as text; None for a missing one."""
    if isinstance(value, (datetime.timedelta, np.timedelta64)):
        value = pd.Timedelta(value)
    return None if value is pd.NaT else str(value)


def plain_values(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column without Arrow's storage variants: dictionaries, views, run-end encodings, extensions.

    Periods, intervals, UUIDs and durations become text, float32 and float16 become float64.

    Raises:
        ArrowException, NotImplementedError: If its type cannot be read.
    """
    kind = values.type
    if pa.types.is_dictionary(kind):
        return plain_values(_looked_up(values))
    if pa.types.is_run_end_encoded(kind):
        chunks = [pc.run_end_decode(chunk) for chunk in values.chunks]
        return plain_values(pa.chunked_array(chunks, type=kind.value_type))
    if isinstance(kind, pa.BaseExtensionType):
        return _stored(values)
    if pa.types.is_duration(kind):
        return _texts(values.to_pylist())
    if pa.types.is_interval(kind):
        return (
            values.cast(pa.string())
            if not len(values)
            else _texts([_months(cell) for cell in values.to_pylist()])
        )
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):  # with the same digits: 0.1 stays 0.1
        return values.cast(pa.string()).cast(pa.float64())
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return values.cast(pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary())
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        return values.cast(pa.large_list(kind.value_type))
    return values


def _looked_up(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary-encoded column with its values."""
    kind = values.type.value_type
    if not (pa.types.is_string_view(kind) or pa.types.is_binary_view(kind)):
        return values.cast(kind)
    kind = pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary()
    chunks = [chunk.dictionary.cast(kind).take(chunk.indices) for chunk in values.chunks]
    return pa.chunked_array(chunks, type=kind)


def is_plain(kind: pa.DataType) -> bool:
    """Whether :func:`plain_values` leaves a column of this type unchanged."""
    special = (
        pa.types.is_dictionary, pa.types.is_run_end_encoded, pa.types.is_duration, pa.types.is_interval,
        pa.types.is_float16, pa.types.is_float32, pa.types.is_string_view, pa.types.is_binary_view,
        pa.types.is_list_view, pa.types.is_large_list_view, pa.types.is_union, pa.types.is_map,
    )  # fmt: skip
    return not isinstance(kind, pa.BaseExtensionType) and not any(test(kind) for test in special)


def _stored(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values of an extension type: text, truth values, or lists for arrays."""
    kind: Any = values.type
    if kind.extension_name in TEXTED_EXTENSIONS:
        cells = values.to_pylist() if kind.extension_name == "arrow.uuid" else list(values.to_pandas())
        return _texts([None if cell is None or cell is pd.NaT or _is_nan(cell) else cell for cell in cells])
    if kind.extension_name == "arrow.bool8":
        return values.cast(pa.bool_())
    stored = pa.chunked_array([chunk.storage for chunk in values.chunks], type=kind.storage_type)
    if kind.extension_name == "arrow.fixed_shape_tensor" and len(kind.shape) > 1:
        cells = [
            None if cell is None else np.reshape(cell, kind.shape).tolist() for cell in stored.to_pylist()
        ]
        return pa.chunked_array([pa.array(cells)])
    return plain_values(stored)


def _is_nan(cell: Any) -> bool:
    return isinstance(cell, float) and cell != cell


def _months(cell: Any) -> str | None:
    return None if cell is None else f"{cell.months} months {cell.days} days {cell.nanoseconds / 1e9:g} s"


def _texts(cells: list[Any]) -> pa.ChunkedArray:
    return pa.chunked_array(
        [pa.array([None if cell is None else value_text(cell) for cell in cells], pa.string())]
    )


def check_types(table: pa.Table, name: str) -> None:
    """Refuse columns of types that no reader knows, or that are nested too deep.

    Raises:
        DataError: One line for every such column.
    """
    problems = []
    for field in table.schema:
        if _depth(field.type) > DEEPEST:
            reason = f"lists and records in more than {DEEPEST} levels"
            problems.append(
                Problem(file=name, column=field.name, found=reason, cure="Write it flatter, or as text.")
            )
        elif _unread(field.type):
            reason, fix = (
                f"cells of Arrow's type {str(field.type)[:60]}",
                "Give it as text, numbers, lists or records.",
            )
            problems.append(Problem(file=name, column=field.name, found=reason, cure=fix))
    if problems:
        raise DataError(problems)


def _unread(kind: pa.DataType) -> bool:
    return pa.types.is_union(kind) or pa.types.is_map(kind)


def _depth(kind: pa.DataType) -> int:
    """Levels of lists and records of a type, counted without recursion."""
    deepest, waiting = 0, [(kind, 1)]
    while waiting:
        inner, depth = waiting.pop()
        deepest = max(deepest, depth)
        if depth <= DEEPEST:
            waiting += [(inner.field(at).type, depth + 1) for at in range(inner.num_fields)]
    return deepest
