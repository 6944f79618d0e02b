"""Tables over Arrow, from a file, folder, DataFrame, dataset or list of dicts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset

from polymodal.data.media.audio_samples import scaled_samples
from polymodal.data.media.path_access import MediaAccess, Root
from polymodal.data.tables import files, records
from polymodal.data.tables.arrow_rows import ArrowRows
from polymodal.data.tables.arrow_types import check_types, plain_values
from polymodal.data.tables.delimited import Dialect
from polymodal.data.values.missing import DEFAULT_MARKS, Marks
from polymodal.errors import DataError, Problem

BLOCK = 1000  # rows per block: fast, and few enough to hold images in memory


@dataclass(frozen=True)
class Table:
    """Rows and columns of a source; media cells stay paths or bytes until ``media`` decodes them.

    Attributes:
        data: The rows; no column decodes itself.
        name: The table's name in messages.
        root: Folder that relative media paths start from, ``None`` for the current one; of a table from a
            file also which files its cells may name.
        numbers: The rows' indices in the source, from 0; ``None`` where the table is complete.
        rejected: Malformed rows that were skipped.
        notes: Unusual findings while the file was read.
        missing: Marks of missing values; such cells are empty in everything that the table returns.
        index: The index of a DataFrame, which predictions get as well; ``None`` for other sources.
        untyped: Whether the source has no types but text, as a CSV, so that numbers have to be inferred.
    """

    data: ArrowRows
    name: str
    root: Root
    numbers: np.ndarray | None = None
    rejected: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    missing: Marks = DEFAULT_MARKS
    index: pd.Index | None = field(default=None, compare=False)
    untyped: bool = False

    @property
    def places(self) -> np.ndarray:
        """The rows' indices in the source, from 0: ``(rows,)``."""
        return np.arange(len(self)) if self.numbers is None else self.numbers

    @cached_property
    def _names(self) -> dict[str, None]:
        """The columns, cached: listing those of a wide table is slower than finding one."""
        return dict.fromkeys(self.data.columns)

    @property
    def columns(self) -> list[str]:
        """Names of the columns, in order."""
        return list(self._names)

    def has(self, column: str) -> bool:
        """Whether there is such a column."""
        return column in self._names

    def __str__(self) -> str:
        return self.name

    def __len__(self) -> int:
        return len(self.data)

    def values(self, column: str) -> pa.ChunkedArray:
        """All cells of a column, in the order of the rows; the marks of a missing value are null.

        Raises:
            KeyError: If there is no such column.
        """
        return self.missing.cleared_column(self.raw(column))

    def raw(self, column: str) -> pa.ChunkedArray:
        """All cells of a column, marks of missing values included.

        Raises:
            KeyError: If there is no such column.
        """
        return self.data.column(column)

    def select(self, indices: Sequence[int] | np.ndarray) -> Table:
        """The table of these rows only, in this order."""
        rows = np.asarray(indices, dtype=np.int64)
        index = None if self.index is None else self.index.take(rows)
        return replace(self, data=self.data.select(rows), numbers=self.places[rows], index=index)

    def marking(self, missing: Marks) -> Table:
        """The table with other marks of a missing value."""
        return self if missing == self.missing else replace(self, missing=missing)

    def without(self, problems: Iterable[Problem]) -> Table:
        """The table without the rows that ``problems`` name."""
        bad = [entry.row - 1 for entry in problems if entry.row is not None and entry.file == self.name]
        return self.select(np.flatnonzero(~np.isin(self.places, bad)))

    def reading(self, instead: Mapping[str, str]) -> Table:
        """The table with the cells of one column replaced by those of another.

        Raises:
            KeyError: If there is no such column.
        """
        columns = {name: self.values(instead.get(name, name)) for name in [*self.columns, *instead]}
        return replace(self, data=ArrowRows(pa.table(columns)))

    def adding(self, columns: Mapping[str, pa.ChunkedArray]) -> Table:
        """The table with additional or replaced columns."""
        whole = {name: self.raw(name) for name in self.columns} | dict(columns)
        return replace(self, data=ArrowRows(pa.table(whole)))

    def emptied(self, columns: Iterable[str], rows: Sequence[int] | np.ndarray) -> Table:
        """The table with empty cells of ``columns`` in all rows except ``rows``."""
        whole, held = self.data.whole, self.data.indices
        kept = np.zeros(whole.num_rows, dtype=bool)
        kept[rows if held is None else held[np.asarray(rows, dtype=np.int64)]] = True
        for name in columns:
            index, values = whole.column_names.index(name), whole.column(name)
            whole = whole.set_column(index, name, pc.if_else(pa.array(kept), values, None))
        return replace(self, data=ArrowRows(whole, held))

    def row(self, index: int) -> dict[str, object]:
        """One row as a dict of plain Python values."""
        (row,) = self.data.rows([int(index)])
        return self.missing.cleared_row(row)

    def rows(self, indices: Sequence[int] | np.ndarray | None = None) -> Iterator[dict[str, object]]:
        """Rows as dicts of plain Python values, read block by block."""
        wanted = range(len(self)) if indices is None else [int(index) for index in indices]
        for start in range(0, len(wanted), BLOCK):
            yield from map(self.missing.cleared_row, self.data.rows(wanted[start : start + BLOCK]))


def read_table(
    source: Any,
    *,
    name: str | None = None,
    skip: bool = False,
    sep: str | None = None,
    encoding: str | None = None,
    root: str | Path | None = None,
    media_anywhere: bool = False,
) -> Table:
    """Read ``source`` as a table; media are not opened, and types are not inferred.

    Args:
        source: Path of a CSV, TSV, JSONL, JSON or Parquet file or of a folder of ``save_to_disk``; a pandas
            DataFrame, a ``datasets.Dataset``, a table of pyarrow, polars or another library with Arrow's
            interface; a dict of columns, a list or an iterator of dicts; or a Table. All cells of a CSV or
            TSV are text.
        name: Its name in messages; by default its path or type.
        skip: Skip malformed rows (rows of another length in a CSV, lines that are no JSON) instead of
            refusing the file; see :attr:`Table.rejected`.
        sep: Separator of the cells of a CSV, one character or ``tab``; by default it is detected.
        encoding: Encoding of a CSV or JSON file, such as ``cp1252``; by default UTF-8, or that of its byte
            order mark.
        root: Folder that relative paths of media cells start from, instead of the table's folder; a relative
            ``root`` starts from the table's folder, or from the current one.
        media_anywhere: Allow cells of a file to name any file, not only those in its folder (or ``root``).

    Returns:
        The table.

    Raises:
        DataError: If it cannot be read as rows and columns; lists every reason with its row.
    """
    if isinstance(source, Table):
        return source if name is None else replace(source, name=name)
    folder = _folder(source)
    media = _media_folder(root, folder, name or str(source)) if root is not None else folder
    table = _read(source, name, skip, Dialect(sep=sep, encoding=encoding))
    if folder is None or media is None:  # rows from Python code may name any file
        return replace(table, root=media)
    return replace(table, root=MediaAccess(media) if media_anywhere else MediaAccess.inside(media))


def _folder(source: Any) -> Path | None:
    """The folder of a table that is read from a file; for a saved dataset the folder itself."""
    if not isinstance(source, (str, os.PathLike)):
        return None
    return Path(source) if os.path.isdir(source) else Path(source).parent


def _media_folder(root: str | Path, folder: Path | None, name: str) -> Path:
    beside = (folder or Path()) / root
    media = beside if os.path.isdir(beside) else Path(root)
    if not os.path.isdir(media):
        fix = "Give the folder that the paths in the table start from."
        raise DataError(Problem(file=name, found=f"data.root '{root}' is no folder", cure=fix))
    return media


def _read(source: Any, name: str | None, skip: bool, dialect: Dialect) -> Table:
    if isinstance(source, (str, os.PathLike)):
        return _read_path(Path(source), name or str(source), skip, dialect)
    if _is_of_datasets(source):
        return _table(source, name or "dataset")
    if isinstance(source, pd.DataFrame):
        name = name or "DataFrame"
        table = _table(records.from_frame(source, name), name, records.index_notes(source))
        return replace(table, index=source.index)
    if isinstance(source, Mapping):
        return _table(records.from_columns(source, name or "columns"), name or "columns")
    if hasattr(source, "collect") and type(source).__name__ == "LazyFrame":
        source = source.collect()
    if hasattr(source, "to_table") and isinstance(source, pyarrow.dataset.Dataset):
        source = source.to_table()
    if hasattr(source, "__arrow_c_stream__") or hasattr(source, "__arrow_c_array__"):
        return _table(_of_stream(source, name or type(source).__name__), name or type(source).__name__)
    if isinstance(source, Iterable) and not isinstance(
        source, (bytes, bytearray, np.ndarray, set, frozenset)
    ):
        rows = source if isinstance(source, (list, tuple)) else list(source)
        return _table(records.from_rows(rows, name or "rows"), name or "rows")
    expected = (
        "a path, a DataFrame, a table of Arrow or polars, a datasets.Dataset, a list of dicts, or columns"
    )
    raise DataError(Problem(found=f"a {type(source).__name__}", expected=expected, file=name or ""))


def _read_path(path: Path, name: str, skip: bool, dialect: Dialect) -> Table:
    if os.path.isdir(path):
        return _table(files.read_folder(path, name), name)
    rejected: list[Problem] = []
    notes: list[str] = []
    read = files.read_file(path, name, dialect, rejected if skip else None, notes)
    table = replace(_table(read, name, notes), untyped=files.holds_texts(path))
    if not rejected:
        return table
    every = np.arange(len(table) + len(rejected))
    numbers = np.setdiff1d(every, [entry.row - 1 for entry in rejected if entry.row is not None])
    return replace(table, numbers=numbers, rejected=tuple(rejected))


def _of_stream(source: Any, name: str) -> pa.Table:
    """A table from an object with Arrow's interface: tables and batches of pyarrow, polars, DuckDB."""
    try:
        return pa.table(source)
    except (pa.ArrowException, TypeError, ValueError) as error:
        if hasattr(source, "to_frame"):
            fix = "For one row of a frame give frame.iloc[[0]], for one column frame[['name']]"
            raise DataError(
                Problem(found="one row or column", expected="a table", cure=fix, file=name)
            ) from None
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(Problem(found=f"cannot be read ({reason})", expected="columns", file=name)) from None


def _table(source: Any, name: str, notes: Iterable[str] = ()) -> Table:
    if isinstance(source, pa.Table):
        records.check_columns(source.column_names, name)
        data = ArrowRows(plain(source, name))
    else:
        data = _of_dataset(source, name)
    if not len(data):
        fix = "Give a table with at least one row below the column names."
        raise DataError(Problem(found="no rows", expected="rows to read", cure=fix, file=name))
    return Table(data, name, None, notes=tuple(notes))


def _is_of_datasets(source: Any) -> bool:
    """Whether ``source`` is of the library ``datasets``; whoever holds one has imported it already."""
    library = sys.modules.get("datasets")
    if library is None:
        return False
    return isinstance(source, (library.Dataset, library.DatasetDict, library.IterableDataset))


def _of_dataset(source: Any, name: str) -> ArrowRows:
    """The rows of a dataset without decoding features, which need torchcodec; ``media`` decodes instead."""
    from polymodal.data.tables import saved_datasets  # imports the library, which takes a second

    rows = saved_datasets.rows_of(source)
    if isinstance(rows, str):
        fix = "Give one split of it, such as dataset['train'], or its folder." if "(" in rows else ""
        raise DataError(Problem(found=rows, expected="one table", cure=fix, file=name))
    records.check_columns(rows.columns, name)
    return rows if saved_datasets.is_plain(source) else replace(rows, whole=plain(rows.whole, name))


def plain(table: pa.Table, name: str) -> pa.Table:
    """A table of plain Arrow arrays, without storage variants (dictionary, view, extension) and metadata.

    Class labels of ``datasets`` become their names; images and recordings stay ``{"bytes", "path"}``.

    Raises:
        DataError: If a column is of a type that cannot be read.
    """
    check_types(table, name)
    labels = {}
    if b"huggingface" in (table.schema.metadata or {}):
        from polymodal.data.tables import saved_datasets  # imports the library, which takes a second

        labels = saved_datasets.class_names(table)
    columns = {
        column: labels[column] if column in labels else _plain(table.column(column), name, column)
        for column in table.column_names
        if not column.startswith("__index_level_")  # pandas' index, which is no column
    }
    return scaled_samples(pa.table(columns))


def _plain(values: pa.ChunkedArray, name: str, column: str) -> pa.ChunkedArray:
    try:
        return plain_values(values)
    except (pa.ArrowException, NotImplementedError) as error:
        reason = f"cells of type {values.type} that cannot be read ({str(error).splitlines()[0]})"
        raise DataError(Problem(found=reason, file=name, column=column)) from None


def each_cell(values: pa.ChunkedArray) -> Iterator[Any]:
    """The cells one by one: a column of pictures as bytes is never copied as a whole."""
    for chunk in values.chunks:
        for scalar in chunk:
            yield scalar.as_py()
