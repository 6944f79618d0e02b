"""Problems of rows: why none can be used, and in output tables a column of error messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from polymodal.data.row_dataset import RowDataset
from polymodal.data.tables.table import Table
from polymodal.errors import Problem, did_you_mean

ERROR = "error"


class Rows(Protocol):
    """Rows of a table, some of which could not be read."""

    @property
    def index(self) -> np.ndarray:
        """``(rows,)`` indices in the table."""

    @property
    def problems(self) -> dict[int, list[Problem]]:
        """By index in the table the problems of rows that could not be read."""


@dataclass(frozen=True)
class ReadRows:
    """Indices and problems of rows, as :class:`Rows` requires."""

    index: np.ndarray
    problems: dict[int, list[Problem]]


def no_inputs(table: Table, names: Sequence[str]) -> Problem:
    """That a table has none of the inputs ``names`` of a model."""
    reason = f"none of the model's inputs among the columns {', '.join(table.columns)}"
    return Problem(file=table.name, found=reason, expected=f"one or more of {', '.join(names)}")


def no_answers(table: Table, target: str) -> Problem:
    """That a table has no column of answers to a target."""
    reason = f"no column '{target}' to measure against"
    return Problem(file=table.name, found=reason, cure=did_you_mean(target, table.columns))


def nothing_measured(rows: RowDataset) -> Problem:
    """Why no row of a table counts in a measurement: no answers, or no weights."""
    unread = " or its row cannot be read" if rows.skip else ""
    reason, expected = f"every target cell is empty{unread}", "rows with answers"
    if rows.weights is not None and not rows.weights.any():
        reason, expected = f"all weights in column '{rows.weight}' are 0", "rows that count"
    return Problem(file=rows.table.name, found=reason, expected=expected)


def errors_of(batch: Rows) -> list[str | None]:
    """By row of a batch its problems as one text; None for a row that was read."""
    messages = {index: "; ".join(map(str, problems)) for index, problems in batch.problems.items()}
    return [messages.get(int(index)) for index in batch.index]


def blank_unread(frame: pd.DataFrame, batch: Rows) -> pd.DataFrame:
    """``frame`` with empty cells in the rows that could not be read, and the column ``error``.

    Columns get nullable types, in every batch alike.
    """
    others = frame.select_dtypes(exclude="floating")  # these have NaN
    frame = frame.assign(**others.convert_dtypes())
    frame.loc[np.isin(batch.index, list(batch.problems)), :] = None
    return frame.assign(**{ERROR: pd.array(errors_of(batch), dtype="string")})
