"""Leakage between splits: rows, media and groups that are in two splits."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from polymodal.data.checks.split_view import Parts
from polymodal.data.media.cells import describe
from polymodal.data.media.content_keys import Contents
from polymodal.data.readers.base import READERS, is_media
from polymodal.data.readers.content import Content
from polymodal.data.readers.items import each_item
from polymodal.errors import Problem

IDENTIFIES = 0.5  # share of different values in a column by which rows with empty cells are known again
COMMON = 0.01  # share of the training rows above which a picture is a mark, and no example
FEW = 3  # rows of which no content is common
BY_CHANCE = 2.0
"""Times as many rows are repeated as independent columns would repeat, up to which this is no finding."""
NEARLY_ALL = 0.95
"""Share of the rows that are repeated above which a split is a copy, unless chance explains that too."""
UNLIKELY = 4.0
"""Standard deviations above the number that chance explains."""
TOGETHER = "Leave them out, or split by a column that keeps them together (data.group)."


@dataclass
class Repeated:
    """Rows that are in an earlier split too.

    Attributes:
        warnings: One for each split that has such rows.
        rows: Which these are, by split ``(rows,)`` bool.
    """

    warnings: list[Problem] = field(default_factory=list)
    rows: dict[str, np.ndarray] = field(default_factory=dict)


def duplicates(parts: Parts, inputs: Sequence[str], contents: Contents) -> Repeated:
    """The rows whose inputs are those of a row of an earlier split.

    A row that has empty cells counts only if one of the others identifies rows: an equal age and an equal
    city do not make two rows equal of which nothing else is known. Nor is there a warning where so many rows
    are equal by chance, as in a table of a few columns of few values.
    """
    names = [column for column in inputs if all(table.has(column) for table in parts.tables.values())]
    repeated = Repeated(rows={split: np.zeros(len(table), bool) for split, table in parts.tables.items()})
    keys, counts, chance = _row_keys(parts, names, contents)
    before = 0
    first: dict[int, tuple[str, int]] = {}
    for split in parts.tables:
        listed = keys[split].tolist()
        known = np.array([key in first for key in listed], dtype=bool) & counts[split]
        repeated.rows[split] = known
        expected = len(known) * -np.expm1(-before * chance)
        before += len(known)
        if _is_more_than_chance(int(known.sum()), len(known), float(expected)):
            index = int(known.argmax())
            other, same = first[listed[index]]
            reason = (
                f"{known.sum()} of {len(known)} {split} rows have the same inputs as rows "
                f"of other splits, the first as {other} row {parts.number(other, same)}"
            )
            repeated.warnings.append(parts.problem(split, index, None, reason, cure=TOGETHER))
        for index in np.flatnonzero(counts[split]).tolist():
            first.setdefault(listed[index], (split, index))
    return repeated


def _is_more_than_chance(repeated: int, rows: int, expected: float) -> bool:
    """Whether more rows are repeated than independent columns would repeat.

    Where they would repeat half of the rows, twice as many cannot be: then a split that is nearly all
    repeated counts, by the standard deviation of a binomial number.
    """
    if repeated > BY_CHANCE * expected:
        return True
    deviation = math.sqrt(expected * (1 - expected / rows)) if rows else 0.0
    return rows > 0 and repeated >= NEARLY_ALL * rows and repeated > expected + UNLIKELY * deviation


def _row_keys(
    parts: Parts, names: Sequence[str], contents: Contents
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]:
    """By split, a hash of the inputs per row, and whether the row may count as a duplicate.

    Also the probability that two rows are equal, if the columns were independent; 0 with a column that
    identifies rows.
    """
    rows = [len(table) for table in parts.tables.values()]
    whole = np.zeros(sum(rows), dtype=np.uint64)
    filled, known = np.zeros(sum(rows), dtype=np.int64), np.zeros(sum(rows), dtype=bool)
    chance = 1.0
    for name in names:
        codes, distinct = _codes(parts, name, contents)
        there = codes >= 0
        whole = _mixed(whole ^ (codes + 1).astype(np.uint64))
        filled += there
        if distinct > IDENTIFIES * there.sum():
            known |= there
            chance = 0.0
        sizes = np.bincount(codes + 1).astype(float)
        chance *= float((sizes * (sizes - 1)).sum()) / max(len(codes) * (len(codes) - 1), 1)
    counts = (filled > 0) & ((filled == len(names)) | known)
    ends = np.cumsum(rows)[:-1]
    splits = list(parts.tables)
    return (
        dict(zip(splits, np.split(whole, ends), strict=True)),
        dict(zip(splits, np.split(counts, ends), strict=True)),
        chance,
    )


def _codes(parts: Parts, name: str, contents: Contents) -> tuple[np.ndarray, int]:
    """A number from 0 for each different value over all splits, -1 for none; and how many there are."""
    role = parts.roles.get(name)
    if parts.holds(name) is Content.NUMBER:
        numbers = np.concatenate([parts.numbers(split, name)[0] for split in parts.tables])
        codes, values = pd.factorize(numbers)
        return codes.astype(np.int64), len(values)
    if is_media(role):
        keys = [key for split in parts.tables for key in contents.keys(split, name)]
        labels = np.array([key or None for key in keys], dtype=object)
    else:
        labels = np.concatenate([parts.labels(split, name) for split in parts.tables]).astype(object)
        labels[labels == ""] = None
    codes, values = pd.factorize(labels)
    return codes.astype(np.int64), len(values)


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Spread over 64 bits, so that rows that differ hardly ever meet (SplitMix64, Steele et al. 2014)."""
    numbers = numbers + np.uint64(0x9E3779B97F4A7C15)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def equal_media(parts: Parts, name: str, contents: Contents, repeated: Repeated) -> list[Problem]:
    """A warning for each split with media whose content is in an earlier split under another name.

    Rows that are duplicates as a whole are named already, and contents of very many rows are marks.
    """
    word = READERS[parts.roles[name]].noun
    first: dict[bytes, tuple[str, int]] = {}
    named: dict[bytes, set[tuple[str, ...]]] = defaultdict(set)
    warnings = []
    keys = {split: contents.keys(split, name) for split in parts.having(name)}
    counts = pd.Series([key for key in keys.get("train", ()) if key], dtype=object).value_counts()
    common = set(counts[counts > max(FEW, COMMON * len(parts.train))].index)
    for split, own in keys.items():
        files = contents.files(split, name)
        done = repeated.rows.get(split, np.zeros(len(own), bool))
        again = [
            row
            for row, key in enumerate(own)
            if key in first and key not in common and not done[row] and files[row] not in named[key]
        ]
        if again:
            other, same = first[own[again[0]]]
            reason = (
                f"the {word} in {len(again)} of {len(own)} {split} rows is that of rows of other splits, "
            )
            reason += (
                f"under another name: the first{_named(parts, name, split, again[0])} is that of {other} "
            )
            reason += f"row {parts.number(other, same)}{_named(parts, name, other, same)}"
            warnings.append(parts.problem(split, again[0], name, reason, cure=TOGETHER))
        for row, key in enumerate(own):
            if key:
                first.setdefault(key, (split, row))
                if files[row]:
                    named[key].add(files[row])
    return warnings


def _named(parts: Parts, name: str, split: str, row: int) -> str:
    """The name of a row's first item, in brackets; nothing where it has none."""
    cell = parts.tables[split].values(name)[row].as_py()
    _, item = next(each_item(cell, parts.roles[name]))
    path = item.get("path") if isinstance(item, dict) else item
    return f" ('{describe(path)}')" if isinstance(path, str) and path[:5].lower() != "data:" else ""


def group_overlap(parts: Parts, group: str) -> list[Problem]:
    """A warning for each split that shares groups with one before it: a split column wins over the group."""
    first: dict[str, str] = {}
    warnings = []
    for split in parts.having(group):
        labels = sorted(set(parts.labels(split, group)) - {""})
        shared = [label for label in labels if label in first]
        if shared:
            reason = f"{len(shared)} of {len(labels)} groups of {split} stand in other splits too, "
            reason += f"such as '{shared[0]}' in {first[shared[0]]}"
            fix = "Give these rows one split, or set data.split to null so that the group decides."
            warnings.append(parts.problem(split, None, group, reason, cure=fix))
        first = dict.fromkeys(labels, split) | first
    return warnings
