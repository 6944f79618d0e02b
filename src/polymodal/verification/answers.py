"""Answers of a run as JSON, all numbers in full: what samples keep, and what is compared with them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from polymodal.answers.base import Decoder
from polymodal.answers.batches import AnsweredRows
from polymodal.artifact.capabilities import Kind
from polymodal.artifact.samples import Samples
from polymodal.data.media.path_access import MediaAccess
from polymodal.data.tables.table import Table, read_table
from polymodal.data.targets import TargetReader
from polymodal.data.values.column_values import as_label
from polymodal.runs.core import AnyRun
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.records import JsonObject, JsonValue

if TYPE_CHECKING:
    from polymodal.runs.generation_run import GenerationRun

BATCH = 128
INTERVAL = ("low", "high")


def table_of(samples: Samples) -> Table:
    """The kept rows as a table, whose cells may name files in ``samples/`` alone."""
    table = read_table(samples.named(), name="samples/rows.json")
    return replace(table, root=MediaAccess.inside(samples.folder))


def answers_of(run: AnyRun, table: Table) -> list[JsonObject]:
    """The answer of a run to each row; warnings about single cells are of no interest here.

    Raises:
        PolymodalError: If a row cannot be read or answered.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if run.kind is Kind.words:
            return _words(cast("GenerationRun", run), table)
        assert isinstance(run, PredictionRun)
        return list(_predictions(run, table) if run.targets else _vectors(run, table))


def _words(run: GenerationRun, table: Table) -> list[JsonObject]:
    """Words without chance: greedy, or the beam search that is declared."""
    frame = run.generate(table, sample=False, batch_size=len(table), quiet=True)
    texts, missing = frame[run.column].tolist(), frame["missing"].tolist()
    return [
        {"values": {run.column: str(text)}, "missing": _names(lacking)}
        for text, lacking in zip(texts, missing, strict=True)
    ]


def _names(joined: str) -> list[str]:
    return joined.split(", ") if joined else []


def _vectors(run: PredictionRun, table: Table) -> Iterator[JsonObject]:
    for vectors, _ in run.embed_batches(table, batch_size=BATCH):
        for vector in vectors:
            yield {"vector": [float(number) for number in vector]}


def _predictions(run: PredictionRun, table: Table) -> Iterator[JsonObject]:
    batches = run.answered(run.rows(table), BATCH)
    return rows_of(batches, run.answerer.decoders, run.reading.targets, run.answerer.input_names)


def rows_of(
    batches: Iterable[AnsweredRows],
    decoders: Mapping[str, Decoder],
    targets: Mapping[str, TargetReader],
    inputs: Sequence[str],
) -> Iterator[JsonObject]:
    """The answer to each row of batches.

    Args:
        batches: Answers as arrays.
        decoders: By target.
        targets: By target the reader of its labels.
        inputs: Their names, in declared order.
    """
    for batch in batches:
        parts = {name: _target(name, decoder, batch, targets[name]) for name, decoder in decoders.items()}
        for row in range(len(batch.index)):
            answer: JsonObject = {}
            for section in ("values", "probabilities", "intervals", "others"):
                own = {name: each[row][section] for name, each in parts.items() if section in each[row]}
                answer |= {section: own} if own else {}
            there = batch.present[row]
            yield answer | {"missing": [name for name, has in zip(inputs, there, strict=True) if not has]}


def _target(
    name: str, decoder: Decoder, batch: AnsweredRows, target: TargetReader
) -> list[dict[str, JsonValue]]:
    """Of each row of a batch what is answered for one target: its value and what goes with it."""
    columns = decoder.columns(name, batch.answers[name], True)
    if name in columns:
        columns[name] = target.answers(columns[name])
    marks = f"{name}_probability_", f"{name}_confidence"
    cells = {key: [plain(cell) for cell in column] for key, column in columns.items()}
    rows: list[dict[str, JsonValue]] = []
    for row in range(len(batch.index)):
        entry = {key: column[row] for key, column in cells.items() if key != marks[1]}
        made: dict[str, JsonValue] = {"values": entry.pop(name)} if name in entry else {}
        likely = {
            key.removeprefix(marks[0]): entry.pop(key) for key in list(entry) if key.startswith(marks[0])
        }
        made |= {"probabilities": likely} if likely else {}
        if all(f"{name}_{side}" in entry for side in INTERVAL):
            made["intervals"] = [entry.pop(f"{name}_{side}") for side in INTERVAL]
        rows.append(made | ({"others": entry} if entry else {}))
    return rows


def plain(cell: Any) -> JsonValue:
    """A cell of an answer as JSON; a missing one is None."""
    if isinstance(cell, np.ndarray | list | tuple):
        return [plain(entry) for entry in cell]
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, float):
        return None if np.isnan(cell) else cell
    return cell if cell is None or isinstance(cell, bool | int | str) else as_label(cell)
