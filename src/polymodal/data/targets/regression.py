"""Targets of one number per cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from polymodal.data.media.cells import MediaError
from polymodal.data.readers.content import Content
from polymodal.data.targets.base import LARGEST, TARGETS, Refusal, TargetReader
from polymodal.data.values.column_values import parse_numbers
from polymodal.data.values.missing import Marks
from polymodal.data.values.numbers import read_number
from polymodal.data.values.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from torch import Tensor

    from polymodal.config import TargetConfig
    from polymodal.data.tables.table import Table


@TARGETS.register("regression")
class NumberTarget(TargetReader):
    """One number per cell."""

    task = "regression"
    holds = Content.NUMBER

    @classmethod
    def fit(cls, train: Table, name: str, config: TargetConfig) -> Self:
        """See :class:`TargetReader`; nothing is learned."""
        return cls(written=config.format)

    @classmethod
    def known_answers(cls, values: pa.ChunkedArray, config: TargetConfig, missing: Marks) -> list[Any]:
        """See :class:`TargetReader`."""
        return parse_numbers(values, config.format)[0].tolist()

    @classmethod
    def refuse(cls, numbers: np.ndarray) -> list[Refusal]:
        """See :class:`TargetReader`; the square of a larger number overflows in the loss."""
        return [Refusal(np.abs(numbers) > LARGEST, f"a number up to {LARGEST:g}", "Scale the column.")]

    def read(self, cell: Any) -> float:
        """The number, NaN where the cell is empty.

        Raises:
            MediaError: If it is no number, or larger than :data:`LARGEST`.
        """
        number = read_number(cell, self.written)
        if abs(number) > LARGEST:
            expected = f"a number up to {LARGEST:g}"
            raise MediaError(found=f"'{cell}'", expected=expected, cure="Scale the column")
        return number

    def collate(self, values: Sequence[Any]) -> Tensor:
        """``(batch,)`` float32."""
        import torch  # the checks and plain models read targets without it

        return torch.from_numpy(self.as_array(values))

    def as_array(self, values: Sequence[Any]) -> np.ndarray:
        """See :class:`TargetReader`; float32."""
        return np.array(values, dtype=np.float32)

    def truth(self, values: pa.ChunkedArray) -> pd.Series:
        """See :class:`TargetReader`."""

        import pandas as pd

        cells = values.to_pylist()
        return pd.Series([read_number(cell, self.written) for cell in cells], dtype="float64")

    @classmethod
    def comparable(
        cls, cells: list[Any], separator: str | None, names: Vocabulary, written: str | None, missing: Marks
    ) -> list[Any]:
        """See :class:`TargetReader`."""
        numbers = [read_number(cell, written) for cell in cells]
        return [None if np.isnan(number) else number for number in numbers]

    def as_target(self, cells: Sequence[Any]) -> Tensor:
        """``(rows,)`` float64."""
        import torch

        return torch.tensor(cells, dtype=torch.float64)
