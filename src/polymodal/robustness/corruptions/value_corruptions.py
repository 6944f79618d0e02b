"""Corruptions of numbers, features and categories."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from polymodal.data.media.path_access import Root
from polymodal.data.media.sequence import load_sequence
from polymodal.data.readers import CategoryReader, NumberReader, SequenceReader
from polymodal.data.values.column_values import as_label
from polymodal.data.values.numbers import read_number
from polymodal.robustness.corruptions.base import CORRUPTIONS, CellCorruptions, Corruption

DEVIATIONS = (0.1, 0.25, 0.5, 1.0, 2.0)


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
    shares = (0.2, 0.4, 0.6, 0.8, 1.0)
    return (Corruption("exchange", "share exchanged", shares, partial(exchange, labels=labels)),)


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
