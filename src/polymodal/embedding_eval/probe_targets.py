"""The column that is to be answered: its classes or numbers, and which rows hang together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from polymodal.data.media.cells import MediaError
from polymodal.data.preparation import class_names
from polymodal.data.schema.infer import guess_target
from polymodal.data.tables.table import Table
from polymodal.data.values.amounts import find_format
from polymodal.data.values.column_values import as_labels
from polymodal.data.values.numbers import read_number
from polymodal.errors import DataError, Problem, RunError, did_you_mean
from polymodal.evaluation.statistics.clusters import row_groups

if TYPE_CHECKING:
    from polymodal.run import Run

TASKS = ("classification", "regression")


def find_task(run: Run, table: Table, target: str, task: str | None = None) -> str:
    """How a column is answered: as ``task`` says, as the run declares it, or as it looks.

    Raises:
        DataError: If there is no such column, or it holds several labels a row.
        RunError: If there is no such task.
        ConfigError: If the column holds pictures or the like.
    """
    if target not in table.columns:
        cure = did_you_mean(target, table.columns)
        raise DataError(Problem(file=table.name, found=f"no column '{target}' to answer", cure=cure))
    declared = run.declaration.targets.get(target)
    found = task or (declared.family if declared else guess_target(table, target).task)
    if task is not None and task not in TASKS:
        raise RunError(f"the task is '{task}', expected {' or '.join(TASKS)}")
    if found not in TASKS:
        what = "several labels a row" if found == "multilabel" else f"the task {found}"
        problem = Problem(
            file=table.name, column=target, found=what, expected="one class or one number a row"
        )
        raise DataError(problem)
    return found


def labels_of(table: Table, target: str) -> np.ndarray:
    """``(rows,)`` names of classes, empty where a cell is."""
    return as_labels(table.values(target))


def format_of(run: Run, table: Table, target: str) -> str | None:
    """How the numbers of a target are written, by the run or as they look; None where plainly."""
    declared = run.declaration.targets.get(target)
    return declared.format if declared else find_format(table.values(target))


def numbers_of(table: Table, target: str, written: str | None = None) -> np.ndarray:
    """``(rows,)``, NaN where a cell is empty; ``written`` is how its texts write 1234.5.

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
    """The classes that occur, numbers before words; the empty ones are none."""
    return class_names(label for label in labels if label)


def groups_of(run: Run, table: Table, names: Sequence[str]) -> tuple[np.ndarray, str]:
    """Rows that share a file of these inputs hang together; see :func:`row_groups`."""
    return row_groups(table, {name: run.processor.readers[name].modality for name in names})


def majority(labels: np.ndarray) -> str:
    """The commonest class of ``labels`` ``(rows,)``, the first by name of several."""
    names, counts = np.unique(labels.astype(str), return_counts=True)
    return str(names[counts.argmax()])
