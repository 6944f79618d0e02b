"""Inputs from which a target follows, or which follow from it: copies, orders, signs, coarser classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from polymodal.data.checks.association import (
    FEW_CHANGES,
    codes_of,
    dependence,
    explained,
    is_renaming,
    rank_correlation,
    separates,
    wrong_by_value,
)
from polymodal.data.checks.split_view import Parts
from polymodal.data.readers.base import is_media
from polymodal.data.readers.content import Content
from polymodal.errors import Problem

FEWEST_ROWS = 20  # on fewer rows two columns agree by chance
FEWEST_OTHERS = 10  # rows of another class than the commonest: with fewer any column agrees
ROWS_A_VALUE = 5  # with fewer, nearly unique values give any target
SURE = 0.995  # share of the rows whose class an input gives
OF_THE_OTHERS = 0.05  # and the most that may be wrong of those that the commonest class has wrong
SURE_RANK = 0.999
SURE_FUNCTION = 0.97  # of Chatterjee's coefficient: R² of 0.999 between two normal variables
SURE_EMPTY = 0.97
SURE_TEXT = 0.97
MORE_THAN_OTHERS = 0.6  # share of the texts that contain their own class and not another row's
FEW_CHANGES_OF_INDEX = 0.05
LOOKED_AT = 20_000  # rows of which the order is looked at
READ = 5_000  # texts in which the class is looked for
LISTED = 5  # inputs of one kind of finding that are named one by one
CURE = "If it is not known when predicting, leave it out of the inputs."


Look = Callable[["_Column", "_Column", str], str]
"""How a column follows from a target of this name, in words; an empty text if it does not."""


@dataclass
class _Column:
    """A column over the training rows.

    Attributes:
        filled: Which cells hold something ``(rows,)``.
        codes: Of their values ``(rows,)``, from 0; None for media.
        numbers: Their numbers ``(rows,)``; None where they are none.
        labels: Their labels ``(rows,)``; None for media and numbers.
    """

    filled: np.ndarray
    codes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    numbers: np.ndarray | None = None
    labels: np.ndarray | None = None

    def at(self, rows: np.ndarray) -> _Column:
        """The column at some rows, its codes numbered from 0 again."""
        codes = codes_of(self.codes[rows]) if len(self.codes) else self.codes
        numbers = None if self.numbers is None else self.numbers[rows]
        labels = None if self.labels is None else self.labels[rows]
        return _Column(self.filled[rows], codes, numbers, labels)

    @property
    def values(self) -> int:
        """Different values."""
        return int(self.codes.max()) + 1


def giveaways(parts: Parts, inputs: Sequence[str], target: str) -> list[Problem]:
    """A warning for each input that gives ``target``, or that is computed from it; of many alike one line."""
    answers = _column(parts, target)
    if answers.filled.sum() < FEWEST_ROWS:
        return []
    by_kind: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in inputs:
        if not parts.train.has(name):
            continue
        kind, what = _finding(_column(parts, name), answers, parts.holds(name) is Content.TEXT, target)
        if what:
            by_kind[kind].append((name, what))
    return [problem for kind in by_kind for problem in _named(parts, by_kind[kind])]


def _named(parts: Parts, found: Sequence[tuple[str, str]]) -> list[Problem]:
    if len(found) <= LISTED:
        return [parts.problem("train", None, name, what, cure=CURE) for name, what in found]
    others = ", ".join(f"'{name}'" for name, _ in found[1:LISTED])
    what = f"{found[0][1]}; so it is with {len(found) - 1} more inputs, such as {others}"
    return [parts.problem("train", None, found[0][0], what, cure=CURE)]


def _column(parts: Parts, name: str) -> _Column:
    role = parts.roles.get(name)
    filled = ~parts.empty("train", name)
    if is_media(role):
        return _Column(filled)
    if parts.holds(name) is Content.NUMBER:
        numbers = parts.numbers("train", name)[0]
        return _Column(filled & np.isfinite(numbers), codes_of(numbers), numbers)
    labels = parts.labels("train", name)
    return _Column(filled, codes_of(labels), None, labels)


def _finding(column: _Column, answers: _Column, is_text: bool, target: str) -> tuple[str, str]:
    """The kind of relation between an input and the target, and its description; empty texts for none."""
    both = np.flatnonzero(column.filled & answers.filled)
    looks: dict[str, Look] = {}
    if len(both) >= FEWEST_ROWS and len(column.codes):
        looks = _looks(column, answers, is_text)
    x, y = column.at(both), answers.at(both)
    for kind, look in looks.items():
        what = look(x, y, target)
        if what:
            return kind, what
    rows = np.flatnonzero(answers.filled)
    return "empty", _emptiness(column.at(rows), answers.at(rows), target)


def _looks(column: _Column, answers: _Column, is_text: bool) -> dict[str, Look]:
    """The relations to test, in order."""
    if answers.numbers is not None:
        if column.numbers is not None:
            return {"rank": _orders_alike, "function": _functions}
        return {"bins": _bins, "means": _means_give}
    looks: dict[str, Look] = {"values": _values_give, "renamed": _renames, "coarser": _follows_from_classes}
    if column.numbers is not None:
        return looks | {"order": _order_gives}
    looks = {"same": _says_the_same} | looks
    return looks | {"contains": _contains} if is_text else looks


def _is_sure(wrong: int, others: int, rows: int) -> bool:
    """Whether ``wrong`` of ``rows`` are few, also beside the ``others`` of all but the commonest class."""
    return others >= FEWEST_OTHERS and wrong <= (1 - SURE) * rows and wrong <= OF_THE_OTHERS * others


def _says_the_same(x: _Column, y: _Column, target: str) -> str:
    assert x.labels is not None and y.labels is not None
    rows, same = len(y.codes), int(np.equal(x.labels, y.labels).sum())
    if not _is_sure(rows - same, _others(y.codes), rows):
        return ""
    return f"it says the same as the target '{target}' in {same / rows:.1%} of {rows} rows"


def _renames(x: _Column, y: _Column, target: str) -> str:
    if not is_renaming(x.codes, y.codes):
        return ""
    return (
        f"it renames the target '{target}': {x.values} values for {y.values} classes in {len(y.codes)} rows"
    )


def _values_give(x: _Column, y: _Column, target: str) -> str:
    rows = len(x.codes)
    if rows < ROWS_A_VALUE * x.values:
        return ""
    wrong, others = wrong_by_value(x.codes, y.codes)
    if not _is_sure(wrong, others, rows):
        return ""
    return f"its {x.values} values alone give the target '{target}' in {1 - wrong / rows:.1%} of {rows} rows"


def _follows_from_classes(x: _Column, y: _Column, target: str) -> str:
    rows = len(x.codes)
    if rows < ROWS_A_VALUE * y.values or x.values < 2:
        return ""
    wrong, others = wrong_by_value(y.codes, x.codes)
    if not _is_sure(wrong, others, rows):
        return ""
    reason = f"it follows from the target '{target}': one value for each of {y.values} classes"
    return f"{reason} in {1 - wrong / rows:.1%} of {rows} rows"


def _order_gives(x: _Column, y: _Column, target: str) -> str:
    chosen = _sample(len(x.filled), LOOKED_AT)
    x, y = x.at(chosen), y.at(chosen)
    assert x.numbers is not None
    # Whole numbers that are all different count something, such as rows, and measure nothing.
    counts = x.values == len(x.codes) and bool((x.numbers % 1 == 0).all())
    changes = separates(x.numbers, y.codes, most=FEW_CHANGES_OF_INDEX if counts else FEW_CHANGES)
    if changes is None or _others(y.codes) < min(FEWEST_OTHERS, len(y.codes) // 4):
        return ""
    reason = f"its order gives the target '{target}': sorted by it, the class changes {_times(changes)}"
    return f"{reason} in {len(y.codes)} rows" + (", as row numbers of a sorted table do" if counts else "")


def _contains(x: _Column, y: _Column, target: str) -> str:
    """Whether each text contains its class, and hardly any another."""
    assert x.labels is not None and y.labels is not None
    chosen = _sample(len(x.labels), READ)
    texts = [str(text).casefold() for text in x.labels[chosen]]
    classes = np.array([str(label).casefold() for label in y.labels[chosen]], dtype=object)
    own = np.array([label in text for label, text in zip(classes, texts, strict=True)])
    other = np.random.default_rng(0).permutation(classes)
    differ = other != classes
    if own.mean() < SURE_TEXT or differ.sum() < FEWEST_OTHERS:
        return ""
    strange = np.array([label in text for label, text in zip(other, texts, strict=True)])[differ]
    if own.mean() - strange.mean() < MORE_THAN_OTHERS:
        return ""
    return f"its text contains the class of the target '{target}' in {own.mean():.1%} of {len(texts)} rows"


def _orders_alike(x: _Column, y: _Column, target: str) -> str:
    assert x.numbers is not None and y.numbers is not None
    correlation = rank_correlation(x.numbers, y.numbers)
    if abs(correlation) < SURE_RANK:
        return ""
    return f"it orders the rows as the target '{target}' does (rank correlation {correlation:.4f})"


def _functions(x: _Column, y: _Column, target: str) -> str:
    """Whether one is a function of the other, which need not be monotone: a sign, a square, a rounding."""
    chosen = _sample(len(x.filled), LOOKED_AT)
    assert x.numbers is not None and y.numbers is not None
    numbers, wanted = x.numbers[chosen], y.numbers[chosen]
    if min(_others(numbers), _others(wanted)) < FEWEST_OTHERS:
        return ""
    given, made = dependence(numbers, wanted), dependence(wanted, numbers)
    sure = min(max(given, made), 1.0)
    if sure < SURE_FUNCTION:
        return ""
    what = (
        f"the target '{target}' follows from it"
        if given >= made
        else f"it follows from the target '{target}'"
    )
    return f"{what} (Chatterjee's coefficient {sure:.3f} in {len(wanted)} rows)"


def _bins(x: _Column, y: _Column, target: str) -> str:
    """Whether classes are stretches of the numbers to learn: their sign, their size in words."""
    chosen = _sample(len(x.filled), LOOKED_AT)
    x, y = x.at(chosen), y.at(chosen)
    assert y.numbers is not None
    if x.values < 2 or len(x.codes) < ROWS_A_VALUE * x.values or _others(x.codes) < FEWEST_OTHERS:
        return ""
    changes = separates(y.numbers, x.codes)
    if changes is None:
        return ""
    reason = f"it follows from the target '{target}': sorted by that, its values change {_times(changes)}"
    return f"{reason} in {len(x.codes)} rows"


def _means_give(x: _Column, y: _Column, target: str) -> str:
    assert y.numbers is not None
    if x.values < 2 or len(x.codes) < ROWS_A_VALUE * x.values or _others(y.numbers) < FEWEST_OTHERS:
        return ""
    share = explained(x.codes, y.numbers)
    return (
        f"its {x.values} values alone give the target '{target}' (R² {share:.4f})"
        if share >= SURE_RANK
        else ""
    )


def _emptiness(x: _Column, y: _Column, target: str) -> str:
    """Whether empty cells follow from the target, in words; an empty text if they do not."""
    is_there, rows = x.filled.astype(np.int64), len(x.filled)
    if min(is_there.sum(), rows - is_there.sum()) < FEWEST_OTHERS:
        return ""
    if y.numbers is not None:
        changes = separates(y.numbers, is_there)
        return "" if changes is None else f"whether it is empty follows from the target '{target}'"
    if rows < ROWS_A_VALUE * y.values:
        return ""
    wrong, others = wrong_by_value(y.codes, is_there)
    if wrong > (1 - SURE_EMPTY) * rows or wrong > 2 * OF_THE_OTHERS * others:
        return ""
    share = f"({1 - wrong / rows:.1%} of {rows} rows)"
    return f"whether it is empty tells classes of the target '{target}' apart {share}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _others(values: np.ndarray) -> int:
    """Rows that do not have the commonest value."""
    return len(values) - int(np.unique(values, return_counts=True)[1].max())


def _sample(rows: int, most: int) -> np.ndarray:
    """At most ``most`` of ``rows``, in their order."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
