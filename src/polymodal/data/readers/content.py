"""What a modality holds, and the findings of its reader: for checks, schema and reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Content(Enum):
    """The type of content in the cells of a modality, for checks and reports."""

    MEDIA = auto()
    """Files, bytes or arrays that are opened and decoded; two cells are equal if their bytes are."""
    TEXT = auto()
    """Words."""
    NUMBER = auto()
    """One number."""
    CATEGORY = auto()
    """One of a few names that repeat."""
    LABELS = auto()
    """Any number of such names."""
    VALUE = auto()
    """Any other value of a table, such as a date; two cells are equal if they are written alike."""

    @property
    def is_tabular(self) -> bool:
        """Whether a cell is a value of a table rather than a medium or words."""
        return self not in (Content.MEDIA, Content.TEXT)


@dataclass(frozen=True)
class Claim:
    """A reader's claim that it reads a column.

    Attributes:
        confidence: From 0 to 1; of several claims the surest counts.
        reason: The figures behind it, for the check.
    """

    confidence: float
    reason: str


@dataclass(frozen=True)
class SizeFinding:
    """A problem that the sizes of a column's items show.

    Attributes:
        found: What is wrong.
        expected: What was expected instead.
        cure: How to fix it.
        is_refused: Whether a fit must not start.
        covers: Errors of single cells with these words are not listed beside it.
    """

    found: str
    expected: str = ""
    cure: str = ""
    is_refused: bool = False
    covers: str = ""


@dataclass(frozen=True)
class KeptLength:
    """The longest item that is read whole.

    Attributes:
        value: Its length.
        unit: Of the length.
        tolerance: How much longer an item may be by rounding.
        is_fixed: Whether the encoder itself reads no more.
    """

    value: float
    unit: str
    tolerance: float = 0.0
    is_fixed: bool = False
