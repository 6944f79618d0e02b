"""The rows of one split that a probe can use: their vectors and their answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.tables.table import Table
from polymodal.embedding_eval.probe_table import Reading
from polymodal.embedding_eval.probe_targets import format_of, groups_of, labels_of, numbers_of
from polymodal.errors import DataError, Problem

if TYPE_CHECKING:
    from polymodal.run import Run


@dataclass
class Part:
    """The rows of one split that can be used.

    Attributes:
        vectors: ``(rows, width)``.
        answers: ``(rows,)`` names of classes, or numbers.
        groups: ``(rows,)`` what hangs together.
        grouped_by: In words.
        left_out: How many rows were left out, by why.
    """

    vectors: np.ndarray
    answers: np.ndarray
    groups: np.ndarray
    grouped_by: str
    left_out: dict[str, int]

    @property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Vectors and answers."""
        return self.vectors, self.answers

    def select(self, places: np.ndarray) -> Part:
        """Some of the rows."""
        found = {name: getattr(self, name)[places] for name in ("vectors", "answers", "groups")}
        return replace(self, **found)


def part_of(
    run: Run, table: Table, split: str, target: str, task: str, input: str | None, asked: Reading
) -> Part:
    """The rows of ``table``, one split, that have an answer to ``target`` and the ``input``, or any input.

    Raises:
        DataError: If there is none, or a cell cannot be read.
    """
    of_classes = task == "classification"
    answers: Any = (
        labels_of(table, target) if of_classes else numbers_of(table, target, format_of(run, table, target))
    )
    known = np.flatnonzero(answers != "" if of_classes else ~np.isnan(answers))
    if not len(known):
        raise _nothing(table, split, target, "")
    rows = table.select(known)
    vectors = asked.vectors(run, rows, f"embedding {split} rows")
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
    found = f"no {split} row has an answer{more}"
    return DataError(Problem(file=table.name, column=target, found=found, expected=f"{split} rows"))
