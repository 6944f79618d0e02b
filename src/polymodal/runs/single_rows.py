"""Answers and vectors of rows that were read one by one, as a service reads them, as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polymodal.answers.answered import AnsweredRows, rows_at_once
from polymodal.answers.row_answers import rows_as_json
from polymodal.data.row_processor import Row
from polymodal.errors import RunError, did_you_mean, one_line
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.records import JsonObject


def most_rows(run: PredictionRun, batch_size: int = 128) -> int:
    """Rows of a batch of this run: at most ``batch_size``, and fewer where its media are large."""
    return rows_at_once(run.reading, batch_size)


def answer_rows(run: PredictionRun, rows: Sequence[Row]) -> list[JsonObject]:
    """The answers to rows that were read, computed in one batch, as :meth:`PredictionRun.predict` does.

    Args:
        run: With heads.
        rows: At least one, each the ``row`` of a :class:`polymodal.runs.row_reading.ReadRow`.

    Returns:
        See :func:`rows_as_json`.

    Raises:
        PolymodalError: If an answer is not of finite numbers.
    """
    numbered = [{**row, "index": index} for index, row in enumerate(rows)]
    if run.plain is not None:
        return _records(run, run.plain.answered(numbered))
    from polymodal.models.inference import answer_read

    return _records(run, answer_read(run.model, run.processor, numbered, run.precision))


def _records(run: PredictionRun, batch: AnsweredRows) -> list[JsonObject]:
    return rows_as_json(batch, run.answerer.decoders, run.reading.targets, run.answerer.input_names)


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
