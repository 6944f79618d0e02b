"""Keep a training row of every class: held-out rows return to training where it would lack a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from polymodal.data.media.cells import is_empty
from polymodal.data.values.column_values import as_label

Unit = np.ndarray
"""Rows that stay together: one row, or a group."""


def keep_each_class(
    train: list[Unit], held: dict[str, list[Unit]], classes: Sequence | None
) -> tuple[list[Unit], dict[str, list[Unit]]]:
    """Exchange units so that each class has a training row, if possible.

    A unit whose class is missing from training returns to it, in exchange for one of a class with other
    training rows. Without such a unit, it returns only if another unit of its class is held out as well, and
    its split keeps a unit.

    Args:
        train: Training units.
        held: Held-out units by split.
        classes: A class per row, or a set of labels; None for no classes.
    """
    if classes is None:
        return train, held
    counts = Counter(label for unit in train for label in _labels(unit, classes))
    others = Counter(label for units in held.values() for unit in units for label in _labels(unit, classes))
    if all(label in counts for label in others):
        return train, held
    spare = _spare(train, classes, counts)
    given, taken = [], set()
    for units in held.values():
        for index, unit in enumerate(units):
            labels = _labels(unit, classes)
            lacking = [label for label in labels if not counts[label]]
            if not lacking:
                continue
            instead = _next(spare, classes, counts, most=2 * len(unit))
            if instead is not None:
                taken.add(id(instead))
                counts.subtract(_labels(instead, classes))
                units[index] = instead
            elif len(units) > 1 and any(others[label] > 1 for label in lacking):
                units[index] = unit[:0]
            else:
                continue
            given.append(unit)
            counts.update(labels)
    left = {name: [unit for unit in units if len(unit)] for name, units in held.items()}
    return [*(unit for unit in train if id(unit) not in taken), *given], left


def groups_of_own_class(units: Sequence[Unit], classes: Sequence | None) -> list[Unit]:
    """The units with a class that no other unit has; none if they have half of the rows or more."""
    if classes is None:
        return []
    counts = Counter(label for unit in units for label in _labels(unit, classes))
    alone = [unit for unit in units if any(counts[label] == 1 for label in _labels(unit, classes))]
    return alone if 2 * sum(map(len, alone)) < sum(map(len, units)) else []


def _labels(unit: Unit, classes: Sequence) -> set:
    """The classes or labels in a unit; an empty cell is none."""
    cells = [classes[row] for row in unit.tolist()]
    if cells and isinstance(cells[0], set):
        return set().union(*cells)
    return {as_label(cell) for cell in cells if not is_empty(cell)}


def _spare(train: list[Unit], classes: Sequence, counts: Counter) -> Iterator[Unit]:
    """Units that may leave training, those of the most common classes first, each once."""
    rarest = [min((counts[label] for label in _labels(unit, classes)), default=0) for unit in train]
    return (train[index] for index in np.argsort([-count for count in rarest], kind="stable"))


def _next(spare: Iterator[Unit], classes: Sequence, counts: Counter, most: int) -> Unit | None:
    """The next unit of at most ``most`` rows whose classes have other training rows."""
    for unit in spare:
        labels = _labels(unit, classes)
        if labels and len(unit) <= most and all(counts[label] > 1 for label in labels):
            return unit
    return None
