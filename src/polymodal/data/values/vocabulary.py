"""The names of a column's values, and which of them a cell means."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np

from polymodal.data.values.spelling import as_label, as_written, is_number_spelling


class Vocabulary:
    """Names of values, by their spelling first and by what they mean second.

    Args:
        names: Each once. Two that mean the same, such as ``1`` and ``1.0``, are two values.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self._spelled = {name: place for place, name in enumerate(self.names)}
        self._meaning: dict[str, int] = {}
        for place, name in enumerate(self.names):
            self._meaning.setdefault(as_label(name), place)
        counts = Counter(map(as_label, self.names))
        self._apart = {label for label, count in counts.items() if count > 1}

    def __contains__(self, cell: Any) -> bool:
        return self.place(cell) is not None

    def place(self, cell: Any) -> int | None:
        """The place of the value in a cell, from 0; None where it is empty or not among the names."""
        written = as_written(cell)
        place = self._spelled.get(written)
        if place is None:
            place = self._meaning.get(as_label(written))
        if place is None and isinstance(cell, (float, Decimal, np.floating)):
            place = self._spelled.get(repr(float(cell)), self._numbers.get(float(cell)))
        return place

    def label(self, cell: Any) -> str:
        """What the cell is compared by: its label, or its spelling where the names keep spellings apart."""
        label = as_label(cell)
        place = self.place(cell) if self._apart and label in self._apart else None
        return label if place is None else self.names[place]

    @cached_property
    def _numbers(self) -> dict[float, int]:
        """Names that spell a number with zeros at the end, as a decimal of fixed places is written."""
        return {
            float(name): place
            for name, place in self._spelled.items()
            if name.endswith("0") and name.lstrip("+-").replace(".", "", 1).isdecimal()
        }


def value_names(spellings: Mapping[str, int], *, has_empty: bool = False) -> list[str]:
    """A name for each value that cells spell.

    A number that stands there in two spellings (``1`` and ``1.0``) is two values, each by its own name. Of
    other values the commonest spelling is the name. Where there are empty cells, ``1.0`` is named ``1``:
    pandas writes whole numbers so beside empty cells.

    Args:
        spellings: How often each clean text occurs; none is empty.
        has_empty: Whether the column has empty cells.
    """
    meanings: dict[str, list[str]] = defaultdict(list)
    for text in sorted(spellings, key=lambda text: (-spellings[text], text)):
        meanings[as_label(text)].append(text)
    several = any(_is_split(texts) for texts in meanings.values())
    names = []
    for label, texts in meanings.items():
        if _is_split(texts):
            names += texts
        else:
            bent = has_empty and not several and is_number_spelling(texts[0])
            names.append(label if bent else texts[0])
    return names


def _is_split(texts: list[str]) -> bool:
    return len(texts) > 1 and any(map(is_number_spelling, texts))
