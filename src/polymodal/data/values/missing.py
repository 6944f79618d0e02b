"""Marks of missing values: texts, and on request numbers, that mean an empty cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.values.column_values import (
    EMPTY_NUMBERS,
    as_labels,
    holds_objects,
    holds_texts,
    is_textual,
    parse_numbers,
)
from polymodal.data.values.spelling import as_label

if TYPE_CHECKING:
    import pyarrow as pa

TEXT_MARKS = ("nan", "NaN", "NAN", "<NA>", "#N/A")
"""Texts that programs write for a missing cell; such a cell is empty in any column."""
LONGEST = 100
"""Length of the longest mark, with the blanks around it."""


@dataclass(frozen=True)
class Marks:
    """Marks of missing values in every column; ``EMPTY_NUMBERS`` apply to numbers and dates as well.

    Attributes:
        given: The marks of a declaration, in place of ``TEXT_MARKS``; None where it names none.
    """

    given: tuple[str, ...] | None = None

    @classmethod
    def of(cls, given: Sequence[Any] | None) -> Marks:
        """The marks of a declaration or a saved run; numbers may be numbers or texts."""
        return cls(None if given is None else tuple(dict.fromkeys(str(mark).strip() for mark in given)))

    @classmethod
    def of_saved(cls, given: Any) -> Marks:
        """The marks that a saved run holds.

        Raises:
            ValueError: If it is neither null nor a list of texts.
        """
        if given is not None and not (isinstance(given, list) and all(type(mark) is str for mark in given)):
            raise ValueError("'missing' is neither null nor a list of texts")
        return cls.of(given)

    @cached_property
    def texts(self) -> frozenset[str]:
        """The marks as texts; a number also in the spelling of a float."""
        marks = [mark for mark in (TEXT_MARKS if self.given is None else self.given) if mark]
        return frozenset([*marks, *(f"{mark}.0" for mark in marks if mark.lstrip("-").isdigit())])

    @cached_property
    def labels(self) -> frozenset[str]:
        """The labels of the marks that a cell of another type may have; none by default."""
        return frozenset(map(as_label, self.given or ())) - {""}

    def stands_for_empty(self, cell: Any) -> bool:
        """Whether ``cell`` is one of the marks."""
        if isinstance(cell, str):
            return len(cell) <= LONGEST and cell.strip() in self.texts
        if not self.labels or isinstance(cell, (bytes, list, tuple, dict, np.ndarray)):
            return False
        return as_label(cell) in self.labels

    def cleared(self, cell: Any) -> Any:
        """``cell``, None where it is a mark; of a list of texts, without those that are."""
        if isinstance(cell, (list, tuple)) and any(isinstance(entry, str) for entry in cell):
            return [None if self.stands_for_empty(entry) else entry for entry in cell]
        return None if self.stands_for_empty(cell) else cell

    def cleared_row(self, row: dict[str, Any]) -> dict[str, object]:
        """A row in which every mark is None."""
        return {name: self.cleared(cell) for name, cell in row.items()}

    def cleared_column(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """A column in which every mark is null; the same where there is none."""

        import pyarrow as pa
        import pyarrow.compute as pc

        if holds_texts(values.type):
            return self._cleared_lists(values)
        marked = self.marked(values)
        if marked is None or not pc.any(marked).as_py():
            return values
        return pc.if_else(marked, pa.scalar(None, values.type), values)

    def marked(self, values: pa.ChunkedArray) -> Any:
        """Which cells are marks, as Arrow's booleans, never null; None where the type has no marks."""

        import pyarrow as pa
        import pyarrow.compute as pc

        kind = values.type
        if is_textual(kind):
            texts = pa.array(sorted(self.texts), kind)
            return pc.is_in(pc.utf8_trim_whitespace(values), value_set=texts)
        if not self.labels or holds_objects(kind) or pa.types.is_null(kind):
            return None
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            numbers = parse_numbers(pa.chunked_array([pa.array(sorted(self.labels), pa.string())]))[0]
            return pa.array(np.isin(parse_numbers(values)[0], numbers[~np.isnan(numbers)]))
        return pa.array(np.isin(as_labels(values).astype(str), sorted(self.labels)))

    def _cleared_lists(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        import pyarrow as pa
        import pyarrow.compute as pc

        entries = self.marked(pc.list_flatten(values))
        if entries is None or not pc.any(entries).as_py():
            return values
        return pa.chunked_array([pa.array([self.cleared(cell) for cell in values.to_pylist()], values.type)])


DEFAULT_MARKS = Marks()


def number_marks(texts: Iterable[str]) -> list[str]:
    """Those of the texts that mean an empty cell in a column of numbers or dates."""
    return [text for text in texts if text.strip() and text.strip().lower() in EMPTY_NUMBERS]
