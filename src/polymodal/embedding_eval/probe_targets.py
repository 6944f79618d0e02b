"""The target of a probe: its task, classes or numbers, and the rows of a split that have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from polymodal.data.media.cells import MediaError
from polymodal.data.readers.content import Content
from polymodal.data.schema.infer import guess_target
from polymodal.data.tables.table import Table
from polymodal.data.targets import ClassTarget, NumberTarget, class_names, target_content
from polymodal.data.values.amounts import find_format
from polymodal.data.values.column_values import as_labels
from polymodal.data.values.numbers import read_number
from polymodal.embedding_eval.probe_table import Reading
from polymodal.errors import DataError, Problem, RunError, did_you_mean
from polymodal.evaluation.statistics.clusters import row_groups
from polymodal.runs.prediction_run import PredictionRun
from polymodal.tasks import reader_name
from polymodal.utils.records import Record, key

PROBED = {Content.CATEGORY: ClassTarget.task, Content.NUMBER: NumberTarget.task}
"""What a probe answers, and the name of the task."""


@dataclass(frozen=True, kw_only=True)
class Majority(Record):
    """The most frequent class as a baseline.

    Attributes:
        label: The class.
        accuracy: Of predicting it for every row.
    """

    label: str = field(metadata=key("class"))
    accuracy: float


@dataclass
class Part:
    """The rows of one split that can be used.

    Attributes:
        vectors: ``(rows, width)``.
        answers: ``(rows,)`` ground truth: names of classes, or numbers.
        groups: ``(rows,)`` cluster ids.
        grouped_by: In words, by what rows were clustered.
        left_out: Number of skipped rows by reason.
    """

    vectors: np.ndarray
    answers: np.ndarray
    groups: np.ndarray
    grouped_by: str
    left_out: dict[str, int]

    @property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors and ground truth."""
        return self.vectors, self.answers

    def select(self, indices: np.ndarray) -> Part:
        """Some of the rows."""
        selected = {name: getattr(self, name)[indices] for name in ("vectors", "answers", "groups")}
        return replace(self, **selected)


def find_task(run: PredictionRun, table: Table, target: str, task: str | None = None) -> str:
    """The task of a column: ``task``, or as the run declares it, or as guessed from its values.

    Raises:
        DataError: If there is no such column, or it holds several labels per row.
        RunError: If there is no such task.
        ConfigError: If the column holds pictures or the like.
    """
    if target not in table.columns:
        fix = did_you_mean(target, table.columns)
        raise DataError(Problem(file=table.name, found=f"no column '{target}' to answer", cure=fix))
    declared = run.declaration.targets.get(target)
    name = task or (reader_name(declared.task) if declared else guess_target(table, target).task)
    if task is not None and task not in PROBED.values():
        raise RunError(f"the task is '{task}', expected {' or '.join(PROBED.values())}")
    content = target_content(name)
    if content not in PROBED:
        what = "several labels a row" if content is Content.LABELS else f"the task {name}"
        problem = Problem(
            file=table.name, column=target, found=what, expected="one class or one number a row"
        )
        raise DataError(problem)
    return name


def is_classes(task: str) -> bool:
    """Whether the answers of :func:`find_task`'s task are classes; else they are numbers."""
    return target_content(task) is Content.CATEGORY


def labels_of(table: Table, target: str) -> np.ndarray:
    """``(rows,)`` names of classes, empty where a cell is."""
    return as_labels(table.values(target))


def format_of(run: PredictionRun, table: Table, target: str) -> str | None:
    """The number format of a target, as the run has it or as guessed; None for plain numbers."""
    declared = run.declaration.targets.get(target)
    return declared.format if declared else find_format(table.values(target))


def numbers_of(table: Table, target: str, written: str | None = None) -> np.ndarray:
    """The numbers of a target ``(rows,)``, NaN for an empty cell; ``written`` is their format in texts.

    Raises:
        DataError: Every cell that is no number.
    """
    numbers, problems = np.full(len(table), np.nan), []
    for row, cell in enumerate(table.values(target).to_pylist()):
        try:
            numbers[row] = read_number(cell, written)
        except MediaError as error:
            problems.append(Problem(file=table.name, row=int(table.places[row]) + 1, column=target,
                                    found=error.found, expected=error.expected, cure=error.cure))  # fmt: skip
    if problems:
        raise DataError(problems)
    return numbers


def classes_of(labels: Sequence[str] | np.ndarray) -> list[str]:
    """The classes that occur, numbers before words; empty cells are no class."""
    return class_names(label for label in labels if label)


def groups_of(run: PredictionRun, table: Table, names: Sequence[str]) -> tuple[np.ndarray, str]:
    """Clusters of rows that share a file of these inputs; see :func:`row_groups`."""
    return row_groups(table, {name: run.processor.readers[name].modality for name in names})


def majority(labels: np.ndarray) -> str:
    """The most frequent class of ``labels`` ``(rows,)``; of several the first by name."""
    names, counts = np.unique(labels.astype(str), return_counts=True)
    return str(names[counts.argmax()])


def part_of(
    run: PredictionRun, table: Table, split: str, target: str, task: str, input: str | None, request: Reading
) -> Part:
    """The rows of one split that have a ground truth for ``target`` and the ``input``, or any input.

    Raises:
        DataError: If there is none, or a cell cannot be read.
    """
    of_classes = is_classes(task)
    answers = (
        labels_of(table, target) if of_classes else numbers_of(table, target, format_of(run, table, target))
    )
    known = np.flatnonzero(answers != "" if of_classes else ~np.isnan(answers))
    if not len(known):
        raise _nothing(table, split, target, "")
    rows = table.select(known)
    vectors = request.vectors(run, rows, f"embedding {split} rows")
    used = [input] if input else list(vectors.inputs)
    usable = np.flatnonzero(vectors.has_any(used))
    if not len(usable):
        raise _nothing(table, split, target, f" and {f'the input {input}' if input else 'something to read'}")
    groups, grouped_by = groups_of(run, rows, used)
    unread = int(vectors.unread.sum())
    left_out = {
        "no_answer": len(table) - len(known), "no_input": len(known) - len(usable) - unread, "unread": unread,
    }  # fmt: skip
    values = vectors.inputs[input] if input else vectors.fused
    return Part(values[usable], answers[known][usable], groups[usable], grouped_by, left_out)


def _nothing(table: Table, split: str, target: str, more: str) -> DataError:
    reason = f"no {split} row has an answer{more}"
    return DataError(Problem(file=table.name, column=target, found=reason, expected=f"{split} rows"))
