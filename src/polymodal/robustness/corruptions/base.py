"""A corruption: a name, five strengths in a real unit, a function of decoded values; all by modality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from polymodal.data.media.path_access import Root
from polymodal.data.readers import Reader
from polymodal.utils.registry import Registry

LEVELS = 5
"""Levels above 0, which is the unchanged cell."""
Apply = Callable[[Any, float, np.random.Generator], Any]
"""A decoded value and a strength → a value of the same kind; the argument is not changed."""
R = TypeVar("R", bound=Reader)


@dataclass(frozen=True)
class Corruption:
    """One way in which a cell grows worse.

    Attributes:
        name: Of the curve.
        unit: Of the strengths, for an axis.
        strengths: Of the levels 1 to ``LEVELS``.
        apply: See :data:`Apply`.
    """

    name: str
    unit: str
    strengths: tuple[float, ...]
    apply: Apply

    def strength(self, level: int) -> float | None:
        """In its unit; None at level 0, where nothing is done."""
        return self.strengths[level - 1] if level else None

    def at(self, value: Any, level: int, random: np.random.Generator) -> Any:
        """``value`` at a level from 0 to ``LEVELS``."""
        return self.apply(value, self.strengths[level - 1], random) if level else value


def random_of(seed: int, row: int, level: int) -> np.random.Generator:
    """The draws of one row at one level, whichever other rows there are."""
    return np.random.default_rng((seed, row, level))


class CellCorruptions(Generic[R]):
    """The corruptions of the cells of one modality, and how these cells are decoded for them.

    This base is the default for a modality without an entry in :data:`CORRUPTIONS`: it has no corruptions,
    and the report states that noise is not supported for the modality.

    Args:
        reader: Of the input.
    """

    def __init__(self, reader: R) -> None:
        self.reader = reader

    def corruptions(self) -> tuple[Corruption, ...]:
        """Those of the modality."""
        return ()

    def decode(self, cell: Any, root: Root) -> Any:
        """The value that corruptions apply to, of one item that is not empty.

        Raises:
            MediaError: If it cannot be read.
        """
        return cell

    def as_cell(self, value: Any) -> Any:
        """A decoded value in a form that the reader's ``read`` accepts in the place of the cell."""
        return value


CORRUPTIONS: Registry[type[CellCorruptions[Any]]] = Registry(
    "corruption", group="polymodal.corruptions", base=CellCorruptions
)
"""By modality; another package adds its own under the entry points ``polymodal.corruptions``."""
