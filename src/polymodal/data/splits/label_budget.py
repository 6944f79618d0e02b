"""Label budget: the training rows that keep their label where only a part of the labels is used."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np

from polymodal.errors import ConfigError

BINS = 10
"""Quantile bins of numbers, from each of which equally many are chosen."""
NO_LABEL = None
"""The stratum of rows that are known to have no label."""

LISTS = (list, tuple, set, frozenset, np.ndarray)


def choose_labelled(answers: Sequence[Any], labels: int | float, seed: int) -> np.ndarray:
    """Choose the rows that keep their label, stratified by class.

    All labelled rows are ordered by the seed alone, and the first of them are chosen: with equal labels and
    seed, a smaller choice is a subset of a larger one.

    - Classes take turns, each with its rows in random order: 100 labels of 10 classes are 10 of each.
    - Numbers take turns by decile.
    - With lists of labels, the next row is one with the label that was chosen least so far.

    Args:
        answers: The targets of the rows: names, numbers or lists of labels; None or NaN where missing.
        labels: Number of labels that are kept; below 1, their share.
        seed: Seed of the choice.

    Returns:
        Ascending row indices; all labelled rows where there are fewer than ``labels``.

    Raises:
        ConfigError: If ``labels`` is smaller than the number of classes.
    """
    known = [index for index, answer in enumerate(answers) if not _is_empty(answer)]
    values = [answers[index] for index in known]
    count = labels if labels >= 1 else max(1, round(labels * len(known)))
    if count >= len(known):
        return np.array(known, dtype=np.int64)
    random = np.random.default_rng(seed)
    if isinstance(values[0], LISTS):
        order = _by_rarest(values, random)
    else:
        is_number = all(_is_number(value) for value in values)
        groups = _deciles(values) if is_number else values
        classes = len(set(groups))
        if count < classes and not is_number:
            reason = f"{count} labels are fewer than one for each of the {classes} classes"
            raise ConfigError(f"{reason}. Give {classes} or more")
        order = _in_turns(groups, random)
    chosen = [known[next(order)] for _ in range(int(count))]
    return np.array(sorted(chosen), dtype=np.int64)


def _in_turns(groups: Sequence[Hashable], random: np.random.Generator) -> Iterator[int]:
    """Indices into ``groups``, one of each group in turn until none is left."""
    names = sorted(set(groups), key=str)
    indices: dict[Hashable, list[int]] = {names[number]: [] for number in random.permutation(len(names))}
    for index in random.permutation(len(groups)):
        indices[groups[index]].append(int(index))
    for turn in range(max(map(len, indices.values()))):
        yield from (own[turn] for own in indices.values() if turn < len(own))


def _by_rarest(values: Sequence[Any], random: np.random.Generator) -> Iterator[int]:
    """Indices into ``values``, each with the label that was chosen least and has rows left."""
    rows = [list(dict.fromkeys(value)) or [NO_LABEL] for value in values]
    names = sorted({name for row in rows for name in row}, key=str)
    number = {name: index for index, name in enumerate(names)}
    waiting: list[list[int]] = [[] for _ in names]
    for index in random.permutation(len(rows)):
        for name in rows[index]:
            waiting[number[name]].append(int(index))
    came = random.permutation(len(names)) / len(names)  # the fraction breaks ties
    taken = np.zeros(len(rows), dtype=bool)
    while not taken.all():
        rarest = int(came.argmin())
        left = waiting[rarest]
        while left and taken[left[-1]]:
            left.pop()
        if not left:
            came[rarest] = math.inf
            continue
        index = left.pop()
        taken[index] = True
        for name in rows[index]:
            came[number[name]] += 1
        yield index


def _deciles(values: Sequence[float]) -> list[int]:
    numbers = np.asarray(values, dtype=np.float64)
    edges = np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.searchsorted(edges, numbers, side="right").tolist()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _is_empty(answer: Any) -> bool:
    return answer is None or (isinstance(answer, float | np.floating) and math.isnan(answer))
