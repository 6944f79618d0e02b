"""Zero-shot classification: each row gets the class whose prompts are nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polymodal.data.readers import TextReader
from polymodal.data.tables.table import Table, read_table
from polymodal.data.targets import ClassTarget
from polymodal.data.values.column_values import as_label
from polymodal.embedding_eval.probe_inputs import chosen_inputs, require_space
from polymodal.embedding_eval.probe_table import Reading, Vectors, unit
from polymodal.embedding_eval.probe_targets import (
    Majority,
    classes_of,
    find_task,
    groups_of,
    is_classes,
    labels_of,
    majority,
)
from polymodal.errors import DataError, Problem, RunError, did_you_mean, option, worded
from polymodal.evaluation.metrics.estimates import Estimates, class_estimates
from polymodal.evaluation.statistics.bootstrap import Bootstrap
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.records import Record

FEWEST = 2
GAP = "{}"
"""Where the name of the class goes; alone it is the plainest prompt."""


@dataclass(frozen=True, kw_only=True)
class ZeroShot(Record):
    """Zero-shot classification of a target.

    Attributes:
        target: The column of classes.
        classes: To choose from.
        prompts: With ``{}`` for the name of a class.
        prompt_input: The input that read the prompts.
        inputs: Whose vectors a row is made of.
        rows: Number of rows that were measured.
        left_out: Number of skipped rows by reason.
        metrics: ``accuracy``, ``balanced_accuracy`` and ``macro_f1``.
        chance: The accuracy of a random class.
        majority: The most frequent class, and its accuracy.
        groups: Number of clusters that were resampled.
        grouped_by: In words, by what rows were clustered.
    """

    target: str
    classes: list[str]
    prompts: list[str]
    prompt_input: str
    inputs: list[str]
    rows: int
    left_out: dict[str, int]
    metrics: Estimates
    chance: float
    majority: Majority
    groups: int
    grouped_by: str


def zero_shot(
    run: PredictionRun,
    source: Any,
    target: str,
    *,
    prompts: Sequence[str] = (GAP,),
    classes: Sequence[str] = (),
    prompt_input: str | None = None,
    inputs: Sequence[str] = (),
    **reading: Any,
) -> ZeroShot:
    """Predict ``target`` by the nearest class, and measure that against the table.

    A row is the mean of the unit vectors of its inputs, a class that of its prompts (:func:`class_vectors`);
    the nearest class has the largest cosine. The input that reads the prompts is no part of the row, nor is
    the target.

    Args:
        run: With a shared space and a text input.
        source: A table with the target.
        target: A column of classes.
        prompts: With ``{}`` for the name of a class.
        classes: Their names; by default those that occur. Rows of other classes are skipped.
        prompt_input: The input that reads the prompts; by default the only text input.
        inputs: Whose vectors make a row; by default all others.
        reading: See :class:`Reading`.

    Raises:
        RunError: If the run has no shared space or text input, or the arguments do not fit it.
        DataError: If the table cannot be read, lacks the target or two classes, or has no row to measure.
    """
    require_space(run, "labelling without training")
    check_prompts(prompts)
    reader, request = prompt_reader(run, prompt_input), Reading(**reading)
    table = request.table(run, source)
    names = classes_in(run, table, target, classes)
    others = _others(run, inputs, {reader, target})
    shown = _rows_to_label(run, table, labels_of(table, target), names, others, request)
    similar = row_vectors(shown.vectors, others)[shown.measured]
    similar = similar @ class_vectors(run, names, prompts, reader, request).T
    groups, grouped_by = groups_of(run, shown.rows, others)
    bootstrap = Bootstrap(groups[shown.measured], seed=request.seed)
    return ZeroShot(
        target=target,
        classes=names,
        prompts=list(prompts),
        prompt_input=reader,
        inputs=others,
        rows=len(shown.measured),
        left_out=shown.left_out,
        metrics=_metrics(similar.argmax(axis=1), shown.true, names, bootstrap),
        chance=1 / len(names),
        majority=_majority(shown.true),
        groups=bootstrap.count,
        grouped_by=grouped_by,
    )


@dataclass(frozen=True)
class _RowsToLabel:
    """The rows whose class is one of those to choose from.

    Attributes:
        rows: Those rows of the table.
        vectors: Of their inputs.
        measured: Indices of the rows that have an input.
        true: ``(measured,)`` their classes.
        left_out: Number of skipped rows by reason.
    """

    rows: Table
    vectors: Vectors
    measured: np.ndarray
    true: np.ndarray
    left_out: dict[str, int]


def _rows_to_label(
    run: PredictionRun,
    table: Table,
    labels: np.ndarray,
    names: Sequence[str],
    inputs: Sequence[str],
    request: Reading,
) -> _RowsToLabel:
    wanted = np.flatnonzero(np.isin(labels, names))
    left_out = {"no_answer": int((labels == "").sum()), "other_classes": 0, "no_input": 0, "unread": 0}
    left_out["other_classes"] = len(table) - len(wanted) - left_out["no_answer"]
    _require_rows(wanted, table, inputs)
    rows = table.select(wanted)
    vectors = request.vectors(run, rows)
    measured = np.flatnonzero(vectors.has_any(inputs))
    left_out["unread"] = int(vectors.unread.sum())
    left_out["no_input"] = len(wanted) - len(measured) - left_out["unread"]
    _require_rows(measured, table, inputs)
    return _RowsToLabel(rows, vectors, measured, labels[wanted][measured], left_out)


def _majority(true: np.ndarray) -> Majority:
    label = majority(true)
    return Majority(label=label, accuracy=float((true == label).mean()))


def _require_rows(rows: np.ndarray, table: Table, inputs: Sequence[str]) -> None:
    if not len(rows):
        reason = f"no row has a class and one of {', '.join(inputs)}"
        raise DataError(Problem(file=table.name, found=reason, expected="rows to label"))


def classes_in(run: PredictionRun, table: Table, target: str, classes: Sequence[str] = ()) -> list[str]:
    """The classes to choose from: those named, or all that occur.

    Raises:
        DataError: If there is no such column, or it holds no classes, or there are fewer than two.
        ConfigError: If the column holds pictures or the like.
    """
    if not is_classes(find_task(run, table, target, ClassTarget.task if classes else None)):
        probe = worded("--linear-probe", "run.linear_probe")
        fix = f"Name the values to choose from with {option('classes')}, or measure it with {probe}"
        reason = "numbers, which no prompt can name"
        raise DataError(Problem(file=table.name, column=target, found=reason, cure=fix))
    names = list(dict.fromkeys(map(as_label, classes))) or classes_of(labels_of(table, target))
    if len(names) < FEWEST:
        what = f"the class '{names[0]}' alone" if names else "no class at all"
        raise DataError(Problem(file=table.name, column=target, found=what, expected="two classes or more"))
    return names


def row_vectors(vectors: Vectors, names: Sequence[str]) -> np.ndarray:
    """Unit vectors ``(rows, width)``: of each row the mean of the unit vectors of some inputs that it has."""
    total = sum(np.where(vectors.has[name][:, None], unit(vectors.inputs[name]), 0) for name in names)
    return unit(np.asarray(total))


def _others(run: PredictionRun, inputs: Sequence[str], excluded: set[str]) -> list[str]:
    """The inputs whose vectors make a row."""
    others = [name for name in chosen_inputs(run, inputs) if name not in excluded]
    if not others:
        among = f"among {', '.join(inputs)} " if inputs else ""
        raise RunError(
            f"{run.folder}: no input {among}is left to label by, besides {', '.join(sorted(excluded))}"
        )
    return others


def _metrics(
    predicted: np.ndarray, labels: np.ndarray, names: Sequence[str], bootstrap: Bootstrap
) -> Estimates:
    index = {name: number for number, name in enumerate(names)}
    true = np.array([index[label] for label in labels])
    return class_estimates(predicted, true, len(names), bootstrap)


def class_vectors(
    run: PredictionRun, classes: Sequence[str], prompts: Sequence[str], name: str, request: Reading
) -> np.ndarray:
    """Unit vectors ``(classes, width)``: by class the mean of its prompts' unit vectors.

    An ensemble of prompts in embedding space (Radford et al. 2021, section 3.1.4).

    Args:
        run: With a shared space.
        classes: Their names.
        prompts: See :func:`check_prompts`.
        name: The text input that reads them.
        request: The batch size.
    """
    texts = [{name: prompt.replace(GAP, entry)} for entry in classes for prompt in prompts]
    reading = Reading(batch_size=request.batch_size, quiet=request.quiet)
    vectors = reading.vectors(run, read_table(texts, name="prompts"), "encoding prompts")
    of_class = unit(vectors.inputs[name]).reshape(len(classes), len(prompts), -1)
    return unit(of_class.mean(axis=1))


def check_prompts(prompts: Sequence[str]) -> None:
    """Check that each prompt has a gap for the name of a class.

    Raises:
        RunError: If one has none, or there is no prompt.
    """
    if not prompts:
        raise RunError(f"no prompts, expected one or more such as 'a drawing of {GAP}'")
    for prompt in prompts:
        if GAP not in prompt:
            raise RunError(f"the prompt '{prompt}' has no {GAP}, where the name of the class goes")


def prompt_reader(run: PredictionRun, name: str | None) -> str:
    """The input that reads prompts: ``name``, or the only text input.

    Raises:
        RunError: If the run has no text input, or several and none is named, or ``name`` is no text input.
    """
    readers = run.processor.readers
    texts = [entry for entry, reader in readers.items() if reader.modality == TextReader.modality]
    if not texts:
        reads = ", ".join(f"{entry} ({reader.modality})" for entry, reader in readers.items())
        raise RunError(f"{run.folder}: no input reads text, so no class can be named to it. It reads {reads}")
    if name is not None and name not in texts:
        known = f"an input of {readers[name].modality}" if name in readers else "no input"
        raise RunError(
            f"{run.folder}: '{name}' is {known}, expected one of text. {did_you_mean(name, texts)}"
        )
    if name is None and len(texts) > 1:
        fix = f"Name the one that is to read the prompts with {option('prompt_input')}"
        raise RunError(f"{run.folder}: several inputs read text ({', '.join(texts)}). {fix}")
    return name or texts[0]
