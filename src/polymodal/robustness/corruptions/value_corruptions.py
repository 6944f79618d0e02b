"""Corruptions of numbers, dates, features and categories."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from polymodal.data.media.path_access import Root
from polymodal.data.media.sequence import load_sequence
from polymodal.data.readers import (
    CategoriesReader,
    CategoryReader,
    DateReader,
    NumberReader,
    SequenceReader,
)
from polymodal.data.values.column_values import as_label
from polymodal.data.values.dates import DAY, as_moment
from polymodal.data.values.numbers import read_number
from polymodal.robustness.corruptions.base import CORRUPTIONS, CellCorruptions, Corruption

DEVIATIONS = (0.1, 0.25, 0.5, 1.0, 2.0)
SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)


def jitter(number: float, strength: float, random: np.random.Generator, *, deviation: float) -> float:
    """Gaussian noise of ``strength`` times the column's ``deviation`` in training."""
    return float(number + random.normal(0.0, strength * deviation))


def feature_noise(
    steps: np.ndarray, strength: float, random: np.random.Generator, *, deviation: np.ndarray
) -> np.ndarray:
    """The same on ``steps`` ``(time, features)``, by each feature's ``deviation`` ``(features,)``."""
    return (steps + random.normal(0.0, strength, steps.shape) * deviation).astype(steps.dtype)


def exchange(label: str, share: float, random: np.random.Generator, *, labels: Sequence[str]) -> str:
    """With chance ``share`` another one of ``labels``, each as likely."""
    others = [other for other in labels if other != label]
    exchanged = random.random() < share and others
    return others[int(random.integers(len(others)))] if exchanged else label


def jitter_days(seconds: float, days: float, random: np.random.Generator) -> float:
    """Gaussian noise with a standard deviation of ``days`` on a moment in ``seconds`` since 1970."""
    return float(seconds + random.normal(0.0, days * DAY))


def exchange_some(
    found: Sequence[str], share: float, random: np.random.Generator, *, labels: Sequence[str]
) -> list[str]:
    """Each label of a set with chance ``share`` exchanged for one that is not in it, each as likely."""
    others, kept = [label for label in labels if label not in found], []
    for label in found:
        exchanged = random.random() < share and others
        kept.append(others.pop(int(random.integers(len(others)))) if exchanged else label)
    return kept


def numbers(deviation: float) -> tuple[Corruption, ...]:
    """The corruptions of a column of numbers."""
    return (Corruption("jitter", "deviations", DEVIATIONS, partial(jitter, deviation=deviation)),)


def sequences(deviation: np.ndarray) -> tuple[Corruption, ...]:
    """The corruptions of sequences of features."""
    return (
        Corruption(
            "noise", "deviations of each feature", DEVIATIONS, partial(feature_noise, deviation=deviation)
        ),
    )


def categories(labels: Sequence[str]) -> tuple[Corruption, ...]:
    """The corruptions of a column of categories."""
    return (Corruption("exchange", "share exchanged", SHARES, partial(exchange, labels=labels)),)


@CORRUPTIONS.register(NumberReader.modality)
class NumberCorruptions(CellCorruptions[NumberReader]):
    """Numbers."""

    def corruptions(self) -> tuple[Corruption, ...]:
        """See :class:`CellCorruptions`."""
        return numbers(self.reader.deviation)

    def decode(self, cell: Any, root: Root) -> float:
        """See :class:`CellCorruptions`."""
        return read_number(cell, self.reader.written)


@CORRUPTIONS.register(SequenceReader.modality)
class SequenceCorruptions(CellCorruptions[SequenceReader]):
    """Sequences of features ``(time, features)``, cut to the reader's length."""

    def corruptions(self) -> tuple[Corruption, ...]:
        """See :class:`CellCorruptions`."""
        return sequences(self.reader.deviation)

    def decode(self, cell: Any, root: Root) -> np.ndarray:
        """See :class:`CellCorruptions`."""
        return load_sequence(cell, root)[: self.reader.length]


@CORRUPTIONS.register(CategoryReader.modality)
class CategoryCorruptions(CellCorruptions[CategoryReader]):
    """Categories by their names."""

    def corruptions(self) -> tuple[Corruption, ...]:
        """See :class:`CellCorruptions`."""
        return categories(self.reader.categories)

    def decode(self, cell: Any, root: Root) -> str:
        """See :class:`CellCorruptions`."""
        return as_label(cell)


@CORRUPTIONS.register(DateReader.modality)
class DateCorruptions(CellCorruptions[DateReader]):
    """Dates as seconds since 1970."""

    def corruptions(self) -> tuple[Corruption, ...]:
        """See :class:`CellCorruptions`; in days, by the deviation of the training dates."""
        days = tuple(float(f"{share * self.reader.deviation[0]:.3g}") for share in DEVIATIONS)
        return (Corruption("jitter", "days, standard deviation", days, jitter_days),)

    def decode(self, cell: Any, root: Root) -> float:
        """See :class:`CellCorruptions`."""
        return self.reader.read(cell, root)

    def as_cell(self, value: float) -> datetime.datetime:
        """See :class:`CellCorruptions`."""
        return as_moment(value)


@CORRUPTIONS.register(CategoriesReader.modality)
class CategoriesCorruptions(CellCorruptions[CategoriesReader]):
    """Sets of categories by their names."""

    def corruptions(self) -> tuple[Corruption, ...]:
        """See :class:`CellCorruptions`."""
        exchanged = partial(exchange_some, labels=self.reader.categories)
        return (Corruption("exchange", "share of labels exchanged", SHARES, exchanged),)

    def decode(self, cell: Any, root: Root) -> list[str]:
        """See :class:`CellCorruptions`."""
        return self.reader.labels(cell)
