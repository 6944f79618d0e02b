"""Targets that are computed from two inputs or more, of which none gives them alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from polymodal.data.checks.association import codes_of, separates, wrong_by_value
from polymodal.data.checks.split_view import Parts
from polymodal.data.readers.content import Content
from polymodal.errors import Problem

FEWEST_ROWS = 40
ROWS_A_NUMBER = 5  # and an input: with fewer a sum of inputs fits anything
LOOKED_AT = 2_000  # rows
MOST_NUMBERS, MOST_PAIRED = 50, 12  # inputs that are looked at
MOST_VALUES = 50  # of an input that is taken for classes
ROWS_A_CELL = 5  # for each pair of values
SURE = 0.9999  # R²: what rounding leaves
COUNTS = 0.01  # of the target's spread: inputs that add less are no part of it
WHOLE_POWER = 0.02  # from which the power of a factor may differ
FILLED = 0.8  # of the rows of an input
FEW_CHANGES = 0.002
SURE_CLASSES = 0.995
OF_THE_OTHERS = 0.05
CURE = "If they are not known when predicting, leave one of them out of the inputs."


def combined_giveaways(parts: Parts, inputs: Sequence[str], target: str) -> list[Problem]:
    """A warning where ``target`` is computed from several ``inputs``: their sum, product, order or values."""
    kind = parts.holds(target)
    numbers = _numbers(parts, inputs)
    if kind is Content.NUMBER:
        names, what = _of_a_number(numbers, parts.numbers("train", target)[0])
    elif kind is Content.CATEGORY:
        filled = ~parts.empty("train", target)
        names, what = _of_classes(parts, inputs, numbers, parts.labels("train", target), filled)
    else:
        return []
    if not names:
        return []
    others = " and ".join(f"'{name}'" for name in names[1:6])
    reason = f"with {others} it gives the target '{target}': {what}"
    return [parts.problem("train", None, names[0], reason, cure=CURE)]


def _numbers(parts: Parts, inputs: Sequence[str]) -> dict[str, np.ndarray]:
    """The inputs that are numbers and mostly filled, ``(rows,)`` each."""
    held = [name for name in inputs if parts.holds(name) is Content.NUMBER and parts.train.has(name)]
    numbers = {name: parts.numbers("train", name)[0] for name in held}
    return {name: values for name, values in numbers.items() if np.isfinite(values).mean() >= FILLED}


def _of_a_number(numbers: dict[str, np.ndarray], wanted: np.ndarray) -> tuple[list[str], str]:
    """The inputs whose sum or product a number is, and how sure that is."""
    if len(numbers) < 2:
        return [], ""
    names, columns, wanted = _whole_rows(numbers, wanted)
    added, share = _added(columns, wanted)
    if len(added) > 1:
        reason = f"it is a sum of them, each times a number (R² {share:.4f} in {len(wanted)} rows)"
        return [names[index] for index in added], reason
    is_there = (columns != 0).all(axis=1) & (wanted != 0)
    if is_there.mean() < FILLED:
        return [], ""
    factors, share = _added(np.log(np.abs(columns[is_there])), np.log(np.abs(wanted[is_there])), whole=True)
    if len(factors) < 2:
        return [], ""
    reason = f"it is a product or ratio of them (R² {share:.4f} in {is_there.sum()} rows)"
    return [names[index] for index in factors], reason


def _whole_rows(
    numbers: dict[str, np.ndarray], wanted: np.ndarray
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The inputs nearest to ``wanted``, ``(rows, inputs)``, and it, at rows where all are known."""
    rows = np.flatnonzero(np.isfinite(wanted))[:LOOKED_AT]
    names = list(numbers)
    if len(names) > MOST_NUMBERS:
        filled = [np.nan_to_num(numbers[name][rows], nan=0.0) for name in names]
        near = [abs(np.corrcoef(column, wanted[rows])[0, 1]) if column.std() else 0.0 for column in filled]
        names = [names[index] for index in np.argsort(near)[::-1][:MOST_NUMBERS]]
    columns = np.stack([numbers[name][rows] for name in names], axis=1)
    whole = np.isfinite(columns).all(axis=1)
    return names, columns[whole], wanted[rows][whole]


def _added(columns: np.ndarray, wanted: np.ndarray, *, whole: bool = False) -> tuple[list[int], float]:
    """Which columns ``(rows, inputs)``, each times a number, add up to ``wanted``, and R²; none if not.

    Args:
        columns: The inputs.
        wanted: The target ``(rows,)``.
        whole: Whether the numbers they are multiplied by have to be whole, as powers are.
    """
    rows, inputs = columns.shape
    spread = float(wanted.std()) if rows else 0.0
    if rows < max(FEWEST_ROWS, ROWS_A_NUMBER * (inputs + 1)) or not spread:
        return [], 0.0
    weights, share = _fitted(columns, wanted)
    parts = np.flatnonzero(np.abs(weights) * columns.std(axis=0) > COUNTS * spread)
    if share < SURE or len(parts) < 2:
        return [], share
    weights, share = _fitted(columns[:, parts], wanted)
    is_whole = np.abs(weights - np.round(weights)).max() <= WHOLE_POWER
    return ([*map(int, parts)], share) if share >= SURE and (is_whole or not whole) else ([], share)


def _fitted(columns: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, float]:
    """Least-squares coefficients of the columns for ``wanted``, and the R² of the fit."""
    spread = np.where(columns.std(axis=0) > 0, columns.std(axis=0), 1.0)
    design = (columns - columns.mean(axis=0)) / spread
    centred = wanted - wanted.mean()
    weights = np.linalg.lstsq(design, centred, rcond=None)[0]
    left = float(((centred - design @ weights) ** 2).sum())
    return weights / spread, 1 - left / float((centred**2).sum())


def _of_classes(
    parts: Parts,
    inputs: Sequence[str],
    numbers: dict[str, np.ndarray],
    labels: np.ndarray,
    filled: np.ndarray,
) -> tuple[list[str], str]:
    """The two inputs that give the class, and how."""
    rows = np.flatnonzero(filled)[:LOOKED_AT]
    classes = codes_of(labels[rows])
    if len(rows) < FEWEST_ROWS or classes.max() < 1:
        return [], ""
    for names in combinations(list(numbers)[:MOST_PAIRED], 2):
        first, second = (numbers[name][rows] for name in names)
        for how, values in _pairings(first, second):
            known = np.isfinite(values)
            if known.mean() < FILLED or len(np.unique(classes[known])) < 2:
                continue
            if (changes := separates(values[known], codes_of(classes[known]), most=FEW_CHANGES)) is not None:
                times = "once" if changes == 1 else f"{changes} times"
                reason = f"sorted by their {how} the class changes {times} in {known.sum()} rows"
                return list(names), reason
    return _of_values(_codes(parts, inputs, numbers, rows), classes)


def _pairings(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    yield "difference", first - second
    yield "sum", first + second
    yield "product", first * second
    yield "ratio", np.divide(first, second, out=np.full(len(first), np.nan), where=second != 0)


def _codes(
    parts: Parts, inputs: Sequence[str], numbers: dict[str, np.ndarray], rows: np.ndarray
) -> dict[str, np.ndarray]:
    """The inputs of few values, as codes ``(rows,)``."""
    held = [name for name in inputs if parts.holds(name) is Content.CATEGORY and parts.train.has(name)]
    codes = {name: codes_of(values[rows]) + 1 for name, values in numbers.items()}
    codes |= {name: codes_of(parts.labels("train", name)[rows]) for name in held}
    few = {name: values for name, values in codes.items() if 1 <= values.max() < MOST_VALUES}
    return dict(list(few.items())[:MOST_PAIRED])


def _of_values(codes: dict[str, np.ndarray], classes: np.ndarray) -> tuple[list[str], str]:
    """The two inputs each pair of whose values has one class."""
    rows = len(classes)
    for names in combinations(codes, 2):
        first, second = (codes[name] for name in names)
        pairs = codes_of(first * (second.max() + 1) + second)
        if rows < ROWS_A_CELL * (pairs.max() + 1):
            continue
        wrong, others = wrong_by_value(pairs, classes)
        if wrong <= min((1 - SURE_CLASSES) * rows, OF_THE_OTHERS * others):
            return list(names), f"their values alone do so in {1 - wrong / rows:.1%} of {rows} rows"
    return [], ""
