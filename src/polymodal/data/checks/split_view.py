"""The splits of a table side by side, as the checks read them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from polymodal.data.media import is_empty
from polymodal.data.readers.base import content_of, is_media
from polymodal.data.readers.content import Content
from polymodal.data.readers.items import holds_nothing
from polymodal.data.tables.table import Table, each_cell
from polymodal.data.targets import target_content
from polymodal.data.values.column_values import as_labels, holds_objects, parse_numbers, vocabulary_of
from polymodal.data.values.vocabulary import Vocabulary
from polymodal.errors import Problem

WITHOUT_NAMES = (Content.MEDIA, Content.TEXT, Content.NUMBER, Content.LABELS)
"""Contents whose cells are not names that repeat."""


@dataclass
class Parts:
    """Tables by split, and the number each row has in the user's own file.

    Attributes:
        tables: ``train``, ``validation`` and ``test``, as far as they are there.
        row_numbers: For each split the rows' indices in the file, from 0; where it is missing, the rows' own.
        roles: What each declared column is read as: a modality or a task.
        every: Name every row that is at fault, even where one line could summarise many.
        formats: How the numbers of a column are written, where not plainly.
    """

    tables: dict[str, Table]
    row_numbers: dict[str, np.ndarray]
    roles: dict[str, str]
    every: bool = False
    formats: dict[str, str | None] = field(default_factory=dict)
    _labels: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    _names: dict[str, Vocabulary] = field(default_factory=dict)
    _numbers: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    _empty: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    @property
    def train(self) -> Table:
        """The training split."""
        return self.tables["train"]

    def having(self, column: str) -> list[str]:
        """The splits whose table has the column."""
        return [split for split, table in self.tables.items() if table.has(column)]

    def holds(self, column: str) -> Content | None:
        """The content type of an input or a target; None for a group or the like."""
        role = self.roles.get(column)
        return target_content(role) or content_of(role)

    def number(self, split: str, index: int) -> int:
        """The row's number as the user counts: from 1, the header not counted."""
        rows = self.row_numbers.get(split)
        return int(index if rows is None else rows[index]) + 1

    def problem(self, split: str, index: int | None, column: str | None, found: str, **more: str) -> Problem:
        """A problem at a row of a split."""
        row = None if index is None else self.number(split, index)
        return Problem(file=self.tables[split].name, row=row, column=column, found=found, **more)

    def labels(self, split: str, column: str) -> np.ndarray:
        """The column's cells as labels, computed once."""
        key = split, column
        if key not in self._labels:
            self._labels[key] = as_labels(self.tables[split].values(column), self.names(column))
        return self._labels[key]

    def numbers(self, split: str, column: str) -> tuple[np.ndarray, np.ndarray]:
        """The column's cells as numbers, and which are none, computed once; see :func:`parse_numbers`."""
        key = split, column
        if key not in self._numbers:
            self._numbers[key] = parse_numbers(self.tables[split].values(column), self.formats.get(column))
        return self._numbers[key]

    def names(self, column: str) -> Vocabulary | None:
        """The values of a column's training cells; None where it holds no classes, categories or groups."""
        if self.holds(column) in WITHOUT_NAMES:
            return None
        values = self.train.values(column) if self.train.has(column) else None
        if column not in self._names and values is not None and not holds_objects(values.type):
            self._names[column] = vocabulary_of(values)
        return self._names.get(column)

    def empty(self, split: str, column: str) -> np.ndarray:
        """Which cells of a column hold nothing, computed once: ``(rows,)`` bool."""
        key = split, column
        if key not in self._empty:
            self._empty[key] = self._nothing(split, column)
        return self._empty[key]

    def _nothing(self, split: str, column: str) -> np.ndarray:
        values = self.tables[split].values(column)
        role = self.roles.get(column)
        if is_media(role) or self.holds(column) is Content.VALUE:
            return np.array([holds_nothing(cell, str(role)) for cell in each_cell(values)], dtype=bool)
        if holds_objects(values.type):
            return np.array([is_empty(cell) for cell in each_cell(values)], dtype=bool)
        if self.holds(column) is Content.NUMBER:
            numbers, bad = self.numbers(split, column)
            nothing = np.isnan(numbers)
            nothing[bad] = False
            return nothing
        return self.labels(split, column) == ""
