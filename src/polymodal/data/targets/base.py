"""The base of target readers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from polymodal.data.media.cells import MediaError
from polymodal.data.readers.content import Content
from polymodal.data.values.column_values import as_label
from polymodal.data.values.label_types import TEXT, as_value
from polymodal.data.values.missing import DEFAULT_MARKS, Marks
from polymodal.data.values.number_formats import number_format
from polymodal.data.values.vocabulary import Vocabulary
from polymodal.utils.registry import Registry

if TYPE_CHECKING:  # schema and checks read targets without torch
    import pandas as pd
    import pyarrow as pa
    from torch import Tensor

    from polymodal.config import TargetConfig
    from polymodal.data.tables.table import Table

IGNORED = -100
"""The class of an empty cell; an empty number is NaN, as is every class of a row of unknown labels."""
LARGEST = 1e18
"""Largest absolute number: its square, as a loss takes it, is still far from where float32 ends."""


@dataclass(frozen=True)
class Refusal:
    """Numbers that a task cannot learn.

    Attributes:
        rows: ``(rows,)`` bool, true where the number is refused.
        expected: What the cell should hold.
        cure: What to do about it.
    """

    rows: np.ndarray
    expected: str
    cure: str


@dataclass
class TargetReader(ABC):
    """Reads the cells of one target column, and gives answers back in the type of its labels.

    Args:
        classes: Names of the classes in the order of the logits.
        separator: Text between the labels of a cell, for several labels per cell.
        written: For numbers, how the texts of the column write 1234.5, where not plainly.
        missing: Marks of a missing value among several labels.
        kind: The type of the training column's labels, which answers have as well; see
            :mod:`polymodal.data.values.label_types`. Runs of older versions answer in texts.

    Attributes:
        task: The name it is registered under, and saved by in the processor's file.
        holds: What a cell holds: ``CATEGORY`` (one class), ``LABELS`` or ``NUMBER``. Checks, splits and
            comparisons treat the column accordingly.
    """

    task: ClassVar[str]
    holds: ClassVar[Content]

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

    @classmethod
    @abstractmethod
    def fit(cls, train: Table, name: str, config: TargetConfig) -> Self:
        """The reader of column ``name``, with what it learns from the training rows."""

    @classmethod
    @abstractmethod
    def known_answers(cls, values: pa.ChunkedArray, config: TargetConfig, missing: Marks) -> list[Any]:
        """Per row the class, the number or the list of labels; None or NaN where the cell is empty."""

    @classmethod
    def labels(
        cls, values: pa.ChunkedArray, config: TargetConfig, missing: Marks = DEFAULT_MARKS
    ) -> list[list[str] | None]:
        """Per row the classes or labels in its cell, none for numbers; a cell that cannot be read is None."""
        return [None] * len(values)

    @classmethod
    def refuse(cls, numbers: np.ndarray) -> list[Refusal]:
        """Which of a column's numbers ``(rows,)``, NaN where empty, the task cannot learn, and why."""
        return []

    @classmethod
    def strata(cls, table: Table, name: str, config: TargetConfig) -> str | list[str] | None:
        """The values that splits stratify by: a column, a value per row, or None for no stratification."""
        return None

    @abstractmethod
    def read(self, cell: Any) -> Any:
        """The index of the class, the number, or for labels ``(classes,)`` float32, 1 at each label.

        An empty cell gives -100 or NaN, an empty list zeros.

        Raises:
            MediaError: If it is a class that training never saw, or no number.
        """

    @abstractmethod
    def collate(self, values: Sequence[Any]) -> Tensor:
        """A batch of what :meth:`read` gives: ``(batch,)``, or ``(batch, classes)`` for labels."""

    def as_array(self, values: Sequence[Any]) -> np.ndarray:
        """What :meth:`collate` gives, as an array; our own readers make it without torch."""
        return np.asarray(self.collate(values))

    def values(self, cells: Sequence[Any]) -> list[Any]:
        """What a head answers as a list of values of the labels' type; see :meth:`answers`."""
        return list(cells)

    def answers(self, cells: Sequence[Any]) -> Sequence[Any] | pd.Series:
        """What a head answers, by the names of its classes, in the type of the labels.

        Args:
            cells: Per row the name of a class, a list of names, or whatever else a head of another package
                answers, which is returned unchanged.
        """
        return cells

    @abstractmethod
    def truth(self, values: pa.ChunkedArray) -> pd.Series:
        """The cells of the target's column in the type that answers have; empty where they are.

        Raises:
            MediaError: If a cell holds no number or no labels.
        """

    def arrow_type(self) -> pa.DataType | None:
        """Of an answer in a file, where its cells may not show it; None where they do."""
        return None

    @classmethod
    @abstractmethod
    def comparable(
        cls, cells: list[Any], separator: str | None, names: Vocabulary, written: str | None, missing: Marks
    ) -> list[Any]:
        """Cells of a file as training reads them: equal where they mean the same; None where empty.

        Args:
            cells: Truths or answers, of whatever type the file gave them.
            separator: Text between labels.
            names: The classes; two spellings that it holds apart are not equal.
            written: How texts write numbers.
            missing: Marks of a missing value among labels.
        """

    @classmethod
    def classes_among(cls, cells: Sequence[Sequence[Any]]) -> list[str]:
        """Every class in any of the :meth:`comparable` ``cells``, sorted; none for numbers."""
        return []

    def as_target(self, cells: Sequence[Any]) -> Tensor:
        """:meth:`comparable` cells, none of them empty, as the target of a metric."""
        return self.collate([self.read(cell) for cell in cells])

    def index(self, cell: Any) -> int:
        """The index of a cell's class.

        Raises:
            MediaError: If training never saw it.
        """
        index = self.vocabulary.index(cell)
        if index is None:
            known = ", ".join(self.classes[:10]) + (", …" if len(self.classes) > 10 else "")
            fix = "Leave such rows out, or train with rows of that class"
            expected = f"one that training saw ({known})"
            raise MediaError(found=f"the class '{as_label(cell)}'", expected=expected, cure=fix)
        return index

    def value(self, cell: Any) -> Any:
        """A cell's class as a value of the type of the labels."""
        return self.value_of[self.classes[self.index(cell)]]

    def label_type(self) -> pa.DataType:
        """The Arrow type of one label."""

        import pyarrow as pa

        return pa.string() if self.kind == TEXT else pa.array(list(self.value_of.values())).type


TARGETS: Registry[type[TargetReader]] = Registry("target", group="polymodal.targets", base=TargetReader)


def target_content(task: str | None) -> Content | None:
    """The content type of a target; None where ``task`` names no target, as the name of a modality."""
    return TARGETS[task].holds if task is not None and task in TARGETS else None
