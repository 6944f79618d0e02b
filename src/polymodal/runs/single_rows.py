"""Answers and vectors of rows that were read one by one, as a service reads them, as JSON."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from polymodal.answers.batches import AnsweredRows, rows_at_once
from polymodal.data.row_processor import Row
from polymodal.data.tables.written_rows import as_text_of
from polymodal.errors import RunError, did_you_mean, one_line
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.records import JsonObject, JsonValue


def most_rows(run: PredictionRun, batch_size: int = 128) -> int:
    """Rows of a batch of this run: at most ``batch_size``, and fewer where its media are large."""
    return rows_at_once(run.reading, batch_size)


def answer_rows(run: PredictionRun, rows: Sequence[Row]) -> list[JsonObject]:
    """The answers to rows that were read, computed in one batch, as :meth:`PredictionRun.predict` does.

    Args:
        run: With heads.
        rows: At least one, each the ``row`` of a :class:`polymodal.runs.row_reading.ReadRow`.

    Returns:
        By row ``values`` (by target a label in its own type, a list of labels, or a number),
        ``probabilities`` (by target and class), ``intervals`` (by target the lower and the upper end) and
        ``missing`` (the inputs that the row lacks).

    Raises:
        PolymodalError: If an answer is not of finite numbers.
    """
    numbered = [{**row, "index": index} for index, row in enumerate(rows)]
    if run.plain is not None:
        return _records(run, run.plain.answered(numbered))
    from polymodal.models.inference import answer_read

    return _records(run, answer_read(run.model, run.processor, numbered, run.precision))


def _records(run: PredictionRun, batch: AnsweredRows) -> list[JsonObject]:
    """The answers of a batch by row, from the same columns as a table of answers has."""
    names = run.answerer.input_names
    rows = batch.present.tolist()
    values, probabilities, intervals = ([dict[str, JsonValue]() for _ in rows] for _ in range(3))
    for target, decoder in run.answerer.decoders.items():
        reader = run.reading.targets[target]
        columns = decoder.columns(target, batch.answers[target], probabilities=True)
        if target in columns:
            _fill(values, target, reader.answers(columns[target]))
        of_class = {label: f"{target}_probability_{label}" for label in reader.classes}
        if of_class and all(column in columns for column in of_class.values()):
            each = zip(*(columns[column].tolist() for column in of_class.values()), strict=True)
            _fill(probabilities, target, [dict(zip(of_class, row, strict=True)) for row in each])
        ends = [f"{target}_low", f"{target}_high"]
        if all(column in columns for column in ends):
            _fill(intervals, target, zip(*(columns[end].tolist() for end in ends), strict=True))
    missing = [[name for name, there in zip(names, row, strict=True) if not there] for row in rows]
    parts = zip(values, probabilities, intervals, missing, strict=True)
    return [
        {"values": value, "probabilities": each, "intervals": ends, "missing": lacking}
        for value, each, ends, lacking in parts
    ]


def _fill(records: Sequence[dict[str, JsonValue]], target: str, values: Iterable[Any]) -> None:
    for record, value in zip(records, values, strict=True):
        record[target] = json_value(value)


def json_value(value: Any) -> JsonValue:
    """A cell of an answer as JSON has it; None where it is empty."""
    if isinstance(value, dict):
        return {key: json_value(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [json_value(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (str, bool, int)):
        return value
    return value.isoformat() if isinstance(value, datetime.datetime) else as_text_of(value)


def embed_rows(run: PredictionRun, rows: Sequence[Row], input: str | None = None) -> list[list[float] | None]:
    """The vectors of rows that ``run.fused.reading`` read, as :meth:`PredictionRun.embed` computes them.

    Args:
        run: With vectors.
        rows: At least one.
        input: Whose vectors to return; by default those of the fused rows.

    Returns:
        One vector per row; None where the row lacks the input.

    Raises:
        RunError: If there is no such input, or the run has no vectors.
    """
    from polymodal.models.inference import read_batch
    from polymodal.runs.encode_items import vectors_of

    fused = run.fused
    require_input(run, input)
    numbered = [{**row, "index": index} for index, row in enumerate(rows)]
    batch = read_batch(fused.model, fused.processor, numbered, fused.precision)
    vectors = vectors_of(batch, fused.model.config.input_names, input)
    return [None if np.isnan(vector).all() else vector.tolist() for vector in vectors]


def require_input(run: PredictionRun, name: str | None) -> None:
    """Refuse an input that a run does not read.

    Raises:
        RunError: Naming the nearest one.
    """
    names = list(run.reading.readers)
    if name is not None and name not in names:
        raise RunError(f"there is no input '{one_line(name, 80)}'. {did_you_mean(name, names)}")
