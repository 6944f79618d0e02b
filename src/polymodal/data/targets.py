"""Target cells to what a loss takes, and back to what a user reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from polymodal.data.cells import MediaError
from polymodal.data.numbers import read_number
from polymodal.data.values import as_label

IGNORED = -100
"""The class of an empty cell; an empty number is NaN."""
LARGEST = 1e18
"""Its square, as a loss takes it, is still far from where float32 ends."""


@dataclass
class TargetReader:
    """One target's cells.

    Attributes:
        task: ``classification`` or ``regression``.
        classes: Names of the classes in the order of the logits.
    """

    task: str
    classes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place = {name: place for place, name in enumerate(self.classes)}

    def read(self, cell: Any) -> float | int:
        """The class's place or the number; -100 or NaN where the cell is empty.

        Raises:
            MediaError: If it is a class that training never saw, or no number.
        """
        if self.task == "regression":
            number = read_number(cell)
            if abs(number) > LARGEST:
                expected = f"a number up to {LARGEST:g}"
                raise MediaError(found=f"'{cell}'", expected=expected, cure="Scale the column")
            return number
        label = as_label(cell)
        if label and label not in self.place:
            known = ", ".join(self.classes[:10]) + (", …" if len(self.classes) > 10 else "")
            cure = "Leave such rows out, or train with rows of that class"
            expected = f"one that training saw ({known})"
            raise MediaError(found=f"the class '{label}'", expected=expected, cure=cure)
        return self.place.get(label, IGNORED)

    def collate(self, values: Sequence[float | int]) -> Tensor:
        """``(batch,)``, int64 for classes and float32 for numbers."""
        return torch.tensor(values, dtype=torch.float32 if self.task == "regression" else torch.long)
