"""Targets of any number of labels per cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from polymodal.data.readers.content import Content
from polymodal.data.targets.base import TARGETS, TargetReader
from polymodal.data.targets.classification import class_names
from polymodal.data.values.label_types import label_kind
from polymodal.data.values.labels import label_vocabulary, rarest_label, read_labels, readable_labels
from polymodal.data.values.missing import DEFAULT_MARKS, Marks
from polymodal.data.values.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from torch import Tensor

    from polymodal.config import TargetConfig
    from polymodal.data.tables.table import Table


@TARGETS.register("multilabel")
class LabelsTarget(TargetReader):
    """Any number of labels per cell: a list, or a text with a separator."""

    task = "multilabel"
    holds = Content.LABELS

    @classmethod
    def fit(cls, train: Table, name: str, config: TargetConfig) -> Self:
        """See :class:`TargetReader`; the labels are those of the training rows."""
        values = train.values(name)
        rows = readable_labels(values, config.separator, train.missing, written=True)
        ordered = class_names(label_vocabulary(rows).names)
        kind = label_kind(values, ordered, train.untyped)
        return cls(ordered, config.separator, missing=train.missing, kind=kind)

    @classmethod
    def known_answers(cls, values: pa.ChunkedArray, config: TargetConfig, missing: Marks) -> list[Any]:
        """See :class:`TargetReader`."""
        return readable_labels(values, config.separator, missing)

    @classmethod
    def labels(
        cls, values: pa.ChunkedArray, config: TargetConfig, missing: Marks = DEFAULT_MARKS
    ) -> list[list[str] | None]:
        """See :class:`TargetReader`."""
        return readable_labels(values, config.separator, missing)

    @classmethod
    def strata(cls, table: Table, name: str, config: TargetConfig) -> str | list[str] | None:
        """Each row's rarest label."""
        return rarest_label(readable_labels(table.values(name), config.separator, table.missing))

    def read(self, cell: Any) -> np.ndarray:
        """``(classes,)`` float32, 1 at each label; NaN where the cell is empty, zeros for an empty list.

        Raises:
            MediaError: If a label is one that training never saw, or the cell holds no labels.
        """
        labels = read_labels(cell, self.separator, self.missing, written=True)
        if labels is None:
            return np.full(len(self.classes), np.nan, dtype=np.float32)
        row = np.zeros(len(self.classes), dtype=np.float32)
        for label in labels:
            row[self.index(label)] = 1
        return row

    def collate(self, values: Sequence[Any]) -> Tensor:
        """``(batch, classes)`` float32."""
        import torch  # the checks and plain models read targets without it

        return torch.from_numpy(self.as_array(values))

    def as_array(self, values: Sequence[Any]) -> np.ndarray:
        """See :class:`TargetReader`; float32."""
        return np.stack(values)

    def values(self, cells: Sequence[Any]) -> list[Any]:
        """See :class:`TargetReader`."""
        return [
            [self.value_of.get(name, name) for name in cell] if isinstance(cell, list) else cell
            for cell in cells
        ]

    def answers(self, cells: Sequence[Any]) -> Sequence[Any] | pd.Series:
        """See :class:`TargetReader`."""
        if not all(isinstance(cell, list) for cell in cells):
            return cells
        return self.values(cells)

    def truth(self, values: pa.ChunkedArray) -> pd.Series:
        """See :class:`TargetReader`."""

        import pandas as pd

        cells = values.to_pylist()
        rows = [read_labels(cell, self.separator, self.missing, written=True) for cell in cells]
        typed = [None if row is None else [self.value(label) for label in row] for row in rows]
        return pd.Series(typed, dtype="object")

    def arrow_type(self) -> pa.DataType | None:
        """See :class:`TargetReader`."""

        import pyarrow as pa

        return pa.list_(self.label_type())

    @classmethod
    def comparable(
        cls, cells: list[Any], separator: str | None, names: Vocabulary, written: str | None, missing: Marks
    ) -> list[Any]:
        """See :class:`TargetReader`; a frozenset per row."""
        labels = [
            None if cell is None else read_labels(cell, separator, missing, written=True) for cell in cells
        ]
        return [None if row is None else frozenset(map(names.label, row)) for row in labels]

    @classmethod
    def classes_among(cls, cells: Sequence[Sequence[Any]]) -> list[str]:
        """See :class:`TargetReader`; no label at all, in any row, is an answer too."""
        return sorted({label for each in cells for cell in each for label in cell or ()}) or [""]
