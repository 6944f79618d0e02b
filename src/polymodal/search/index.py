"""An index: open it, search in it, update it, delete rows."""

from __future__ import annotations

import heapq
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from polymodal.errors import ConfigError, RunError, did_you_mean
from polymodal.runs.prediction_run import PredictionRun
from polymodal.search.approximate import EXACT_BELOW
from polymodal.search.conditions import build_filter
from polymodal.search.hits import Hit, as_hits, hit_frame, wanted_columns
from polymodal.search.index_building import Indexed, index_table
from polymodal.search.index_writing import Writer
from polymodal.search.lance_store import KEY, ROWS, Probing, Store, input_table
from polymodal.search.manifest import Manifest, read_manifest
from polymodal.search.querying import Asked, QueryMaker


class Index:
    """Vectors of the items of a table's rows, with the cells of the rows.

    Attributes:
        folder: Of the index.
        manifest: Its model, inputs and columns.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, run: PredictionRun | str | Path | None = None
    ) -> None:
        self.folder, self.manifest = folder, manifest
        self._store = Store(folder)
        self._maker = QueryMaker(folder, manifest, run)

    @classmethod
    def open(cls, folder: str | Path, run: PredictionRun | str | Path | None = None) -> Index:
        """The index in ``folder``.

        Args:
            folder: That ``polymodal index`` wrote.
            run: That made it, or its folder; by default the folder that the index recorded.

        Raises:
            RunError: If it is no index, or one of a newer version.
            ConfigError: If LanceDB is not installed.
        """
        return cls(Path(folder), read_manifest(Path(folder)), run)

    @classmethod
    def build(
        cls,
        folder: str | Path,
        run: PredictionRun,
        source: Any,
        *,
        key: str | None = None,
        delete: bool = False,
        batch_size: int = 128,
        on_error: str = "refuse",
    ) -> Index:
        """The index in ``folder``, made from a table or brought up to date with it.

        Args:
            folder: Of the index.
            run: That computes the vectors.
            source: The table.
            key: The column that identifies rows; by default what the index has, or the row numbers.
            delete: Remove rows that the table does not have.
            batch_size: Rows per batch.
            on_error: ``skip`` skips rows that cannot be read.

        Raises:
            PolymodalError: If the table cannot be read, or the folder is no index of this run.
        """
        index_table(
            run, source, Path(folder), key=key, delete=delete, batch_size=batch_size, on_error=on_error
        )
        return cls.open(folder, run)

    def __len__(self) -> int:
        """Number of rows."""
        return self._store.count(ROWS)

    @property
    def inputs(self) -> dict[str, int]:
        """Number of vectors by input."""
        names = list(self.manifest.inputs)
        return {name: self._store.count(input_table(index)) for index, name in enumerate(names)}

    def run(self) -> PredictionRun:
        """The run that made the index; it is loaded where it was not handed over.

        Raises:
            RunError: If it is not to be found, or is another one.
        """
        return self._maker.run()

    def search(
        self,
        query: Any = None,
        *,
        text: Any = None,
        image: Any = None,
        audio: Any = None,
        video: Any = None,
        vector: Any = None,
        input: str | None = None,
        where: str | None = None,
        k: int = 10,
    ) -> pd.DataFrame:
        """The items nearest to a query, the nearest first.

        Args:
            query: As :meth:`Run.encode` reads it; or one of the following instead.
            text: A text.
            image: A path, bytes, PIL image or array.
            audio: A path, bytes or ``{"array", "sampling_rate"}``.
            video: A path, bytes or array.
            vector: ``(width,)``, as :meth:`Run.encode` gives it; no model is needed then.
            input: The only input to search; by default all that may be compared with the query.
            where: A condition on the rows; see :mod:`polymodal.search.conditions`.
            k: The most hits.

        Returns:
            One row per hit, see :func:`polymodal.search.hits.hit_frame`.

        Raises:
            PolymodalError: If the query does not fit the index.
        """
        request = Asked(query, text, image, audio, video, vector)
        return hit_frame(self.hits(request, input=input, where=where, k=k), self.manifest.fields)

    def hits(
        self, asked: Asked, *, input: str | None = None, where: str | None = None, k: int = 10
    ) -> list[Hit]:
        """The items nearest to a query as objects; arguments as in :meth:`search`."""
        if k < 1:
            raise ConfigError(f"k is {k}, expected 1 or more")
        if input is not None and input not in self.manifest.inputs:
            raise RunError(
                f"{self.folder}: there is no input '{input}'. {did_you_mean(input, self.manifest.inputs)}"
            )
        condition = None if where is None else self._filter(where)
        vector, searched = self._maker.vector(asked, input)
        hits: list[Hit] = []
        for index, name in enumerate(self.manifest.inputs):
            if name in searched:
                hits += self._nearest(index, name, vector, k, condition)
        return heapq.nlargest(k, hits, key=lambda hit: hit.score)

    def _filter(self, where: str) -> str:
        """The filter of a condition in this index."""
        return build_filter(where, self.manifest.fields, self._holds_numbers)

    def _holds_numbers(self, place: int) -> bool:
        return self._store.count(ROWS, f"number_{place} IS NOT NULL") > 0

    def _nearest(self, place: int, name: str, vector: np.ndarray, k: int, where: str | None) -> list[Hit]:
        table, ann = input_table(place), self.manifest.ann.get(name)
        count = self._store.count(table)
        if not count:
            return []
        probing = None if ann is None else Probing(ann.partitions, ann.refine)
        if probing and where is not None and self._store.count(table, where) <= EXACT_BELOW:
            probing = None  # few are left, and they may lie anywhere
        columns = wanted_columns(self.manifest.fields)
        result = self._store.nearest(table, vector, min(k, count), columns, where=where, probing=probing)
        return as_hits(result, name, self.manifest.fields)

    def update(
        self,
        source: Any,
        *,
        key: str | None = None,
        delete: bool = False,
        batch_size: int = 128,
        on_error: str = "refuse",
    ) -> Indexed:
        """Update the index with a table; see :func:`polymodal.search.index_building.index_table`.

        Args:
            source: The table.
            key: The column that identifies rows; by default what the index has, or the row numbers.
            delete: Remove rows that the table does not have.
            batch_size: Rows per batch.
            on_error: ``skip`` skips rows that cannot be read.

        Raises:
            PolymodalError: If the table cannot be read, or the run is not to be found.
        """
        done = index_table(
            self._maker.run(), source, self.folder, key=key, delete=delete, batch_size=batch_size,
            on_error=on_error,
        )  # fmt: skip
        self._reopen()
        return done

    def delete(self, where: str) -> int:
        """Delete the rows for which a condition holds; returns their number.

        Raises:
            ConfigError: If it is no condition, or there is no such column.
            RunError: If another process writes to the index.
        """
        condition = self._filter(where)
        with Writer(self.folder, self.manifest) as writer:
            keys = [
                key for batch in writer.store.scan(ROWS, [KEY], condition) for key in batch[KEY].to_pylist()
            ]
            writer.remove(keys)
        self._reopen()
        return len(keys)

    def _reopen(self) -> None:
        self.manifest = read_manifest(self.folder)
        self._store = Store(self.folder)
        self._maker.manifest = self.manifest


def open_index(folder: str | Path, *, run: PredictionRun | str | Path | None = None) -> Index:
    """Open the index in ``folder``; see :meth:`Index.open`.

    Raises:
        PolymodalError: If it is no index, or LanceDB is not installed.
    """
    return Index.open(folder, run)
