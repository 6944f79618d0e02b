"""The report of answers in words: text metrics, without each input, subgroups, and the worst answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from polymodal.config import ReportConfig
from polymodal.data.chat.messages import USER
from polymodal.data.chat.messages_reading import with_items
from polymodal.data.tables.table import read_table
from polymodal.error_analysis.subgroups import subgroups
from polymodal.errors import DataError, Problem
from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.number_text import difference, settling, whole
from polymodal.evaluation.statistics.bootstrap import FEWEST_GROUPS, Bootstrap
from polymodal.evaluation.statistics.clusters import row_groups
from polymodal.evaluation.statistics.judgement import judge
from polymodal.evaluation.statistics.subgroup_columns import subgroup_columns
from polymodal.evaluation.text_metrics import HIGHER_IS_BETTER, Measured, measured_words, word_estimates
from polymodal.report.html_cells import show_cell
from polymodal.report.provenance import provenance
from polymodal.report.report_figures import FORMAT
from polymodal.report.report_writing import own_table, refuse_both, write
from polymodal.runs.fitted_rows import described_rows
from polymodal.runs.generation_metrics import ANSWER, OUTPUT, chosen_metrics, measure_split, require_answers
from polymodal.runs.generation_run import GenerationRun
from polymodal.training.language.conversation_rows import ConversationRows
from polymodal.training.output_folder import read_results
from polymodal.training.recorded_metrics import FitResults
from polymodal.utils.atomic import require_folder
from polymodal.utils.version import __version__

WORST = 12
"""The most answers that are shown with the cells of their rows."""
PAGE_TEMPLATE = "language_report.html"


@dataclass(frozen=True)
class TextScore(Score):
    """A text metric as a score, the higher the better: an error rate is subtracted from 1.

    Attributes:
        measured: The metric over the rows of the report.
    """

    measured: Measured | None = None

    @classmethod
    def of(cls, metric: str, measured: Measured) -> TextScore:
        """The score of a metric."""
        return cls(metric if HIGHER_IS_BETTER[metric] else f"1 - {metric}", measured=measured)

    def value(self, sums: np.ndarray) -> np.ndarray:
        """The score of sums ``(…, sums)``: ``(…)``, NaN where it is not defined."""
        assert self.measured is not None
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.rising(self.measured.value(sums))

    def rising(self, values: np.ndarray) -> np.ndarray:
        """The score of values of the metric."""
        return 1 - values if self.name.startswith("1 - ") else values


@dataclass(frozen=True)
class Answers:
    """The answers of a run to rows whose true answer may be known.

    Attributes:
        run: That answered.
        rows: Prepared.
        frame: See :func:`polymodal.runs.generation_metrics.measure_split`.
        config: ``group`` and ``by``.
        seed: Of the bootstrap and the permutations.
    """

    run: GenerationRun
    rows: ConversationRows
    frame: pd.DataFrame
    config: ReportConfig
    seed: int = 0


def language_report(
    run: GenerationRun,
    source: Any = None,
    *,
    data: Any = None,
    group: str | None = None,
    by: Sequence[str] = (),
    output: str | Path | None = None,
    seed: int = 0,
) -> Path:
    """Measure a run, by default on its own test rows, and write ``report.html`` and ``report.json``.

    Args:
        run: Of answers in words.
        source: A table with prompts and answers; by default the run's test rows, or without any those
            of validation.
        data: The table that the run was fitted to, if it was in memory, or its file was moved.
        group: A column whose equal values are resampled together; by default rows that share a file.
        by: Columns whose values are compared; by default those declared.
        output: A folder for both files; the run's own by default.
        seed: Of the bootstrap and the permutations.

    Returns:
        The page.

    Raises:
        PolymodalError: If run or table cannot be read, or no row has an answer.
    """
    refuse_both(source, data)
    if source is None:
        table, what = own_table(run, data)
    else:
        table = read_table(source)
        what = described_rows(run, table)
    require_answers(run, table)
    folder = Path(output) if output else run.folder
    require_folder(folder)
    given = {"group": group, "by": list(by)}
    config = run.declaration.report.model_copy(
        update={name: value for name, value in given.items() if value not in (None, [])}
    )
    if source is None:  # the rows that the fit skipped are skipped again
        skipped = run.declaration.data.on_error
        rows = run.readable(table, skipped, too_long=run.generation.too_long)
    else:
        rows = run.readable(table)
    subgroup_columns(rows.table, config.by, np.arange(0))  # refused before anything is answered
    _, frame = measure_split(run, rows, ablate=True)
    answers = Answers(run, rows, frame, config, seed)
    return write_language_report(answers, read_results(run.folder), what=what, folder=folder)


def write_language_report(answers: Answers, results: FitResults, *, what: str, folder: Path) -> Path:
    """Write both files of a report; see :func:`language_report`.

    Args:
        answers: That are measured.
        results: Of the fit.
        what: The rows, in words.
        folder: Of both files.

    Raises:
        DataError: If no row has an answer.
        RunError: If they cannot be written.
    """
    run, table = answers.run, answers.rows.table
    known = np.flatnonzero(answers.frame[ANSWER].notna())
    if not len(known):
        raise DataError(Problem(file=table.name, found="no row has an answer", expected="rows with answers"))
    inputs = {name: entry.modality for name, entry in run.declaration.inputs.items()}
    figures = {
        "format": FORMAT,
        "polymodal": __version__,
        "made": date.today().isoformat(),
        "run": run.folder.name,
        "what": what,
        "rows": len(answers.rows),
        "inputs": inputs,
        "targets": {run.column: _target(answers, known)},
        "making": provenance(run, table, results),
    }
    return write(figures, folder, template=PAGE_TEMPLATE)


def _target(answers: Answers, known: np.ndarray) -> dict[str, Any]:
    """The report on the answers to the rows at the indices ``known``, whose true answer is known."""
    run, frame = answers.run, answers.frame.iloc[known]
    inputs = {name: entry.modality for name, entry in run.declaration.inputs.items()}
    group = answers.config.group or run.declaration.data.group
    table, column = answers.rows.table, answers.run.generation.messages
    if column and not group:
        table = with_items(table, column, inputs)
    groups, grouped_by = row_groups(table, inputs, group)
    bootstrap = Bootstrap(groups[known], seed=answers.seed)
    names = list(chosen_metrics(run, frame))
    measured = _measured(frame, OUTPUT, names)
    score = TextScore.of(names[0], measured[names[0]])
    worth = {
        "score": score.name,
        "rows": len(known),
        "groups": bootstrap.count,
        "grouped_by": grouped_by,
        "all": bootstrap.estimate(*_both(score, measured[names[0]], bootstrap)),
        "inputs": _without_inputs(frame, names[0], score, bootstrap),
    }
    return {
        "task": "generation",
        "metrics": word_estimates(measured, bootstrap),
        "worth": worth,
        "failures": {
            "worst": _worst(answers, known, score.rising(measured[names[0]].rows)),
            "subgroups": _subgroups(answers, known, score, measured[names[0]], groups),
        },
        "verdict": verdict(worth),
    }


def _measured(frame: pd.DataFrame, column: str, names: Sequence[str]) -> dict[str, Measured]:
    return measured_words(frame[column].tolist(), [[answer] for answer in frame[ANSWER]], names)


def _both(score: TextScore, measured: Measured, bootstrap: Bootstrap) -> tuple[float, np.ndarray]:
    """The score over all rows, and over each resample."""
    point = float(score.value(measured.statistics.sum(axis=0)))
    return point, score.value(bootstrap.resample(measured.statistics))


def _without_inputs(
    frame: pd.DataFrame, metric: str, score: TextScore, bootstrap: Bootstrap
) -> dict[str, Any]:
    """By input the score of the same rows answered without it, and the loss."""
    assert score.measured is not None
    point, drawn = _both(score, score.measured, bootstrap)
    result: dict[str, Any] = {}
    for column in frame.columns:
        name = column.removeprefix(f"{OUTPUT}_without_")
        if name == column:
            continue
        other, others = _both(score, _measured(frame, column, [metric])[metric], bootstrap)
        result[name] = {
            "without": bootstrap.estimate(other, others),
            "lost_without": bootstrap.estimate(point - other, drawn - others),
        }
    return result


def _subgroups(
    answers: Answers, known: np.ndarray, score: TextScore, measured: Measured, groups: np.ndarray
) -> dict[str, Any]:
    """The values of the columns to compare by; nothing where none is named."""
    if not answers.config.by:
        return {}
    columns = subgroup_columns(answers.rows.table, answers.config.by, known)
    return subgroups(score, measured.statistics, groups[known], columns, seed=answers.seed)


def _worst(answers: Answers, known: np.ndarray, scores: np.ndarray) -> list[dict[str, Any]]:
    """The rows with the lowest scores below 1, with their cells."""
    run, frame = answers.run, answers.frame
    if not run.declaration.keeps_rows:
        return []
    ordered = [index for index in np.argsort(scores, kind="stable") if scores[index] < 1]
    cards = []
    for index in ordered[:WORST]:
        row = int(known[index])
        cards.append(
            {
                "row": row,
                "number": int(answers.rows.numbers[row]) + 1,
                "answer": str(frame[OUTPUT].iloc[row]),
                "truth": str(frame[ANSWER].iloc[row]),
                "score": float(scores[index]),
                "cells": _cells(answers, row) if run.declaration.shows_cells else {},
            }
        )
    return cards


def _cells(answers: Answers, row: int) -> dict[str, list[dict[str, str]]]:
    """The items of a row by input, and the text of its question."""
    rows, inputs = answers.rows, answers.run.declaration.inputs
    cells: dict[str, list[dict[str, str]]] = {}
    for media in rows.rows[row].encoded.media:
        shown = show_cell(media.cell, inputs[media.input].modality, rows.table.root)
        cells.setdefault(media.input, []).extend(shown)
    conversation = rows.reader.read(rows.table.row(row))
    question = next((message.text for message in reversed(conversation) if message.role == USER), "")
    return cells | ({"question": show_cell(question, "text", None)} if question.strip() else {})


def verdict(worth: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict: how good the answers are, and which inputs they need."""
    score, rows = worth["score"], worth["rows"]
    sentences = [f"{score.replace('_', ' ')} is {whole(score, worth['all'])} on {rows:,} rows."]
    each = {name: entry for name, entry in worth["inputs"].items() if name != "all"}
    for name, entry in each.items():
        lost = difference(score, entry["lost_without"])
        judged = judge(entry["lost_without"], rows)
        settle = f"; {settling(judged)}" if judged.rows else ""
        sentences.append(
            {
                "adds": f"Without ‘{name}’ it falls by {lost}.",
                "harmful": f"‘{name}’ does harm: without it, it falls by {lost}, so it rises.",
                "redundant": f"‘{name}’ adds nothing that matters: without it, it falls by {lost}.",
                "unclear": f"Whether ‘{name}’ adds something is unclear with so few rows: {lost}{settle}.",
            }[judged.kind]
        )
    if worth["groups"] < FEWEST_GROUPS:
        sentences.append(f"Fewer than {FEWEST_GROUPS} independent rows, so the intervals are too narrow.")
    unused = [name for name, entry in each.items() if judge(entry["lost_without"], rows).kind != "adds"]
    steps = [f"Check whether the answers can be read from ‘{name}’, or leave it out." for name in unused]
    return {
        "fusing": "unknown",
        "sentences": sentences,
        "next": steps or ["Look at the worst answers below: their questions, items and true answers."],
    }
