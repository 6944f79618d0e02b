"""Build or update an index from a table: only new and changed rows are embedded, batch by batch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polymodal.data.cache.memory import digest
from polymodal.data.tables.table import Table, read_table
from polymodal.errors import DataError, Problem, RunError, did_you_mean, option, worded
from polymodal.runs.prediction_run import PredictionRun
from polymodal.search.fields import columns_of, fields_of, text_of
from polymodal.search.fingerprints import model_digest, row_digest
from polymodal.search.index_writing import Block, Writer
from polymodal.search.lance_store import DATA, load_lancedb
from polymodal.search.manifest import (
    FILE,
    QUERIES,
    ApproximateIndex,
    Manifest,
    read_manifest,
    relative_run,
)
from polymodal.search.previews import preview
from polymodal.utils.lock import LOCK, WRITER
from polymodal.utils.progress import progress
from polymodal.utils.records import JsonObject

OURS = {LOCK, WRITER, DATA, f".{FILE}.part"}
"""Files that an interrupted first build may leave in a folder."""
COMPARED_AT_ONCE = 1000


@dataclass
class Indexed:
    """The result of an update of an index; numbers of rows.

    Attributes:
        rows: In the index now.
        embedded: New or changed, and embedded.
        amended: With changes in other columns.
        kept: Unchanged.
        removed: Removed.
        rejected: The problems of rows that could not be read.
        ann: The approximate index by input.
        inputs: Modality by input.
    """

    rows: int
    embedded: int
    amended: int
    kept: int
    removed: int
    rejected: list[Problem]
    ann: dict[str, ApproximateIndex]
    inputs: dict[str, str]

    def plain(self) -> JsonObject:
        """The result as JSON."""
        return {
            "rows": self.rows,
            "embedded": self.embedded,
            "amended": self.amended,
            "kept": self.kept,
            "removed": self.removed,
            "rejected": len({problem.row for problem in self.rejected}),
            "approximate": {name: entry.to_dict() for name, entry in self.ann.items()},
        }

    @property
    def example(self) -> str:
        """Options of a search in it; none where the command line has no query that its inputs read."""
        kind = next((kind for kind in QUERIES if kind in self.inputs.values()), None)
        return f"--{kind} {QUERIES[kind]}" if kind else ""


def index_table(
    run: PredictionRun,
    source: Any,
    output: str | Path,
    *,
    key: str | None = None,
    delete: bool = False,
    batch_size: int = 128,
    on_error: str = "refuse",
) -> Indexed:
    """Put every row of a table into the index in ``output``, which is made or brought up to date.

    Args:
        run: That computes the vectors.
        source: A table; see :func:`polymodal.data.tables.table.read_table`.
        output: Folder of the index.
        key: The column that identifies rows; by default what the index has, or the row numbers.
        delete: Remove rows that the table does not have.
        batch_size: Rows per batch.
        on_error: ``skip`` skips rows that cannot be read; their records in the index stay.

    Raises:
        DataError: If a cell cannot be read, or the key is empty or the same in two rows.
        RunError: If the folder is no index, of another model, or written to by another process.
    """
    load_lancedb()
    folder = Path(output)
    run = run.fused
    table = read_table(source).marking(run.processor.missing)
    manifest = _manifest(run, folder, table, key)
    keys = row_keys(table, manifest.key)
    rows = run.rows(table, on_error=on_error)  # refuses a table without inputs before anything is made
    run.inspect(table).warn()
    with Writer(folder, manifest) as writer:
        work = _Work(run, rows.table, manifest, keys)
        changed, amended = work.compare(writer)
        for indices in progress(
            _pieces(amended, COMPARED_AT_ONCE), "noting", math.ceil(len(amended) / COMPARED_AT_ONCE)
        ):
            writer.amend(work.block(indices))
        rejected = work.embed(writer, changed, batch_size, on_error)
        gone = sorted(writer.known.keys() - set(keys)) if delete else []
        writer.remove(gone)
        writer.finish()
        bad = len({problem.row for problem in rejected})
        return Indexed(
            rows=len(writer.known), embedded=len(changed) - bad, amended=len(amended),
            kept=len(table) - len(changed) - len(amended), removed=len(gone), rejected=rejected,
            ann=manifest.ann, inputs=manifest.inputs,
        )  # fmt: skip


def _manifest(run: PredictionRun, folder: Path, table: Table, key: str | None) -> Manifest:
    """The manifest of the existing index, with the table's new columns; else a new one."""
    if folder.is_dir() and not (folder / FILE).exists() and not {p.name for p in folder.iterdir()} <= OURS:
        raise RunError(f"{folder}: holds other files and is no index. Give another folder with -o")
    model = model_digest(run)
    if not (folder / FILE).exists():
        inputs = {name: reader.modality for name, reader in run.processor.readers.items()}
        return Manifest(
            model=model, run=relative_run(run.folder, folder), width=run.width, inputs=inputs,
            shared=run.shares_space, key=key, fields=fields_of(table),
        )  # fmt: skip
    manifest = read_manifest(folder)
    check_model(folder, manifest, run, model)
    if key is not None and key != manifest.key:
        elsewhere = worded("with -o", "in another folder")
        made = f"with {option('key', manifest.key)}" if manifest.key else f"without {option('key')}"
        raise RunError(f"{folder}: was made {made}. Do the same, or make another {elsewhere}")
    there = {entry.name for entry in manifest.fields}
    manifest.fields += [entry for entry in fields_of(table) if entry.name not in there]
    manifest.run = relative_run(run.folder, folder)
    return manifest


def check_model(folder: Path, manifest: Manifest, run: PredictionRun, model: str) -> None:
    """Refuse vectors of another model.

    Raises:
        RunError: If ``run`` did not make those in ``folder``; ``model`` is its digest.
    """
    if model != manifest.model:
        raise RunError(
            f"{folder}: was made by another model ({manifest.model[:12]}) than that of {run.folder} "
            f"({model[:12]}). Make it again in a new folder: "
            + worded(f"polymodal index {run.folder} TABLE -o FOLDER", "pm.Index.build(folder, run, table)")
        )


def row_keys(table: Table, column: str | None) -> list[str]:
    """The keys of the rows: a column's text, or the row's number.

    Raises:
        DataError: If there is no such column, or cells of it are empty or the same.
    """
    if column is None:
        return [str(index + 1) for index in table.places]
    if column not in table.columns:
        fix = did_you_mean(column, table.columns)
        raise DataError(Problem(file=table.name, found=f"no column '{column}' for a key", cure=fix))
    keys = [text_of(cell) or "" for cell in table.values(column).to_pylist()]
    first: dict[str, int] = {}
    problems = []
    for index, name in zip(table.places, keys, strict=True):
        if name and name not in first:
            first[name] = int(index) + 1
            continue
        reason = f"the key '{name}' of row {first[name]} again" if name else "an empty cell"
        problems.append(
            Problem(
                file=table.name, row=int(index) + 1, column=column, found=reason, expected="a key of its own"
            )
        )
    if problems:
        raise DataError(problems)
    return keys


def _pieces(places: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (places[start : start + size] for start in range(0, len(places), size))


class _Work:
    """The rows of one table, compared with an index and made into blocks."""

    def __init__(self, run: PredictionRun, table: Table, manifest: Manifest, keys: list[str]) -> None:
        self.run, self.table, self.fields, self.keys = run, table, manifest.fields, keys
        self.modalities = {name: kind for name, kind in manifest.inputs.items() if name in table.columns}

    def compare(self, writer: Writer) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the rows to embed, and of those of which only other columns changed."""
        if not writer.known:
            return np.arange(len(self.table)), np.arange(0)
        changed, amended = [], []
        pieces = _pieces(np.arange(len(self.table)), COMPARED_AT_ONCE)
        for indices in progress(pieces, "comparing", math.ceil(len(self.table) / COMPARED_AT_ONCE)):
            block = self.block(indices)
            for index, name, content, state in zip(
                indices, block.keys, block.digests, block.states, strict=True
            ):
                known = writer.known.get(name, (b"", b""))
                if not content or known[0] != content:
                    changed.append(index)
                elif known[1] != state:
                    amended.append(index)
        return np.array(changed, dtype=int), np.array(amended, dtype=int)

    def block(self, places: np.ndarray) -> Block:
        """The records of some rows, without vectors and previews."""
        part = self.table.select(places)
        fields = columns_of(part, self.fields)
        rows = part.places + 1
        digests = [row_digest(row, self.modalities, part.root) or b"" for row in part.rows()]
        texts = [fields[f"text_{index}"].to_pylist() for index in range(len(self.fields))]
        states = [_state(number, cells) for number, *cells in zip(rows.tolist(), *texts, strict=True)]
        return Block([self.keys[index] for index in places], rows, digests, states, fields, {})

    def embed(self, writer: Writer, places: np.ndarray, batch_size: int, on_error: str) -> list[Problem]:
        """Embed rows and write them; returns the problems of skipped rows."""
        rejected: list[Problem] = []
        if not len(places):
            return rejected
        batches = self.run.vectors_batches(self.table.select(places), batch_size, on_error)
        for vectors, batch in progress(batches, "embedding", math.ceil(len(places) / batch_size)):
            rejected += [problem for entries in batch.problems.values() for problem in entries]
            read = ~batch.unread
            if not read.any():
                continue
            block = self.block(places[batch.index[read]])
            block.vectors = {name: values[read] for name, values in vectors.items()}
            block.previews = self._previews(places[batch.index[read]])
            writer.add(block)
        return rejected

    def _previews(self, places: np.ndarray) -> dict[str, list[tuple[bytes | None, str | None]]]:
        rows = list(self.table.select(places).rows())
        return {
            name: [preview(row[name], kind, self.table.root) for row in rows]
            for name, kind in self.modalities.items()
        }


def _state(number: int, cells: list[str | None]) -> bytes:
    """Digest of a row's number and fields, 16 bytes; empty columns that were added later do not count."""
    while cells and cells[-1] is None:
        cells.pop()
    return digest(json.dumps([number, *cells]).encode())
