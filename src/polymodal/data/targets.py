"""Target cells to what a loss takes, and back to what a user reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymodal.data.cells import MediaError
from polymodal.data.labels import read_labels
from polymodal.data.missing import DEFAULT_MARKS, Marks
from polymodal.data.number_formats import number_format
from polymodal.data.numbers import read_number
from polymodal.data.values import as_label
from polymodal.data.vocabulary import Vocabulary

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
    """

    task: str
    classes: list[str] = field(default_factory=list)
    separator: str | None = None
    written: str | None = None
    missing: Marks = DEFAULT_MARKS

    def __post_init__(self) -> None:
        self.vocabulary = Vocabulary(self.classes)
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

    def collate(self, values: Sequence[Any]) -> Tensor:
        """``(batch,)``, int64 for classes, float32 for numbers; ``(batch, classes)`` for several labels."""
        if self.task == "multilabel":
            return torch.from_numpy(np.stack(values))
        return torch.tensor(values, dtype=torch.float32 if self.task == "regression" else torch.long)
