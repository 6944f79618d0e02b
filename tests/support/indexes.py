"""Indexes of made vectors: written as the product writes them, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from polymodal.data.tables.table import read_table
from polymodal.search.fields import columns_of, fields_of
from polymodal.search.index import Index
from polymodal.search.index_writing import Block, Writer
from polymodal.search.manifest import Manifest

WIDTH = 12
QUERY = np.eye(WIDTH, dtype=np.float32)[0]


def directions(count: int, seed: int = 0) -> np.ndarray:
    """Unit vectors ``(count, WIDTH)``."""
    vectors = np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def block(
    source: Any, vectors: dict[str, np.ndarray], fields: Any, first: int = 0, digest: bytes = b"1"
) -> Block:
    """Rows of a table, keyed by their number behind ``first``."""
    table = read_table(source)
    numbers = np.arange(len(table)) + 1 + first
    same = [digest] * len(table)
    return Block([str(n) for n in numbers], numbers, same, same, columns_of(table, fields), vectors)


def write_index(folder: Path, source: Any, vectors: dict[str, np.ndarray], shared: bool = True) -> Index:
    """An index of a table's rows with these vectors."""
    fields = fields_of(read_table(source))
    manifest = Manifest(
        model="", run="", width=WIDTH, inputs=dict.fromkeys(vectors, "text"), shared=shared, fields=fields
    )
    with Writer(folder, manifest) as writer:
        writer.add(block(source, vectors, fields))
        writer.finish()
    return Index.open(folder)


def rows_of(found: Any) -> list[int]:
    """The rows of the hits, sorted."""
    return sorted(found["row"])
