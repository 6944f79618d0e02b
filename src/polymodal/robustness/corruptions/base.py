"""What a corruption is: a name, five strengths in a real unit, and a function of what a cell holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVELS = 5
"""Levels above 0, which is the cell as it is."""
Apply = Callable[[Any, float, np.random.Generator], Any]
"""A decoded value and a strength → a value of the same kind; what it is given stays as it was."""


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
