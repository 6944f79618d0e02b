"""Predictions or vectors of a table by several processes: Parquet parts that a later call completes."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from polymodal.artifact.capabilities import Kind
from polymodal.artifact.integrity import digest_of_run
from polymodal.artifact.run_folder import kind_of, use_threads
from polymodal.data.tables.arrow_rows import ArrowRows
from polymodal.data.tables.table import Table, read_table
from polymodal.errors import InputWarning, ReadingWarning, RunError
from polymodal.runs.core import AnyRun
from polymodal.runs.part_engines import Engine, WorkerEnded, by_processes, by_ray
from polymodal.runs.prediction_run import PredictionRun
from polymodal.runs.tables import embed_to, predict_to
from polymodal.training.fingerprint import rows_digest
from polymodal.utils.atomic import require_folder, write_text, writing
from polymodal.utils.json_files import read_json
from polymodal.utils.progress import note, progress, silence
from polymodal.utils.records import JsonObject
from polymodal.utils.threads import available_threads

if TYPE_CHECKING:  # a run of plain models needs no torch
    from polymodal.runs.generation_run import GenerationRun

MANIFEST = "parts.json"
ROWS = 1024
"""Rows of a part: those of whole batches, this number or up to one batch more."""
Verb = Literal["predict", "embed"]


@dataclass(frozen=True)
class Work:
    """What each process does with a part.

    Attributes:
        run: The folder of the run.
        device: That the run computes on.
        precision: That it computes in.
        threads: Of each process on a CPU.
        verb: Whether rows are predicted or embedded.
        options: Of :func:`predict_to` or :func:`embed_to`.
    """

    run: str
    device: str | None
    precision: str
    threads: int
    verb: Verb
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WrittenParts:
    """What a call wrote.

    Attributes:
        rows: Of the table.
        parts: Files of the folder.
        skipped: Those that an earlier call had written, of the same rows.
    """

    rows: int
    parts: int
    skipped: int


def write_parts(
    run: PredictionRun | GenerationRun,
    source: Any,
    folder: Path,
    verb: Verb,
    *,
    workers: int,
    engine: Engine = "processes",
    device: str | None = None,
    threads: int | None = None,
    rejected: list[str] | None = None,
    **options: Any,
) -> WrittenParts:
    """Predict or embed the rows of a table in several processes into a folder of Parquet parts.

    The folder gets ``part-00000.parquet`` and so on, in the order of the rows, and ``parts.json``. A part is
    complete or absent. The same call after an interruption writes the parts that are missing, and again those
    whose rows have changed since, the content of their files included.

    Args:
        run: Each process loads it from its folder.
        source: The rows, see :func:`polymodal.data.tables.table.read_table`.
        folder: Of the parts: new, empty, or that of an earlier call.
        verb: ``predict`` or ``embed``.
        workers: Processes.
        engine: ``processes`` of this machine, or ``ray``: those of a cluster, see :func:`by_ray`.
        device: That each computes on; by default a GPU if there is one.
        threads: Of each process; by default an equal share of the cores, with Ray one.
        rejected: Receives the reasons of rows that cannot be read, of the parts that are written now.
        options: Of :func:`predict_to` or :func:`embed_to`.

    Raises:
        PolymodalError: If a cell cannot be read, or the folder cannot be written or has other files.
        RunError: If a process ended, as for lack of memory.
    """
    table = read_table(source)
    each = threads or (1 if engine == "ray" else max(1, available_threads() // workers))
    work = Work(str(run.folder.resolve()), device, run.precision, each, verb, options)
    require_folder(folder)
    with writing(folder):
        parts = _Parts(folder, work, _split(table, options.get("batch_size", 128)), _media(run), engine)
        parts.open()
        left = parts.left()
        parts.write(left, workers, rejected)
    return WrittenParts(len(table), len(parts.tables), len(parts.tables) - len(left))


def _media(run: AnyRun) -> dict[str, str]:
    """The modality of each input."""
    return {name: entry.modality for name, entry in run.declaration.inputs.items()}


def _split(table: Table, batch_size: int) -> dict[str, Table]:
    """The rows of each part by the name of its file; their batches are those of the whole table."""
    size = -(-ROWS // batch_size) * batch_size
    starts = range(0, max(len(table), 1), size)
    indices = (np.arange(start, min(start + size, len(table))) for start in starts)
    return {f"part-{number:05}.parquet": table.select(rows) for number, rows in enumerate(indices)}


@dataclass
class _Parts:
    """The parts of a folder, and the digests of the rows of those that are written.

    Attributes:
        folder: Theirs.
        work: Of every part.
        tables: Rows by the name of the part.
        modalities: Of the inputs; cells of media are digested by the content of their files.
        engine: Where parts are computed.
        digests: Of the rows of written parts, by name.
    """

    folder: Path
    work: Work
    tables: Mapping[str, Table]
    modalities: Mapping[str, str]
    engine: Engine = "processes"
    digests: dict[str, str] = field(default_factory=dict)

    @cached_property
    def request(self) -> JsonObject:
        """What all parts have in common; the number of processes and threads does not matter."""
        options = json.loads(json.dumps(dict(self.work.options), default=str))
        model = digest_of_run(Path(self.work.run))
        return {"model": model, "precision": self.work.precision, "verb": self.work.verb, **options}

    def open(self) -> None:
        """Read the digests of an earlier call; parts beyond the last row are removed.

        Raises:
            RunError: If the folder holds something else.
        """
        if not (self.folder / MANIFEST).is_file():
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise RunError(f"{self.folder}: has other files. Name a new folder with -o")
            return
        before, self.digests = _read(self.folder / MANIFEST)
        differs = [name for name in self.request if before.get(name) != self.request[name]]
        if differs:
            what = " and ".join(name.replace("_", " ") for name in differs)
            raise RunError(f"{self.folder}: its parts have another {what}. Name a new folder with -o")
        for name in self.digests.keys() - self.tables.keys():
            (self.folder / name).unlink(missing_ok=True)
            del self.digests[name]
            note(f"{self.folder / name}: removed, because the table has fewer rows now")

    def left(self) -> list[str]:
        """The parts to write: those that are missing, and those whose rows have changed."""
        return [name for name in self.tables if not self._is_written(name)]

    def _is_written(self, name: str) -> bool:
        path, rows = self.folder / name, self.tables[name]
        if name not in self.digests or not path.is_file() or pq.read_metadata(path).num_rows != len(rows):
            return False
        return rows_digest(rows, self.modalities) == self.digests[name]

    def write(self, names: list[str], workers: int, rejected: list[str] | None) -> None:
        """Write parts in several processes; each is recorded when it is complete.

        Raises:
            RunError: If a process ended.
        """
        for name in names:
            self.digests.pop(name, None)
        self._record()
        doing = {"predict": "predicting", "embed": "embedding"}[self.work.verb]
        for done in progress(self._written(names, workers), f"{doing}, parts", len(names)):
            self.digests[done.name] = done.digest
            self._record()
            if rejected is not None:
                rejected += done.rejected
            for text in done.warnings:
                warnings.warn(text, ReadingWarning, stacklevel=2)

    def _written(self, names: list[str], workers: int) -> Iterator[_Done]:
        folder = self.folder.resolve()
        calls = ((self.work, folder / name, _compact(self.tables[name]), self.modalities) for name in names)
        try:
            if self.engine == "ray":
                gpus = 1 if (self.work.device or "").startswith("cuda") else 0
                needs = {"num_cpus": self.work.threads, "num_gpus": gpus}
                yield from by_ray(_write, calls, workers, needs)
            else:
                yield from by_processes(_write, calls, workers)
        except WorkerEnded as error:
            raise RunError(f"{self.folder}: {error}") from None

    def _record(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        content = {"request": self.request, "parts": dict(sorted(self.digests.items()))}
        write_text(self.folder / MANIFEST, json.dumps(content, indent=2) + "\n")


def _read(file: Path) -> tuple[JsonObject, dict[str, str]]:
    """The request and the digests of ``parts.json``.

    Raises:
        RunError: If it is damaged.
    """
    try:
        content = read_json(file)
        request, parts = content["request"], content["parts"]
        if all(Path(name).parts == (name,) and Path(name).match("part-*.parquet") for name in parts):
            return dict(request), dict(parts)
    except (OSError, ValueError, LookupError, TypeError):
        pass
    raise RunError(f"{file}: cannot be read. Name a new folder with -o")


@dataclass(frozen=True)
class _Done:
    """A part that was written: the digest of its rows, reasons of rows that cannot be read, warnings."""

    name: str
    digest: str
    rejected: list[str]
    warnings: list[str]


def _write(work: Work, path: Path, rows: Table, modalities: Mapping[str, str]) -> _Done:
    """Write a part; runs in a process of its own."""
    rejected: list[str] = []
    run = _loaded(work.run, work.device, work.precision, work.threads)
    to_file: Any = predict_to if work.verb == "predict" else embed_to
    digest = rows_digest(rows, modalities)
    with silence(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", InputWarning)  # of the whole table, by the first process
        warnings.simplefilter("always", ReadingWarning)
        to_file(run, rows, path, rejected=rejected, **work.options)
    texts = [str(entry.message) for entry in caught if issubclass(entry.category, ReadingWarning)]
    return _Done(path.name, digest, rejected, texts)


def _compact(rows: Table) -> Table:
    """The rows without the rest of the table that they were selected from, to be sent to a process."""
    columns = {name: rows.raw(name) for name in rows.columns}
    return replace(rows, data=ArrowRows(pa.table(columns)))


@lru_cache(maxsize=1)
def _loaded(folder: str, device: str | None, precision: str, threads: int) -> AnyRun:
    """The run of a process, which writes many parts."""
    path = Path(folder)
    use_threads(threads, path)
    if kind_of(path) is Kind.words:
        from polymodal.runs.generation_run import GenerationRun

        return GenerationRun.load(path, device=device, precision=precision)
    return PredictionRun.load(path, device=device, precision=precision)
