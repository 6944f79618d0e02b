"""Target cells to what a loss takes, and back to what a user reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor

from polymodal.data.media.cells import MediaError
from polymodal.data.values.column_values import as_label
from polymodal.data.values.label_types import TEXT, as_series, as_value
from polymodal.data.values.labels import read_labels
from polymodal.data.values.missing import DEFAULT_MARKS, Marks
from polymodal.data.values.number_formats import number_format
from polymodal.data.values.numbers import read_number
from polymodal.data.values.vocabulary import Vocabulary

IGNORED = -100
"""The class of an empty cell; an empty number is NaN, as is every class of a row of unknown labels."""
LARGEST = 1e18
"""Its square, as a loss takes it, is still far from where float32 ends."""


@dataclass
class TargetReader:
    """One target's cells.

    Attributes:
        task: ``classification``, ``multilabel`` or ``regression``.
        classes: Names of the classes in the order of the logits.
        separator: What stands between the labels of a text, for several labels a cell.
        written: For numbers, how the texts of the column write 1234.5, where not plainly.
        missing: What stands for no label among several.
        kind: The type of the training column's labels, which answers have as well; see
            :mod:`polymodal.data.values.label_types`. Runs of older versions answer in texts.
    """

    task: str
    classes: list[str] = field(default_factory=list)
    separator: str | None = None
    written: str | None = None
    missing: Marks = DEFAULT_MARKS
    kind: str = TEXT

    def __post_init__(self) -> None:
        self.vocabulary = Vocabulary(self.classes)
        self.value_of = {name: as_value(name, self.kind) for name in self.classes}
        if self.written is not None:
            number_format(self.written)  # a saved run's may be damaged

    def read(self, cell: Any) -> Any:
        """The class's place, the number, or for several labels ``(classes,)`` float32, 1 where it is among
        them.

        An empty cell gives -100 or NaN, an empty list zeros.

        Raises:
            MediaError: If it is a class that training never saw, or no number.
        """
        if self.task == "regression":
            number = read_number(cell, self.written)
            if abs(number) > LARGEST:
                expected = f"a number up to {LARGEST:g}"
                raise MediaError(found=f"'{cell}'", expected=expected, cure="Scale the column")
            return number
        if self.task == "multilabel":
            return self._indicator(read_labels(cell, self.separator, self.missing, written=True))
        return self._place(cell) if as_label(cell) else IGNORED

    def _indicator(self, labels: Sequence[str] | None) -> np.ndarray:
        if labels is None:
            return np.full(len(self.classes), np.nan, dtype=np.float32)
        row = np.zeros(len(self.classes), dtype=np.float32)
        for label in labels:
            row[self._place(label)] = 1
        return row

    def _place(self, cell: Any) -> int:
        place = self.vocabulary.place(cell)
        if place is None:
            known = ", ".join(self.classes[:10]) + (", …" if len(self.classes) > 10 else "")
            cure = "Leave such rows out, or train with rows of that class"
            expected = f"one that training saw ({known})"
            raise MediaError(found=f"the class '{as_label(cell)}'", expected=expected, cure=cure)
        return place

    def answers(self, cells: Sequence[Any]) -> Sequence[Any] | pd.Series:
        """What a head answers, by the names of its classes, in the type of the labels.

        Args:
            cells: A class's name a row, a list of names, or whatever else a head of its own answers, which
                stays as it is.
        """
        if self.task == "multilabel" and all(isinstance(cell, list) for cell in cells):
            return [[self.value_of.get(name, name) for name in cell] for cell in cells]
        if self.task != "classification" or not all(cell in self.value_of for cell in cells):
            return cells
        return as_series([self.value_of[cell] for cell in cells], self.kind)

    def truth(self, values: pa.ChunkedArray) -> pd.Series:
        """The cells of the target's column in the type that answers have; empty where they are.

        Raises:
            MediaError: If a cell holds no number or no labels.
        """
        cells = values.to_pylist()
        if self.task == "regression":
            return pd.Series([read_number(cell, self.written) for cell in cells], dtype="float64")
        if self.task == "multilabel":
            rows = [read_labels(cell, self.separator, self.missing, written=True) for cell in cells]
            typed = [None if row is None else [self._value(label) for label in row] for row in rows]
            return pd.Series(typed, dtype="object")
        return as_series([self._value(cell) if as_label(cell) else None for cell in cells], self.kind)

    def _value(self, cell: Any) -> Any:
        return self.value_of[self.classes[self._place(cell)]]

    def arrow_type(self) -> pa.DataType | None:
        """Of an answer in a file, where its cells may not show it; None where they do."""
        if self.task == "regression" or (self.task == "classification" and self.kind == TEXT):
            return None
        kind = pa.string() if self.kind == TEXT else pa.array(list(self.value_of.values())).type
        return pa.list_(kind) if self.task == "multilabel" else kind

    def collate(self, values: Sequence[Any]) -> Tensor:
        """``(batch,)``, int64 for classes, float32 for numbers; ``(batch, classes)`` for several labels."""
        if self.task == "multilabel":
            return torch.from_numpy(np.stack(values))
        return torch.tensor(values, dtype=torch.float32 if self.task == "regression" else torch.long)
