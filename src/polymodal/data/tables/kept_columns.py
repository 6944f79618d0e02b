"""Columns of a table that are copied beside the predictions of its rows, and the index of the rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from polymodal.data.tables.table import Table
from polymodal.errors import ConfigError, did_you_mean, one_line


class KeptColumns:
    """Columns and index that are copied from a table to its predictions, per batch.

    Args:
        table: The rows that are predicted.
        names: Columns to keep, in this order.

    Raises:
        ConfigError: If the table has no such column.
    """

    def __init__(self, table: Table, names: str | Sequence[str] = ()) -> None:
        self.names = list(dict.fromkeys([names] if isinstance(names, str) else names))
        for name in self.names:
            if name not in table.columns:
                fix = did_you_mean(name, table.columns)
                raise ConfigError(f"{table.name}: no column '{one_line(name, 80)}' to keep. {fix}")
        self.index = table.index
        self.values = {name: table.raw(name) for name in self.names}
        self.begun = 0

    @property
    def types(self) -> dict[str, pa.DataType]:
        """Arrow's type of each column."""
        return {name: values.type for name, values in self.values.items()}

    def beside(self, answers: pd.DataFrame, places: np.ndarray) -> pd.DataFrame:
        """The kept columns and ``answers`` in one frame, with the index of their rows.

        Args:
            answers: The predictions, one line per row.
            places: ``(rows,)`` the rows' indices in the table, from 0.

        Raises:
            ConfigError: If a kept column and one of the predictions have the same name.
        """
        self._check(answers)
        index = self.index
        rows = pd.RangeIndex(self.begun, self.begun + len(answers)) if index is None else index.take(places)
        self.begun += len(answers)
        result = {name: as_column(values, places) for name, values in self.values.items()}
        kept = pd.DataFrame(result, index=answers.index)
        return pd.concat([kept, answers], axis=1).set_axis(rows) if result else answers.set_axis(rows)

    def _check(self, answers: pd.DataFrame) -> None:
        for name in self.names:
            if name in answers:
                fix = "Rename it in the table, or do not keep it"
                raise ConfigError(f"cannot keep '{one_line(name, 80)}': the answers have this column. {fix}")


def as_column(values: pa.ChunkedArray, places: np.ndarray) -> pd.Series:
    """Select cells of a column; whole numbers and truth values keep their type beside empty cells."""
    cells = values.take(pa.array(places))
    nullable = {pa.bool_(): pd.BooleanDtype()} if values.null_count else {}
    if values.null_count and pa.types.is_integer(values.type):
        signed = pa.types.is_signed_integer(values.type)
        nullable[values.type] = pd.Int64Dtype() if signed else pd.UInt64Dtype()
    return cells.to_pandas(types_mapper=nullable.get)
