"""What would make a test flatter the model: rows in two splits, inputs that give the target away."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from polymodal.data.cells import is_empty
from polymodal.data.parts import MEDIA, Parts, each_cell
from polymodal.errors import Problem

SURE = 0.995  # share of the rows whose class an input column gives away
ROWS_A_VALUE = 5  # with fewer, nearly unique values "give away" any target
SURE_RANK = 0.999
FEWEST_ROWS = 20  # on fewer rows two columns agree by chance


def duplicates(parts: Parts, inputs: list[str]) -> list[Problem]:
    """A warning for each split that has rows with the same inputs as a split before it."""
    names = [column for column in inputs if all(column in table.columns for table in parts.tables.values())]
    keys = _row_keys(parts, names)
    first: dict[bytes, tuple[str, int]] = {}
    warnings = []
    for split in parts.tables:
        repeated = [(index, *first[key]) for index, key in enumerate(keys[split]) if key and key in first]
        if repeated:
            index, other, same = repeated[0]
            found = (
                f"{len(repeated)} of {len(keys[split])} {split} rows have the same inputs as rows "
                f"of other splits, the first as {other} row {parts.number(other, same)}"
            )
            cure = "Leave them out, or split by a column that keeps them together (data.group)."
            warnings.append(parts.problem(split, index, None, found, cure=cure))
        for index, key in enumerate(keys[split]):
            if key:
                first.setdefault(key, (split, index))
    return warnings


def _row_keys(parts: Parts, names: list[str]) -> dict[str, list[bytes]]:
    """One digest a row over all its inputs; empty for a row without any."""
    keys = {}
    for split, table in parts.tables.items():
        columns = [list(_cell_keys(parts, split, name)) for name in names]
        keys[split] = [
            hashlib.blake2b(b"\0".join(row), digest_size=16).digest() if any(row) else b""
            for row in zip(*columns, strict=True)
        ] or [b""] * len(table)
    return keys


def _cell_keys(parts: Parts, split: str, column: str) -> Iterator[bytes]:
    table = parts.tables[split]
    role = parts.roles.get(column)
    if role in MEDIA:
        yield from (_media_key(cell, os.fspath(table.root or "")) for cell in each_cell(table.values(column)))
    elif role == "number":
        numbers, _ = parts.numbers(split, column)
        yield from (b"" if math.isnan(number) else repr(float(number)).encode() for number in numbers)
    else:
        yield from (label.encode("utf-8", "surrogatepass") for label in parts.labels(split, column))


def _media_key(cell: Any, root: str) -> bytes:
    """A path with the folder it starts from, or a digest of the bytes."""
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, str) and cell.strip():
        return f"{root}/{cell}".encode("utf-8", "surrogatepass")
    if isinstance(cell, bytes) and cell:
        return hashlib.blake2b(cell, digest_size=16).digest()
    return b"" if is_empty(cell) else _list_key(cell)


def _list_key(cell: Any) -> bytes:
    """A list of numbers by their bytes: writing them out would take longer than reading them all."""
    try:
        array = np.asarray(cell)
    except ValueError:  # of rows that differ in length
        return repr(cell).encode()
    numeric = array.dtype.kind in "fiub"
    return repr(array.shape).encode() + array.tobytes() if numeric else repr(cell).encode()


def group_overlap(parts: Parts, group: str) -> list[Problem]:
    """A warning for each split that shares groups with one before it: a split column wins over the group."""
    first: dict[str, str] = {}
    warnings = []
    for split in parts.having(group):
        labels = sorted(set(parts.labels(split, group)) - {""})
        shared = [label for label in labels if label in first]
        if shared:
            found = f"{len(shared)} of {len(labels)} groups of {split} stand in other splits too, "
            found += f"such as '{shared[0]}' in {first[shared[0]]}"
            cure = "Give these rows one split, or set data.split to null so that the group decides."
            warnings.append(parts.problem(split, None, group, found, cure=cure))
        first = dict.fromkeys(labels, split) | first
    return warnings


def giveaways(parts: Parts, inputs: list[str], target: str) -> list[Problem]:
    """A warning for each number, category or text from which ``target`` follows almost surely."""
    warnings = []
    for column in inputs:
        if parts.roles[column] in MEDIA or column not in parts.train.columns:
            continue
        if parts.roles[target] == "regression":
            found = _gives_number(parts, column, target)
        else:
            found = _gives_class(parts, column, target)
        if found:
            cure = "If it is not known when predicting, leave it out of the inputs."
            warnings.append(parts.problem("train", None, column, found, cure=cure))
    return warnings


def _gives_class(parts: Parts, column: str, target: str) -> str:
    x, y = parts.labels("train", column), parts.labels("train", target)
    both = (x != "") & (y != "")
    x, y = x[both], y[both]
    if len(x) < FEWEST_ROWS:
        return ""
    names, classes = np.unique(x, return_inverse=True), np.unique(y, return_inverse=True)
    if np.bincount(classes[1]).max() >= SURE * len(y):
        return ""  # one class is nearly all there is: anything would "give it away"
    same = float(np.mean(x == y))
    if same >= SURE:
        return f"it says the same as the target '{target}' in {same:.1%} of {len(x)} rows"
    if len(x) < ROWS_A_VALUE * len(names[0]):
        return ""
    pairs, counts = np.unique(names[1] * len(classes[0]) + classes[1], return_counts=True)
    best = np.zeros(len(names[0]), dtype=np.int64)
    np.maximum.at(best, pairs // len(classes[0]), counts)
    right = best.sum() / len(x)
    if right < SURE:
        return ""
    return f"its {len(names[0])} values alone give the target '{target}' in {right:.1%} of {len(x)} rows"


def _gives_number(parts: Parts, column: str, target: str) -> str:
    if parts.roles[column] != "number":
        return ""
    x, _ = parts.numbers("train", column)
    y, _ = parts.numbers("train", target)
    both = np.isfinite(x) & np.isfinite(y)
    if both.sum() < FEWEST_ROWS:
        return ""
    x, y = _ranks(x[both]), _ranks(y[both])
    spread = x.std() * y.std()
    correlation = float(np.mean((x - x.mean()) * (y - y.mean())) / spread) if spread else 0.0
    if abs(correlation) < SURE_RANK:
        return ""
    return f"it orders the rows as the target '{target}' does (rank correlation {correlation:.4f})"


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share their mean rank (Spearman)."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
