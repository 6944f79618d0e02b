"""Features of values of a table: numbers, categories, sets of categories and dates."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from polymodal.data.readers import CategoriesReader, Reader
from polymodal.data.readers.date import CALENDAR, CLOCK, CYCLES, calendar_numbers
from polymodal.data.values.dates import DAY
from polymodal.plain.blocks import Columns, Kind
from polymodal.plain.features.base import FEATURIZERS, LIMIT, VALUE, Featurizer, Matrix, Piece, dense
from polymodal.plain.sparse import Sparse
from polymodal.utils.records import Settings

CODES = "codes"
"""The part of the features of numbers that has them as categories."""


@FEATURIZERS.register("number")
class NumberFeaturizer(Featurizer):
    """Numbers as they are, or less the training median where float32 would merge several of them.

    Whole numbers that repeat are categories beside, for they may be codes; which models read them as such is
    chosen by the answers, see :mod:`polymodal.plain.coded_numbers`.

    Args:
        offset: What is subtracted, in float64, before the numbers become float32.
        codes: The numbers that are categories, in order.
    """

    modality = "number"
    FEWEST_CODES, MOST_CODES = 3, 1000
    ROWS_A_CODE = 3

    def __init__(self, *, offset: float = 0.0, codes: Sequence[float] = ()) -> None:
        self.offset, self.codes = float(offset), [float(code) for code in codes]

    def learn(self, items: Sequence[float]) -> None:
        """See :class:`Featurizer`; moments in seconds and the like differ beyond the 7 digits of float32."""
        numbers = np.clip(np.nan_to_num(np.asarray(items, np.float64)), -LIMIT, LIMIT)
        median = float(np.median(numbers))
        self.offset = median if _distinct(numbers - median) > _distinct(numbers) else 0.0
        self.columns = {"": Columns((VALUE,), "number")}
        distinct = np.unique(numbers) if (numbers == np.round(numbers)).all() else numbers[:0]
        most = min(self.MOST_CODES, len(numbers) // self.ROWS_A_CODE)
        self.codes = distinct.tolist() if self.FEWEST_CODES <= len(distinct) <= most else []
        if self.codes:
            self.columns[CODES] = Columns((VALUE,), "category", len(self.codes))

    def features(self, items: Sequence[float]) -> Mapping[str, Matrix]:
        """See :class:`Featurizer`; NaN for a number that is no code."""
        numbers = np.asarray(items, np.float64)[:, None]
        result: dict[str, Matrix] = {"": dense(numbers - self.offset)}
        if CODES in self.columns:
            codes = np.array(self.codes)
            index = np.minimum(np.searchsorted(codes, numbers), len(codes) - 1)
            result[CODES] = np.where(codes[index] == numbers, index, np.nan).astype(np.float32)
        return result

    def forget_codes(self) -> None:
        """Be without the numbers that are categories: they are no longer computed, nor written."""
        self.columns.pop(CODES, None)
        self.codes = []

    def options(self) -> Settings:
        """See :class:`Featurizer`."""
        return {"offset": self.offset, "codes": list(self.codes)}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """See :class:`Featurizer`."""
        super().load_arrays(arrays)
        count = self.columns[CODES].categories if CODES in self.columns else 0
        if len(self.codes) != count or not (np.diff(self.codes) > 0).all():
            raise ValueError("a featurizer of numbers with other codes than its columns have")


def _distinct(numbers: np.ndarray) -> int:
    """How many distinct numbers are left in float32."""
    return len(np.unique(numbers.astype(np.float32)))


@FEATURIZERS.register("category")
class CategoryFeaturizer(Featurizer):
    """Categories to one column of codes, NaN for a category that no training row has."""

    modality = "category"

    def learn(self, items: Sequence[int]) -> None:
        """See :class:`Featurizer`; the reader counts categories from 1."""
        self.columns = {"": Columns((VALUE,), "category", max(items))}

    def features(self, items: Sequence[int]) -> Mapping[str, Matrix]:
        """See :class:`Featurizer`."""
        codes = np.asarray(items, np.int64)[:, None] - 1
        is_known = (codes >= 0) & (codes < self.columns[""].categories)
        return {"": np.where(is_known, codes, np.nan).astype(np.float32)}


@FEATURIZERS.register("categories")
class CategoriesFeaturizer(Featurizer):
    """Sets of categories to one column per label, and how many labels there are.

    Args:
        labels: Their names in the reader's order.
    """

    modality = "categories"
    MOST_DENSE = 64
    """Labels up to which the columns are dense, so that trees split on them directly."""

    def __init__(self, *, labels: Sequence[str] = ()) -> None:
        self.labels = list(labels)

    @classmethod
    def for_reader(cls, reader: Reader) -> Self:
        """See :class:`Featurizer`."""
        return cls(labels=reader.categories if isinstance(reader, CategoriesReader) else ())

    def learn(self, items: Sequence[np.ndarray]) -> None:
        """See :class:`Featurizer`."""
        most = max([len(self.labels), *(int(item.max(initial=0)) for item in items)])
        self.labels += [f"label {number}" for number in range(len(self.labels) + 1, most + 1)]
        kind: Kind = "number" if most <= self.MOST_DENSE else "sparse"
        self.columns = {
            "labels": Columns(tuple(self.labels), kind),
            "counts": Columns(("labels", "unknown labels"), "number"),
        }

    def features(self, items: Sequence[np.ndarray]) -> Mapping[str, Matrix]:
        """See :class:`Featurizer`."""
        length = np.array([len(item) for item in items])
        row, label = np.repeat(np.arange(len(items)), length), np.concatenate(items).astype(np.int64) - 1
        is_known = (label >= 0) & (label < len(self.labels))
        ones, shape = np.ones(is_known.sum(), np.float32), (len(items), len(self.labels))
        held = Sparse.of_cells(ones, row[is_known], label[is_known], shape)
        unknown = length - np.bincount(row[is_known], minlength=len(items))
        counts = np.column_stack([length, unknown]).astype(np.float32)
        return {"labels": held.toarray() if len(self.labels) <= self.MOST_DENSE else held, "counts": counts}

    def pieces(self, items: Sequence[np.ndarray], part: str, found: np.ndarray) -> list[Piece]:
        """See :class:`Featurizer`; a label that the row lacks is named differently from one that it has."""
        if part != "labels":
            return super().pieces(items, part, found)
        held = {int(label) - 1 for item in items for label in item}
        item = 1 if len(items) == 1 else None
        return [
            Piece("feature", name if column in held else f"no {name}", float(found[column]), item)
            for column, name in enumerate(self.columns[part].names)
            if found[column]
        ]

    def options(self) -> Settings:
        """See :class:`Featurizer`."""
        return {"labels": self.labels}


@FEATURIZERS.register("date")
class DateFeaturizer(Featurizer):
    """Dates to calendar numbers, the cyclic ones as sine and cosine too, and days since the earliest.

    By the day of the year trees separate a holiday in two splits. Models made before it was added lack it.

    Args:
        earliest: The first training date, in seconds since 1970.
        clock: Whether the time of day counts: a training date has one.
    """

    modality = "date"
    IN_YEAR = "day of the year"

    def __init__(self, *, earliest: float = 0.0, clock: bool = False) -> None:
        self.earliest, self.clock = earliest, clock

    @property
    def _numbers(self) -> tuple[str, ...]:
        return CALENDAR + CLOCK * self.clock

    def learn(self, items: Sequence[float]) -> None:
        """See :class:`Featurizer`."""
        seconds = np.asarray(items, np.float64)
        self.earliest, self.clock = float(seconds.min()), bool((seconds % DAY).any())
        cycles = [name for name in self._numbers if name in CYCLES]
        circle = [f"{function} of {name}" for name in cycles for function in ("sine", "cosine")]
        names = ("days since the earliest", *self._numbers[1:], *circle, self.IN_YEAR)
        self.columns = {"": Columns(names, "number")}

    def features(self, items: Sequence[float]) -> Mapping[str, Matrix]:
        """See :class:`Featurizer`."""
        seconds = np.asarray(items, np.float64)
        numbers = calendar_numbers(seconds, self.clock)
        turns = [
            2 * np.pi * numbers[:, index] / CYCLES[name]
            for index, name in enumerate(self._numbers)
            if name in CYCLES
        ]
        circle = [function(turn) for turn in turns for function in (np.sin, np.cos)]
        days = (seconds - self.earliest) / DAY
        in_year = [_days_of_year(seconds)] if self.IN_YEAR in self.columns[""].names else []
        return {"": dense(np.column_stack([days, numbers[:, 1:], *circle, *in_year]))}

    def options(self) -> Settings:
        """See :class:`Featurizer`."""
        return {"earliest": self.earliest, "clock": self.clock}


def _days_of_year(seconds: np.ndarray) -> np.ndarray:
    """``(dates,)`` the day of the year of each date, from 1."""
    days = np.floor(seconds / DAY).astype("datetime64[D]")
    return (days - days.astype("datetime64[Y]")).astype(np.float64) + 1
