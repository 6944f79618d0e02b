"""Few labels: which rows keep their answer where only a part of the labels is to be learned from."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np

from polymodal.errors import ConfigError

BINS = 10
"""Equal shares of the numbers, from each of which as many are chosen."""
NO_LABEL = None
"""Stands for the rows that are known to have none of several labels."""

LISTS = (list, tuple, set, frozenset, np.ndarray)


def choose_labelled(answers: Sequence[Any], labels: int | float, seed: int) -> np.ndarray:
    """The places of the answers that are kept, so chosen that every class has as many as its count allows.

    All known answers are put in one order that hangs on the seed alone, and the first of it are taken: of the
    same answers and seed, the smaller choice lies within the larger.

    - Classes take turns, each with its rows in random order: 100 of 10 classes are 10 of each.
    - Numbers take turns by their decile.
    - Where an answer is a list of labels, the next row is one of the label that has the fewest so far.

    Args:
        answers: Of the rows: names, numbers or lists of labels; None or NaN where there is none.
        labels: How many are kept; below 1, the share of those known.
        seed: Decides which.

    Returns:
        Ascending places; all that are known where fewer are known than asked for.

    Raises:
        ConfigError: If there are fewer than one a class.
    """
    known = [place for place, answer in enumerate(answers) if not _is_empty(answer)]
    values = [answers[place] for place in known]
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
            found = f"{count} labels are fewer than one for each of the {classes} classes"
            raise ConfigError(f"{found}. Give {classes} or more")
        order = _in_turns(groups, random)
    chosen = [known[next(order)] for _ in range(int(count))]
    return np.array(sorted(chosen), dtype=np.int64)


def _in_turns(groups: Sequence[Hashable], random: np.random.Generator) -> Iterator[int]:
    """Places of ``groups``, one of each group after another until none is left."""
    names = sorted(set(groups), key=str)
    places: dict[Hashable, list[int]] = {names[number]: [] for number in random.permutation(len(names))}
    for place in random.permutation(len(groups)):
        places[groups[place]].append(int(place))
    for turn in range(max(map(len, places.values()))):
        yield from (own[turn] for own in places.values() if turn < len(own))


def _by_rarest(values: Sequence[Any], random: np.random.Generator) -> Iterator[int]:
    """Places of ``values``, each time of the label that has come least often and has rows left."""
    rows = [list(dict.fromkeys(value)) or [NO_LABEL] for value in values]
    names = sorted({name for row in rows for name in row}, key=str)
    number = {name: place for place, name in enumerate(names)}
    waiting: list[list[int]] = [[] for _ in names]
    for place in random.permutation(len(rows)):
        for name in rows[place]:
            waiting[number[name]].append(int(place))
    came = random.permutation(len(names)) / len(names)  # the fraction decides between equals
    taken = np.zeros(len(rows), dtype=bool)
    while not taken.all():
        rarest = int(came.argmin())
        left = waiting[rarest]
        while left and taken[left[-1]]:
            left.pop()
        if not left:
            came[rarest] = math.inf
            continue
        place = left.pop()
        taken[place] = True
        for name in rows[place]:
            came[number[name]] += 1
        yield place


def _deciles(values: Sequence[float]) -> list[int]:
    numbers = np.asarray(values, dtype=np.float64)
    edges = np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1])
    return np.searchsorted(edges, numbers, side="right").tolist()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _is_empty(answer: Any) -> bool:
    return answer is None or (isinstance(answer, float | np.floating) and math.isnan(answer))
