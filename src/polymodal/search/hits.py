"""The hits of a search, as objects, a DataFrame or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from polymodal.search.fields import Field, restore
from polymodal.search.lance_store import DISTANCE, KEY, ROW, THUMBNAIL, WORDS
from polymodal.utils.records import JsonObject

OWN = ("score", "row", "input", "key", "preview")
"""Columns that the frame always has; a column of the table of such a name gets a ``_`` behind it."""


@dataclass(frozen=True)
class Hit:
    """A hit of a search.

    Attributes:
        score: The cosine similarity to the query, from -1 to 1.
        row: Number of its row in the indexed table, from 1.
        input: Name of the input.
        key: The key of its row.
        fields: The row's cells by column.
        words: The beginning of its text, or its value.
        thumbnail: A small JPEG of its image.
    """

    score: float
    row: int
    input: str
    key: str
    fields: dict[str, Any]
    words: str | None
    thumbnail: bytes | None

    def plain(self) -> JsonObject:
        """The hit as JSON, without the image."""
        return {
            "score": round(self.score, 6),
            "row": self.row,
            "input": self.input,
            "key": self.key,
            "words": self.words,
            "fields": self.fields,
        }


def wanted_columns(fields: Sequence[Field]) -> list[str]:
    """Names of the columns of an input's table that :func:`as_hits` reads."""
    return [KEY, ROW, WORDS, THUMBNAIL, *(f"text_{index}" for index in range(len(fields)))]


def as_hits(found: pa.Table, name: str, fields: Sequence[Field]) -> list[Hit]:
    """The hits of input ``name``."""
    return [
        Hit(
            score=min(1.0, 1.0 - record[DISTANCE]), row=record[ROW], input=name, key=record[KEY],
            fields={e.name: restore(e.kind, record[f"text_{index}"]) for index, e in enumerate(fields)},
            words=record[WORDS], thumbnail=record[THUMBNAIL],
        )
        for record in found.to_pylist()
    ]  # fmt: skip


def hit_frame(hits: Sequence[Hit], fields: Sequence[Field]) -> pd.DataFrame:
    """One row per hit: ``score``, ``row``, ``input``, ``key``, the table's columns, ``preview``."""
    columns: dict[str, Any] = {
        "score": pd.Series([hit.score for hit in hits], dtype="float64"),
        "row": pd.Series([hit.row for hit in hits], dtype="int64"),
        "input": pd.Series([hit.input for hit in hits], dtype="str"),
        "key": pd.Series([hit.key for hit in hits], dtype="str"),
    }
    for entry in fields:
        name = entry.name
        while name in OWN or name in columns:
            name += "_"
        columns[name] = _series([hit.fields[entry.name] for hit in hits], entry.kind)
    shown = [hit.thumbnail or hit.words for hit in hits]
    return pd.DataFrame(columns | {"preview": pd.Series(shown, dtype="object")})


def _series(cells: list[Any], kind: str) -> pd.Series:
    """A column: whole numbers stay such beside empty cells; lists and mixed types are objects."""
    types = {"int": "Int64", "float": "Float64", "bool": "boolean", "text": "str"}
    fits = {"int": int, "float": float, "bool": bool, "text": str}
    if kind in types and all(cell is None or type(cell) is fits[kind] for cell in cells):
        if kind == "int" and any(abs(cell or 0) >= 2**63 for cell in cells):
            return pd.Series(cells, dtype="object")
        return pd.Series(cells, dtype=types[kind])
    return pd.Series(cells, dtype="object")
