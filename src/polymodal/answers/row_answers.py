"""Answers row by row as JSON, as a service gives them. None of it needs torch or pandas."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from polymodal.answers.answered import AnsweredRows
from polymodal.answers.base import Decoder
from polymodal.data.targets import TargetReader
from polymodal.data.values.spelling import as_text_of
from polymodal.utils.records import JsonObject, JsonValue


def rows_as_json(
    batch: AnsweredRows,
    decoders: Mapping[str, Decoder],
    targets: Mapping[str, TargetReader],
    inputs: Sequence[str],
) -> list[JsonObject]:
    """The answers of a batch by row, from the same columns as a table of answers has.

    Args:
        batch: The answers as arrays.
        decoders: By target, in declared order.
        targets: By target the reader of its labels.
        inputs: Their names, in declared order.

    Returns:
        By row ``values`` (by target a label in its own type, a list of labels, or a number),
        ``probabilities`` (by target and class), ``intervals`` (by target the lower and the upper end) and
        ``missing`` (the inputs that the row lacks).
    """
    rows = batch.present.tolist()
    values, probabilities, intervals = ([dict[str, JsonValue]() for _ in rows] for _ in range(3))
    for target, decoder in decoders.items():
        reader = targets[target]
        columns = decoder.columns(target, batch.answers[target], probabilities=True)
        if target in columns:
            _fill(values, target, reader.values(columns[target]))
        of_class = {label: f"{target}_probability_{label}" for label in reader.classes}
        if of_class and all(column in columns for column in of_class.values()):
            each = zip(*(columns[column].tolist() for column in of_class.values()), strict=True)
            _fill(probabilities, target, [dict(zip(of_class, row, strict=True)) for row in each])
        ends = [f"{target}_low", f"{target}_high"]
        if all(column in columns for column in ends):
            _fill(intervals, target, zip(*(columns[end].tolist() for end in ends), strict=True))
    missing = [[name for name, there in zip(inputs, row, strict=True) if not there] for row in rows]
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
