"""Rows of a run that answers in words, without a table, as a service receives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from polymodal.data.chat.templates import RowReader
from polymodal.data.media.path_access import NOWHERE
from polymodal.data.tables.table import Table, read_table
from polymodal.errors import DataError, PolymodalError
from polymodal.runs.generation_run import MISSING, GenerationRun
from polymodal.training.language.language_opening import row_reader
from polymodal.utils.records import JsonObject

NAME = "request"
"""The name of the rows in messages."""


def prompt_columns(run: GenerationRun) -> list[str]:
    """The columns of the prompt; none where the run was trained on conversations."""
    reader = row_reader(run.declaration, run.generation)
    return list(dict.fromkeys(reader.prompt.columns)) if isinstance(reader, RowReader) else []


def answer_in_words(
    run: GenerationRun, rows: Sequence[Mapping[str, Any]]
) -> list[JsonObject | PolymodalError]:
    """The answers to rows of cells, as :meth:`GenerationRun.generate` makes them.

    Args:
        run: Answers.
        rows: At least one; their cells may hold bytes, and name no file.

    Returns:
        By row as :func:`polymodal.runs.single_rows.answer_rows` has it, with ``warnings``; the error of a row
        that cannot be read.
    """
    frame = run.generate(_table(run, rows), on_error="skip", quiet=True)
    return [
        PolymodalError(error)
        if isinstance(error, str)
        else {
            "values": {run.column: answer},
            "probabilities": {},
            "intervals": {},
            "missing": missing.split(", ") if missing else [],
            "warnings": [],
        }
        for answer, missing, error in zip(
            frame[run.column], frame.get(MISSING, frame[run.column]), frame["error"], strict=True
        )
    ]


def embed_prompts(
    run: GenerationRun, rows: Sequence[Mapping[str, Any]], input: str | None = None
) -> list[list[float] | DataError | None]:
    """The vectors of the prompts of rows, as :meth:`GenerationRun.embed` makes them.

    Returns:
        One vector per row; None where the row lacks the input; the error of a row that cannot be read.
    """
    table = _table(run, rows)
    ((vectors, read),) = run.embed_batches(table, input, len(table), on_error="skip")
    made = [None if np.isnan(vector).all() else vector.tolist() for vector in vectors]
    return [DataError(read.problems[row]) if row in read.problems else made[row] for row in range(len(made))]


def _table(run: GenerationRun, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Rows as a table with all columns of the prompt."""
    names = prompt_columns(run)
    return replace(
        read_table([{name: row.get(name) for name in names} for row in rows], name=NAME), root=NOWHERE
    )
