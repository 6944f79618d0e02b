"""A row's cells in an index: for each column a text to read, and a number to compare.

Both have names of the index (``text_0``, ``number_0``), so that columns may have any name. Every later table
fits: a cell that is no number has a text only.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from polymodal.data.media.cells import RAW, describe
from polymodal.data.readers.items import split_items
from polymodal.data.tables.table import Table
from polymodal.data.values.column_values import as_label, is_textual, parse_numbers
from polymodal.search import moments

LONGEST = 10_000
"""Characters of a text that is kept; of a longer list or address only a description is."""
WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")
DECIMAL = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
TRUTH = ("true", "false")
NAMELESS = ("NAType", "NaTType")


@dataclass(frozen=True)
class Field:
    """A column of the table.

    Attributes:
        name: In the table.
        kind: How its text is read back: ``int``, ``float``, ``bool``, ``list``, ``text``, ``duration``, or
            of :mod:`polymodal.search.moments` ``date``, ``zoned`` or ``time``.
    """

    name: str
    kind: str


def fields_of(table: Table) -> list[Field]:
    """The columns of ``table`` and their kinds, from all cells."""
    return [Field(name, kind_of(table.values(name))) for name in table.columns]


def kind_of(values: pa.ChunkedArray) -> str:
    """The kind of a column, see :class:`Field`; of a column of texts that of all its texts, as in a CSV."""
    kind = values.type
    if is_textual(kind):
        texts = {text for text in values.unique().to_pylist() if text is not None and text.strip()}
        for name, pattern in (("int", WHOLE), ("float", DECIMAL)):
            if texts and all(pattern.fullmatch(text) for text in texts):
                return name
        if texts and {text.strip().lower() for text in texts} <= set(TRUTH):
            return "bool"
        return moments.kind_of_texts(texts) or "text"
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return moments.ZONED
    for name, is_kind in (
        ("bool", pa.types.is_boolean), ("int", pa.types.is_integer), ("float", pa.types.is_floating),
        ("float", pa.types.is_decimal), ("date", pa.types.is_date), ("date", pa.types.is_timestamp),
        ("time", pa.types.is_time), ("duration", pa.types.is_temporal), ("list", pa.types.is_nested),
    ):  # fmt: skip
        if is_kind(kind):
            return name
    return "text"


def columns_of(table: Table, fields: Sequence[Field]) -> dict[str, pa.Array]:
    """``text_<place>`` and ``number_<place>`` of every field, one cell per row; null for an empty cell."""
    columns: dict[str, pa.Array] = {}
    for index, entry in enumerate(fields):
        if entry.name not in table.columns:
            texts: list[str | None] = [None] * len(table)
            numbers = np.full(len(table), np.nan)
        else:
            values = table.values(entry.name)
            texts = [kept_text(cell, entry.kind) for cell in values.to_pylist()]
            numbers = parse_numbers(values)[0]
        columns[f"text_{index}"] = pa.array(texts, pa.string())
        columns[f"number_{index}"] = pa.array(numbers, pa.float64(), from_pandas=True)
    return columns


def schema_of(places: Sequence[int]) -> list[tuple[str, pa.DataType]]:
    """The Arrow types of :func:`columns_of`, for fields at these indices."""
    return [
        (f"{what}_{index}", kind)
        for index in places
        for what, kind in (("text", pa.string()), ("number", pa.float64()))
    ]


def kept_text(cell: Any, kind: str) -> str | None:
    """The stored text of a cell (:func:`text_of`) in a column of a kind: dates and times in ISO 8601."""
    text = text_of(cell)
    if text is None or not isinstance(cell, str):
        return text
    if kind in moments.KINDS:
        return moments.iso_text(text, kind) or text
    return text.strip() if kind == "bool" else text


def text_of(cell: Any) -> str | None:
    """A cell as a text; a description of bytes and of long cells; None for an empty cell."""
    if cell is None or type(cell).__name__ in NAMELESS or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, str):
        is_file = cell[:5].lower() == "data:" and len(cell) > 200
        return describe(cell) if is_file else cell if cell.strip() else None
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, (datetime.datetime, datetime.date, datetime.time)):
        return moments.moment_text(cell)
    if isinstance(cell, RAW):
        return describe(cell)
    if isinstance(cell, Mapping) and cell.keys() <= {"bytes", "path"}:
        inner = cell.get("path") or cell.get("bytes")
        return None if inner is None else text_of(inner)
    if isinstance(cell, (list, tuple, Mapping)):
        return _list_text(cell)
    return as_label(cell) or None


def _list_text(cell: Any) -> str | None:
    """A list as JSON; None where it holds bytes or is too long."""
    items = split_items(cell, "image") if isinstance(cell, (list, tuple)) else None
    if items and any(isinstance(item, (*RAW, Mapping)) for item in items):
        cell = [text_of(item) for item in items]
    text = json.dumps(cell, ensure_ascii=False, default=lambda value: text_of(value) or str(value))
    return text if len(text) <= LONGEST else describe(cell if not isinstance(cell, Mapping) else list(cell))


def restore(kind: str, text: str | None) -> Any:
    """A cell from its stored text; the text itself where it is not of the column's kind."""
    if text is None or kind == "text":
        return text
    try:
        if kind == "bool":
            return {"true": True, "false": False}.get(text.lower(), text)
        if kind in moments.KINDS:
            return datetime.datetime.fromisoformat(text) if " " in text else _day_or_time(text)
        return json.loads(text) if kind == "list" else (int if kind == "int" else float)(text)
    except ValueError:
        return text


def _day_or_time(text: str) -> Any:
    return datetime.time.fromisoformat(text) if ":" in text else datetime.date.fromisoformat(text)
