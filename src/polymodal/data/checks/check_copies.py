"""Inputs that are the same but for their name, a scale or the names of their values."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from polymodal.data.checks.association import codes_of
from polymodal.data.checks.split_view import Parts
from polymodal.data.readers.base import is_media
from polymodal.data.readers.content import Content
from polymodal.errors import Problem

FEWEST_ROWS = 20
FEWEST_OTHERS = 5  # rows of another value than the commonest: of fewer, columns are alike by chance
EQUAL = 1e-9
LISTED = 5  # pairs that are named one by one
CURE = "Leave one of them out: together they say no more"


def copies(parts: Parts, inputs: Sequence[str]) -> list[Problem]:
    """A warning for each input that holds the same as an earlier one; one line where there are many.

    Each column gets a key in linear time; only those of one key are compared.
    """
    first: dict[Hashable, list[str]] = defaultdict(list)
    pairs = []
    for name in inputs:
        if not parts.train.has(name) or is_media(parts.roles[name]):
            continue
        key = _key(parts, name)
        if key is None:
            continue
        same = next((other for other in first[key] if _are_alike(parts, name, other)), None)
        if same is None:
            first[key].append(name)
        else:
            pairs.append((name, same))
    if len(pairs) > LISTED:
        others = ", ".join(f"'{name}' and '{same}'" for name, same in pairs[1:LISTED])
        reason = f"{_how(parts, *pairs[0])}; so it is with {len(pairs) - 1} more pairs, such as {others}"
        return [parts.problem("train", None, pairs[0][0], reason, cure=CURE)]
    return [parts.problem("train", None, name, _how(parts, name, same), cure=CURE) for name, same in pairs]


def _key(parts: Parts, name: str) -> Hashable | None:
    """Equal for columns that may be alike; None for one with too few cells or values to compare."""
    if parts.holds(name) is Content.NUMBER:
        numbers = parts.numbers("train", name)[0]
        there = np.isfinite(numbers)
        values = numbers[there]
        if len(values) < FEWEST_ROWS or _others(values) < FEWEST_OTHERS:
            return None
        projection = (
            np.random.default_rng(0).normal(size=len(numbers))[there] @ _scaled(values) / np.sqrt(len(values))
        )
        return Content.NUMBER, _digest(there), round(abs(float(projection)), 6)
    codes, values = _codes(parts, name)
    if (codes >= 0).sum() < FEWEST_ROWS or _others(codes[codes >= 0]) < FEWEST_OTHERS:
        return None
    if codes.max() + 1 <= len(codes) // 2:
        return Content.CATEGORY, _digest(codes)
    joined = "\0".join(map(str, values)).encode("utf-8", "surrogatepass")
    return Content.TEXT, _digest(codes), _digest(np.frombuffer(joined, dtype=np.uint8))


def _codes(parts: Parts, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The column's labels as numbers from 0, -1 where it is empty, and the labels."""
    labels = parts.labels("train", name)
    codes = np.full(len(labels), -1, dtype=np.int64)
    there = labels != ""
    codes[there] = codes_of(labels[there])
    return codes, labels


def _digest(array: np.ndarray) -> bytes:
    return hashlib.blake2b(array.tobytes(), digest_size=16).digest()


def _scaled(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()


def _others(values: np.ndarray) -> int:
    return len(values) - int(np.unique(values, return_counts=True)[1].max())


def _are_alike(parts: Parts, name: str, other: str) -> bool:
    if parts.holds(name) is not Content.NUMBER:
        return True  # the digests of all rows are equal
    one, two = (parts.numbers("train", column)[0] for column in (name, other))
    there = np.isfinite(one)
    return abs(float(np.mean(_scaled(one[there]) * _scaled(two[there])))) > 1 - EQUAL


def _how(parts: Parts, name: str, other: str) -> str:
    rows = len(parts.train)
    if parts.holds(name) is Content.NUMBER:
        one, two = (parts.numbers("train", column)[0] for column in (name, other))
        is_equal = np.array_equal(one, two, equal_nan=True)
        return f"it is {'equal to' if is_equal else 'a rescaling of'} the input '{other}' in all {rows} rows"
    is_equal = bool((parts.labels("train", name) == parts.labels("train", other)).all())
    return (
        f"it {'is equal to' if is_equal else 'renames the values of'} the input '{other}' in all {rows} rows"
    )
