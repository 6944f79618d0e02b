"""Recordings that are decoded in a table's cells: whole numbers keep the full scale of their type.

Arrow knows their width, Python's numbers do not: they become floats while it is still known.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

WIDEST = 32
"""Bits of a sample; what is wider lost its type already, and is read by its values."""


def scaled_samples(table: pa.Table) -> pa.Table:
    """The table in which ``{"array", "sampling_rate"}`` of 8 to 32 bits hold floats from -1 to 1."""
    for index, field in enumerate(table.schema):
        if holds_samples(field.type):
            values = table.column(index)
            chunks = [_scaled(chunk) for chunk in values.chunks]
            table = table.set_column(index, field.name, pa.chunked_array(chunks) if chunks else values)
    return table


def holds_samples(kind: pa.DataType) -> bool:
    """Whether cells of this type hold recordings of whole numbers, alone or in lists."""
    if pa.types.is_struct(kind):
        names = {field.name for field in kind}
        return {"array", "sampling_rate"} <= names and _bits(kind.field("array").type) is not None
    return _is_list(kind) and holds_samples(kind.value_type)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _bits(kind: pa.DataType) -> int | None:
    """The bits of the whole numbers in lists of lists; None for anything else."""
    if _is_list(kind):
        return _bits(kind.value_type)
    return kind.bit_width if pa.types.is_integer(kind) and kind.bit_width <= WIDEST else None


def _scaled(array: Any) -> Any:
    kind = array.type
    if array.offset:
        array = array.take(pa.array(range(len(array))))
    if pa.types.is_fixed_size_list(kind):
        array = array.cast(pa.list_(kind.value_type))
    if _is_list(array.type):
        return type(array).from_arrays(array.offsets, _scaled(array.values), mask=array.is_null())
    if pa.types.is_struct(kind):
        fields = [
            _scaled(array.field(field.name)) if field.name == "array" else array.field(field.name)
            for field in kind
        ]
        return pa.StructArray.from_arrays(fields, names=[f.name for f in kind], mask=array.is_null())
    half = float(2 ** (kind.bit_width - 1))
    values = array.cast(pa.float32(), safe=False)
    if pa.types.is_unsigned_integer(kind):
        values = pc.subtract(values, pa.scalar(half, pa.float32()))
    return pc.divide(values, pa.scalar(half, pa.float32()))
