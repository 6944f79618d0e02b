"""Targets of one class per cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from polymodal.data.readers.content import Content
from polymodal.data.targets.base import IGNORED, TARGETS, TargetReader
from polymodal.data.values.column_values import as_label, as_labels, vocabulary_of
from polymodal.data.values.label_types import TEXT, as_series, label_kind
from polymodal.data.values.missing import DEFAULT_MARKS, Marks
from polymodal.data.values.vocabulary import Vocabulary
from polymodal.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from torch import Tensor

    from polymodal.config import TargetConfig
    from polymodal.data.tables.table import Table


@TARGETS.register("classification")
class ClassTarget(TargetReader):
    """One class per cell."""

    task = "classification"
    holds = Content.CATEGORY

    @classmethod
    def fit(cls, train: Table, name: str, config: TargetConfig) -> Self:
        """See :class:`TargetReader`; the classes are those of the training rows."""
        values = train.values(name)
        ordered = _in_order(name, class_names(vocabulary_of(values).names), config)
        kind = label_kind(values, ordered, train.untyped)
        return cls(ordered, config.separator, missing=train.missing, kind=kind)

    @classmethod
    def known_answers(cls, values: pa.ChunkedArray, config: TargetConfig, missing: Marks) -> list[Any]:
        """See :class:`TargetReader`."""
        return [label or None for label in as_labels(values)]

    @classmethod
    def labels(
        cls, values: pa.ChunkedArray, config: TargetConfig, missing: Marks = DEFAULT_MARKS
    ) -> list[list[str] | None]:
        """See :class:`TargetReader`."""
        return [[label] if label else [] for label in as_labels(values)]

    @classmethod
    def strata(cls, table: Table, name: str, config: TargetConfig) -> str | list[str] | None:
        """The column: classes are stratified."""
        return name

    def read(self, cell: Any) -> int:
        """The index of the class, -100 where the cell is empty.

        Raises:
            MediaError: If it is a class that training never saw.
        """
        return self.index(cell) if as_label(cell) else IGNORED

    def collate(self, values: Sequence[Any]) -> Tensor:
        """``(batch,)`` int64."""
        import torch  # the checks and plain models read targets without it

        return torch.from_numpy(self.as_array(values))

    def as_array(self, values: Sequence[Any]) -> np.ndarray:
        """See :class:`TargetReader`; int64."""
        return np.array(values, dtype=np.int64)

    def values(self, cells: Sequence[Any]) -> list[Any]:
        """See :class:`TargetReader`."""
        return [self.value_of.get(cell, cell) for cell in cells]

    def answers(self, cells: Sequence[Any]) -> Sequence[Any] | pd.Series:
        """See :class:`TargetReader`."""
        if not all(cell in self.value_of for cell in cells):
            return cells
        return as_series(self.values(cells), self.kind)

    def truth(self, values: pa.ChunkedArray) -> pd.Series:
        """See :class:`TargetReader`."""
        cells = values.to_pylist()
        return as_series([self.value(cell) if as_label(cell) else None for cell in cells], self.kind)

    def arrow_type(self) -> pa.DataType | None:
        """See :class:`TargetReader`."""
        return None if self.kind == TEXT else self.label_type()

    @classmethod
    def comparable(
        cls, cells: list[Any], separator: str | None, names: Vocabulary, written: str | None, missing: Marks
    ) -> list[Any]:
        """See :class:`TargetReader`."""
        return [names.label(cell) or None for cell in cells]

    @classmethod
    def classes_among(cls, cells: Sequence[Sequence[Any]]) -> list[str]:
        """See :class:`TargetReader`."""
        return sorted({cell for each in cells for cell in each if cell is not None}) or [""]

    def as_target(self, cells: Sequence[Any]) -> Tensor:
        """``(rows,)`` int64, -100 where the class is none of :attr:`classes`."""
        indices = [self.vocabulary.index(cell) for cell in cells]
        return self.collate([IGNORED if index is None else index for index in indices])


def _in_order(name: str, names: list[str], config: TargetConfig) -> list[str]:
    """The classes in the order that the declaration gives, if it gives one.

    Raises:
        ConfigError: If it lacks a class, or the task needs an order and there is none.
    """
    if config.classes is not None:
        known = Vocabulary(config.classes)
        lacking = [label for label in names if known.index(label) is None]
        if lacking:
            listed = ", ".join(config.classes)
            raise ConfigError(
                f"'targets.{name}.classes' lacks the class '{lacking[0]}' of the column ({listed}). "
                "Add it in its place"
            )
        return list(config.classes)
    if config.ordered and any(_numbers_first(label)[0] for label in names):
        listed = ", ".join(names[:10])
        raise ConfigError(
            f"'targets.{name}' is {config.task}, and its classes are no numbers, which would have an order. "
            f"Name them from the lowest to the highest: targets.{name}.classes: [{listed}]"
        )
    return names


def class_names(labels: Iterable[str]) -> list[str]:
    """The classes that occur among ``labels``, each once: numbers by size, then words."""
    return sorted(set(labels), key=_numbers_first)


def _numbers_first(label: str) -> tuple[bool, float, str]:
    """Sorts ``2`` before ``10``, and numbers before words; ``nan``, which equals nothing, is a word."""
    try:
        number = float(label)
    except ValueError:
        return True, 0.0, label
    return (True, 0.0, label) if math.isnan(number) else (False, number, label)
