"""Metrics of generated answers: overall, by the inputs that rows have, and without each input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from polymodal.data.chat.messages import ASSISTANT, Conversation
from polymodal.data.chat.templates import Template
from polymodal.data.media.cells import MediaError
from polymodal.data.tables.table import Table
from polymodal.errors import DataError, Problem, did_you_mean
from polymodal.evaluation.text_metrics import measure_words, suited
from polymodal.runs.answering import answer_rows, decoding
from polymodal.runs.generation_run import GenerationRun
from polymodal.training.language.conversation_rows import ConversationRows, Row
from polymodal.utils.records import OPTIONAL, Record

ANSWER, OUTPUT, PROMPT = "answer", "output", "prompt"
NONE = "text alone"
"""Label of rows without items."""


@dataclass(frozen=True, kw_only=True)
class SplitMetrics(Record):
    """Metrics of a split.

    Attributes:
        metrics: By name; empty where no true answer is known.
        without: Metrics by the input that is removed.
        present: Number of rows and metrics by the inputs that rows have, where rows differ in these.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    without: dict[str, dict[str, float]] = field(default_factory=dict, metadata=OPTIONAL)
    present: dict[str, dict[str, float]] = field(default_factory=dict, metadata=OPTIONAL)


def measure_table(
    run: GenerationRun,
    table: Table,
    *,
    batch_size: int = 32,
    options: Mapping[str, Any] | None = None,
    on_error: str = "refuse",
    rejected: list[Problem] | None = None,
) -> dict[str, dict[str, float]]:
    """Metrics, by column of answers, over the rows of a table whose true answer is known.

    Args:
        run: Answers.
        table: The rows.
        batch_size: Rows per batch.
        options: Of decoding, see :func:`polymodal.runs.answering.decoding`.
        on_error: ``skip`` skips rows that cannot be read, ``refuse`` raises.
        rejected: Problems of skipped rows are appended to it.

    Raises:
        DataError: If a row cannot be read, there is no column of answers, or no row has one.
    """
    require_answers(run, table)
    rows = run.readable(table, on_error, rejected)
    frame = answered(run, rows, options, batch_size=batch_size)
    known = frame[frame[ANSWER].notna()]
    if known.empty:
        raise DataError(Problem(file=table.name, found="no row has an answer", expected="rows with answers"))
    return {run.column: measured(known, chosen_metrics(run, known))}


def require_answers(run: GenerationRun, table: Table) -> None:
    """Check that a table has the columns of the answers.

    Raises:
        DataError: If one is missing.
    """
    answer = run.generation.answer
    for column in Template(answer).columns if answer else ():
        if column not in table.columns:
            reason, fix = f"no column '{column}' to measure against", did_you_mean(column, table.columns)
            raise DataError(Problem(file=table.name, found=reason, cure=fix))


def answered(
    run: GenerationRun,
    rows: ConversationRows,
    options: Mapping[str, Any] | None = None,
    *,
    batch_size: int = 32,
) -> pd.DataFrame:
    """Generate the answers to ``rows``.

    Returns:
        The columns ``row`` (from 1), ``prompt``, ``answer`` (the true one; empty if unknown), ``output`` and
        ``present`` (inputs of which the row has items).
    """
    outputs: dict[int, str] = {}
    chosen = decoding(run.generation.decoding, options)
    for indices, answers in answer_rows(
        run.model, rows, chosen, batch_size=batch_size, precision=run.precision
    ):
        outputs |= zip(indices, answers, strict=True)
    described = run.processor.renderer.describe
    return pd.DataFrame({
        "row": rows.numbers + 1,
        PROMPT: [described(row.encoded) for row in rows.rows],
        ANSWER: pd.array(true_answers(rows), dtype="string"),
        OUTPUT: pd.array([outputs[index] for index in range(len(rows))], dtype="string"),
        "present": [present_in(row) for row in rows.rows],
    })  # fmt: skip


def present_in(row: Row) -> str:
    """The inputs of which a row has items, separated by commas."""
    return ", ".join(dict.fromkeys(media.input for media in row.encoded.media)) or NONE


def true_answers(rows: ConversationRows) -> list[str | None]:
    """The last assistant message of each row; None if it has none."""
    return [_last(rows, row) for row in rows.table.rows()]


def _last(rows: ConversationRows, row: Mapping[str, Any]) -> str | None:
    try:
        conversation: Conversation = rows.reader.read(row)
    except MediaError:
        return None
    if not conversation or conversation[-1].role != ASSISTANT:
        return None
    return conversation[-1].text.strip() or None


def chosen_metrics(run: GenerationRun, frame: pd.DataFrame) -> Sequence[str]:
    """Names of the metrics: those declared, else those suited to the true answers."""
    return run.generation.metrics or suited([[answer] for answer in frame[ANSWER]])


def measured(frame: pd.DataFrame, metrics: Sequence[str], output: str = OUTPUT) -> dict[str, float]:
    """``metrics`` by name, of the column ``output`` against the true answers."""
    return measure_words(frame[output].tolist(), [[answer] for answer in frame[ANSWER]], metrics)


def measure_split(
    run: GenerationRun, rows: ConversationRows, *, ablate: bool
) -> tuple[SplitMetrics, pd.DataFrame]:
    """Metrics of a split, and its answers.

    Args:
        run: Answers.
        rows: Prepared.
        ablate: Answer also without each input, and without all of them: shows a model that relies on the
            text of the question alone.

    Returns:
        The metrics; and the frame of :func:`answered`, with ``output_without_<input>``.
    """
    frame = answered(run, rows)
    known = frame[ANSWER].notna()
    metrics = chosen_metrics(run, frame[known]) if known.any() else []
    overall = measured(frame[known], metrics) if known.any() else {}
    without: dict[str, dict[str, float]] = {}
    names = run.model.config.input_names
    for name, inputs in _ablations(names).items() if ablate and known.any() else ():
        column = f"{OUTPUT}_without_{name}"
        rows.empty = inputs
        frame[column] = answered(run, rows)[OUTPUT]
        without[name] = measured(frame[known], metrics, column)
    rows.empty = []
    groups = frame[known].groupby("present")
    present: dict[str, dict[str, float]] = {}
    if len(groups) > 1:
        present = {str(name): {"rows": len(part), **measured(part, metrics)} for name, part in groups}
    return SplitMetrics(metrics=overall, without=without, present=present), frame


def _ablations(names: Sequence[str]) -> dict[str, list[str]]:
    """Inputs to remove, by name: each alone, and ``all`` if there are several."""
    each = {name: [name] for name in names}
    return each | ({"all": list(names)} if len(names) > 1 else {})


def longest_answer(rows: ConversationRows) -> int:
    """Largest number of tokens with a loss in a row, over all of its answers."""
    return max((int(np.sum(row.encoded.learned)) for row in rows.rows), default=1)
