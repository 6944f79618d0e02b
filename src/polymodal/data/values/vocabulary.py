"""The vocabulary of a column: the names of its values, and the index of a cell's value."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np

from polymodal.data.values.spelling import as_label, as_written, is_number_spelling


class Vocabulary:
    """The names of a column's values; a cell is looked up by its spelling first, then by its value.

    Args:
        names: Distinct names. Two of equal value, such as ``1`` and ``1.0``, are two values.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self._spelled = {name: index for index, name in enumerate(self.names)}
        self._meaning: dict[str, int] = {}
        for index, name in enumerate(self.names):
            self._meaning.setdefault(as_label(name), index)
        counts = Counter(map(as_label, self.names))
        self._apart = {label for label, count in counts.items() if count > 1}

    def __contains__(self, cell: Any) -> bool:
        return self.index(cell) is not None

    def index(self, cell: Any) -> int | None:
        """The index of a cell's value, from 0; None where it is empty or not among the names."""
        written = as_written(cell)
        index = self._spelled.get(written)
        if index is None:
            index = self._meaning.get(as_label(written))
        if index is None and isinstance(cell, (float, Decimal, np.floating)):
            index = self._spelled.get(repr(float(cell)), self._numbers.get(float(cell)))
        return index

    def label(self, cell: Any) -> str:
        """The key of a cell: its label, or its spelling where the names distinguish spellings."""
        label = as_label(cell)
        index = self.index(cell) if self._apart and label in self._apart else None
        return label if index is None else self.names[index]

    @cached_property
    def _numbers(self) -> dict[float, int]:
        """Names that are numbers with trailing zeros, as decimals of fixed precision."""
        return {
            float(name): index
            for name, index in self._spelled.items()
            if name.endswith("0") and name.lstrip("+-").replace(".", "", 1).isdecimal()
        }


def value_names(spellings: Mapping[str, int], *, has_empty: bool = False) -> list[str]:
    """One name per value of the cells.

    A number in two spellings (``1`` and ``1.0``) is two values, each with its own name. The name of other
    values is their most common spelling. Where there are empty cells, ``1.0`` is named ``1``, for pandas
    writes whole numbers this way beside empty cells.

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
