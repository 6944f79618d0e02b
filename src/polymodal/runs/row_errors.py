"""Rows that cannot be read, in output tables: empty cells and a column of error messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from polymodal.errors import Problem

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
