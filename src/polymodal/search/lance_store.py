"""The tables of an index: every call to LanceDB there is.

``rows`` holds one record per row and is written last: its records are committed. ``input_<place>`` holds a
record for each row that has the input, with its vector. Names of tables and columns are ours alone, and so
are the conditions (see :mod:`polymodal.search.conditions`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from polymodal.errors import ConfigError, RunError

DATA = "data"
ROWS = "rows"
KEY, ROW, DIGEST, STATE = "key", "row", "digest", "state"
VECTOR, THUMBNAIL, WORDS = "vector", "thumbnail", "words"
DISTANCE = "_distance"
AT_ONCE = 500
"""Keys in one condition."""
KEPT = timedelta(minutes=10)
"""How long versions stay that somebody may still be reading."""
TRAINED_ON = 256
"""Vectors a partition that its centre is learned from."""


@dataclass(frozen=True)
class Probing:
    """How an approximate index is searched.

    Attributes:
        partitions: How many of them are looked into.
        refine: How many times the wanted hits are fetched and compared exactly.
    """

    partitions: int
    refine: int


def load_lancedb() -> Any:
    """LanceDB.

    Raises:
        ConfigError: If it is not installed.
    """
    try:
        import lancedb
    except ImportError:
        raise ConfigError("an index needs LanceDB: pip install 'polymodal[search]'") from None
    return lancedb


def input_table(place: int) -> str:
    """The name of an input's table."""
    return f"input_{place}"


def quoted(text: str) -> str:
    """A text as a literal of a condition: quotes are doubled."""
    return "'" + text.replace("'", "''") + "'"


class Store:
    """The tables in ``folder``.

    Args:
        folder: Of the index.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lancedb = load_lancedb()
        with self._as_run_errors("opened"):
            self._base = lancedb.connect(folder / DATA, read_consistency_interval=timedelta(0))
            self._tables = {
                name: self._base.open_table(name) for name in self._base.list_tables(limit=10_000).tables
            }

    def __contains__(self, name: str) -> bool:
        return name in self._tables

    def make(self, name: str, columns: Sequence[tuple[str, pa.DataType]]) -> None:
        """Make a table if it does not exist, and add the columns that it lacks."""
        with self._as_run_errors("written"):
            if name not in self._tables:
                self._tables[name] = self._base.create_table(name, schema=pa.schema(columns))
            lacking = [(n, kind) for n, kind in columns if n not in self._tables[name].schema.names]
            if lacking:
                self._tables[name].add_columns(pa.schema(lacking))

    def count(self, name: str, where: str | None = None) -> int:
        """Number of records of a table for which ``where`` holds; 0 for a missing table."""
        with self._as_run_errors("read"):
            return self._tables[name].count_rows(where) if name in self else 0

    def add(self, name: str, records: pa.Table) -> None:
        """Append records whose keys are new."""
        with self._as_run_errors("written"):
            self._tables[name].add(records)

    def replace(self, name: str, records: pa.Table) -> None:
        """Replace the records of the same keys, in one step; others are appended."""
        with self._as_run_errors("written"):
            merge = self._tables[name].merge_insert(KEY)
            merge.when_matched_update_all().when_not_matched_insert_all().execute(records)

    def amend(self, name: str, records: pa.Table) -> None:
        """Change some columns of existing records of these keys; the other columns stay."""
        with self._as_run_errors("written"):
            self._tables[name].merge_insert(KEY).when_matched_update_all().execute(records)

    def remove(self, name: str, keys: Sequence[str]) -> None:
        """Remove the records of these keys, where they exist."""
        with self._as_run_errors("written"):
            for start in range(0, len(keys), AT_ONCE):
                listed = ", ".join(map(quoted, keys[start : start + AT_ONCE]))
                self._tables[name].delete(f"{KEY} IN ({listed})")

    def scan(self, name: str, columns: Sequence[str], where: str | None = None) -> Iterator[pa.RecordBatch]:
        """All records, in batches."""
        with self._as_run_errors("read"):
            query = self._tables[name].search()
            if where is not None:
                query = query.where(where)
            yield from query.select(list(columns)).to_batches()

    def take_vectors(self, name: str, places: np.ndarray) -> np.ndarray:
        """The vectors at these indices of a table: ``(places, width)``."""
        with self._as_run_errors("read"):
            result = (
                self._tables[name].take_offsets([int(index) for index in places]).select([VECTOR]).to_arrow()
            )
            vectors = result.column(VECTOR).combine_chunks()
            return vectors.flatten().to_numpy().reshape(len(vectors), -1)

    def nearest(
        self,
        name: str,
        vector: np.ndarray,
        k: int,
        columns: Sequence[str],
        *,
        where: str | None = None,
        probing: Probing | None = None,
    ) -> pa.Table:
        """The ``k`` records whose vectors have the smallest angle to ``vector``, nearest first.

        Args:
            name: Of the table.
            vector: ``(width,)``.
            k: Number of records.
            columns: To return beside :data:`DISTANCE`, which is 1 less the cosine.
            where: Only records for which this holds are searched.
            probing: Of the approximate index; without it the search is exact. Records that were added after
                it was built are always compared.
        """
        with self._as_run_errors("searched"):
            query = self._tables[name].search(vector, vector_column_name=VECTOR).distance_type("cosine")
            query = query.limit(k).select([*columns, DISTANCE])
            if where is not None:
                query = query.where(where, prefilter=True)
            if probing is None:
                return query.bypass_vector_index().to_arrow()
            # No cap: where a condition leaves few records, it searches until it has k or has seen all.
            query = query.maximum_nprobes(0).minimum_nprobes(probing.partitions)
            return query.refine_factor(probing.refine).to_arrow()

    def approximate(self, name: str) -> None:
        """Build an approximate index of a table's vectors (IVF, RaBitQ codes), in place of an earlier one."""
        from lancedb.index import IvfRq

        with self._as_run_errors("written"):
            config = IvfRq(distance_type="cosine", sample_rate=TRAINED_ON)
            self._tables[name].create_index(VECTOR, config=config, replace=True, name=VECTOR)

    def tidy(self, name: str) -> None:
        """Merge small files, and add new records to the approximate index if there is one."""
        with self._as_run_errors("written"):
            self._tables[name].optimize(cleanup_older_than=KEPT)

    @contextmanager
    def _as_run_errors(self, what: str) -> Iterator[None]:
        """A context that raises errors of LanceDB as one line: the disk is full, or a file was damaged.

        Raises:
            RunError: With LanceDB's reason.
        """
        try:
            yield
        except (RuntimeError, ValueError, OSError, pa.ArrowException) as error:
            system = re.search(r"[^:(]*\(os error \d+\)", str(error))
            reason = system[0].strip() if system else (str(error).splitlines() or [type(error).__name__])[0]
            fix = "Free space, or make the index again in a new folder"
            raise RunError(f"{self.folder}: cannot be {what} ({reason[:300]}). {fix}") from None
