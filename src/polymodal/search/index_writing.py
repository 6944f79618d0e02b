"""Write records to an index, block by block: committed blocks survive a crash."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from polymodal.errors import RunError
from polymodal.search.approximate import EXACT_BELOW, GROWN, approximate
from polymodal.search.fields import schema_of
from polymodal.search.lance_store import (
    DIGEST,
    KEY,
    ROW,
    ROWS,
    STATE,
    THUMBNAIL,
    VECTOR,
    WORDS,
    Store,
    input_table,
)
from polymodal.search.manifest import Manifest
from polymodal.utils.atomic import writing
from polymodal.utils.lock import locked
from polymodal.utils.progress import working

WRITTEN_AT_ONCE = 4096
"""Rows per write; each write makes a version and a file of its own."""
SECONDS = 30.0
"""The most that a crash takes of what was embedded."""
MULTIPLE = 8
"""Stored vectors are padded with zeros to a multiple of this width, as RaBitQ needs; angles are unchanged."""


@dataclass
class Block:
    """Rows to write.

    Attributes:
        keys: That identify the rows.
        rows: ``(rows,)`` their numbers, from 1.
        digests: Of the inputs of each row; see :func:`polymodal.search.fingerprints.row_digest`.
        states: Digests of all other columns of each row.
        fields: See :func:`polymodal.search.fields.columns_of`.
        vectors: ``(rows, width)`` by input, NaN where a row lacks it.
        previews: A JPEG and words by input, of each row.
    """

    keys: Sequence[str]
    rows: np.ndarray
    digests: Sequence[bytes]
    states: Sequence[bytes]
    fields: Mapping[str, pa.Array]
    vectors: Mapping[str, np.ndarray]
    previews: Mapping[str, Sequence[tuple[bytes | None, str | None]]] = field(default_factory=dict)


class Writer:
    """The writer of an index: a context that locks it.

    Args:
        folder: Of the index; made if it does not exist.
        manifest: Of the index.

    Attributes:
        known: Digest and state of each row in the index, by key.

    Raises:
        RunError: If another process writes to it, or the folder cannot be written.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.known: dict[str, tuple[bytes, bytes]] = {}
        self._held: list[Block] = []
        self._since = time.monotonic()
        self._stack = ExitStack()

    def __enter__(self) -> Writer:
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._stack.enter_context(locked(self.folder))
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None or not issubclass(kind, RunError):  # which may be that nothing can be written
                self.flush()

    def _open(self) -> None:
        """Make missing tables, and roll back what an interrupted writer left."""
        self.store = Store(self.folder)
        common = [(KEY, pa.string()), (ROW, pa.int64()), (DIGEST, pa.binary())]
        common += schema_of(range(len(self.manifest.fields)))
        self.padded = -(-self.manifest.width // MULTIPLE) * MULTIPLE
        vector = (VECTOR, pa.list_(pa.float32(), self.padded))
        self.schemas = {ROWS: pa.schema([*common, (STATE, pa.binary())])}
        for index in range(len(self.manifest.inputs)):
            more = [(THUMBNAIL, pa.binary()), (WORDS, pa.string()), vector]
            self.schemas[input_table(index)] = pa.schema([*common, *more])
        for name, schema in self.schemas.items():
            self.store.make(name, [(entry.name, entry.type) for entry in schema])
        with writing(self.folder):
            self.manifest.write(self.folder)
        for batch in self.store.scan(ROWS, [KEY, DIGEST, STATE]):
            self._remember(batch)
        self._recover()

    def _recover(self) -> None:
        """Remove records whose row was not committed; partly replaced rows are written again."""
        for name in self.input_tables:
            lost = []
            for batch in self.store.scan(name, [KEY, DIGEST]):
                for key, digest in zip(batch[KEY].to_pylist(), batch[DIGEST].to_pylist(), strict=True):
                    if key not in self.known:
                        lost.append(key)
                    elif self.known[key][0] != digest:
                        self.known[key] = b"", b""
            self.store.remove(name, lost)

    def _remember(self, rows: pa.RecordBatch | pa.Table) -> None:
        digests = zip(rows.column(DIGEST).to_pylist(), rows.column(STATE).to_pylist(), strict=True)
        self.known |= dict(zip(rows.column(KEY).to_pylist(), digests, strict=True))

    @property
    def input_tables(self) -> list[str]:
        """Names of the tables of the inputs, in their order."""
        return [input_table(index) for index in range(len(self.manifest.inputs))]

    def add(self, block: Block) -> None:
        """Add rows; those whose key exists replace the earlier ones."""
        self._held.append(block)
        if (
            sum(len(held.keys) for held in self._held) >= WRITTEN_AT_ONCE
            or time.monotonic() - self._since > SECONDS
        ):
            self.flush()

    def flush(self) -> None:
        """Write the added rows: the inputs' records first, then the rows, which commits them."""
        held, self._held, self._since = self._held, [], time.monotonic()
        if not held:
            return
        keys = [key for block in held for key in block.keys]
        for index, name in enumerate(self.manifest.inputs):
            records = pa.concat_tables([self._input_records(block, index, name) for block in held])
            self._write(input_table(index), records)
            there = set(records.column(KEY).to_pylist())
            self.store.remove(input_table(index), [k for k in keys if k in self.known and k not in there])
        rows = pa.concat_tables([self._records(block, ROWS) for block in held])
        self._write(ROWS, rows)
        self._remember(rows)

    def amend(self, block: Block) -> None:
        """Change other columns of rows whose inputs are unchanged; their vectors stay."""
        self.flush()
        records = self._records(block, ROWS)
        for name in self.input_tables:
            self.store.amend(name, records.select([KEY, ROW, *block.fields]))
        self.store.amend(ROWS, records)
        self._remember(records)

    def _write(self, name: str, records: pa.Table) -> None:
        is_new = np.array([key not in self.known for key in records.column(KEY).to_pylist()], dtype=bool)
        if is_new.any():
            self.store.add(name, records.filter(pa.array(is_new)))
        if not is_new.all():
            self.store.replace(name, records.filter(pa.array(~is_new)))

    def _records(self, block: Block, name: str, more: Mapping[str, Any] | None = None) -> pa.Table:
        own = {KEY: block.keys, ROW: block.rows, DIGEST: block.digests, STATE: block.states}
        columns = {**own, **block.fields, **(more or {})}
        schema = self.schemas[name]
        return pa.table([pa.array(columns[entry.name], entry.type) for entry in schema], schema=schema)

    def _input_records(self, block: Block, place: int, name: str) -> pa.Table:
        vectors = np.asarray(block.vectors[name], dtype=np.float32)
        there = np.asarray(np.isfinite(vectors).all(axis=1))
        padded = np.zeros((len(vectors), self.padded), dtype=np.float32)
        padded[:, : vectors.shape[1]] = np.where(there[:, np.newaxis], vectors, 0.0)
        shown = block.previews.get(name) or [(None, None)] * len(vectors)
        more = {
            THUMBNAIL: [picture for picture, _ in shown],
            WORDS: [words for _, words in shown],
            VECTOR: pa.FixedSizeListArray.from_arrays(pa.array(padded.reshape(-1)), self.padded),
        }
        return self._records(block, input_table(place), more).filter(pa.array(there))

    def remove(self, keys: Sequence[str]) -> None:
        """Remove the rows of these keys."""
        self.flush()
        for name in (ROWS, *self.input_tables):  # rows first: what a crash leaves of the inputs is taken away
            self.store.remove(name, keys)
        for key in keys:
            self.known.pop(key, None)

    def finish(self) -> None:
        """Write the rest, tidy up, and build approximate indexes where there are enough vectors."""
        self.flush()
        with working("tidying up"):
            for table in (ROWS, *self.input_tables):
                self.store.tidy(table)
        inputs = list(self.manifest.inputs)
        for index, name in enumerate(inputs):
            table = input_table(index)
            known = self.manifest.ann.get(name)
            built = known.rows if known else 0
            if self.store.count(table) > max(EXACT_BELOW, GROWN * built):
                with working(f"building the index of {name}"):
                    others = list(range(len(inputs))) if self.manifest.shared else []
                    self.manifest.ann[name] = approximate(self.store, index, others)
                with writing(self.folder):
                    self.manifest.write(self.folder)
