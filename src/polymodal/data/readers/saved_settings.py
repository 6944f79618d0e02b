"""The settings of a reader that a run folder holds: of their types, within what a declaration allows."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from typing import Any

from polymodal.config.basics import MOST

WHOLE = {
    "size": (1, 8192),
    "frames": (1, 10_000),
    "rate": (1, 768_000),
    "length": (1, MOST),
    "max_length": (1, MOST),
    "features": (1, MOST),
    "items": (1, MOST),
}
"""Whole numbers, each with the least and the most that it may be."""
NUMBERS = {"seconds": (0.0, 600.0), "full_scale": (0.0, 2.0**31 - 1)}
"""Numbers above the first of the two, at most the second."""
LARGEST = sys.float_info.max
"""The largest finite number."""
MOST_VALUES = 2**26
"""Pixels of a picture or of all frames of a clip, samples of a recording: what is held of an item."""


def check_settings(
    modality: str, settings: Mapping[str, Any], vectors: Collection[str] = (), required: Collection[str] = ()
) -> None:
    """Refuse settings that no fit writes: a reader with such would fail later, or take all memory.

    Args:
        modality: Of the reader.
        settings: By name.
        vectors: Settings that hold one number per feature.
        required: Settings that every fit writes; the default of one that is lacking is that of no column.

    Raises:
        ValueError: Naming the first such setting.
    """
    lacking = [name for name in required if name not in settings]
    if lacking:
        raise ValueError(f"a reader of {modality} without {lacking[0]}")
    for name, value in settings.items():
        if value is None and name in ("full_scale", "written"):
            continue
        is_right, expected = _rule(name, is_vector=name in vectors)
        if not is_right(value):
            raise ValueError(f"a reader of {modality} with {name} {_shown(value)}, expected {expected}")
    held = values_of(settings)
    if held > MOST_VALUES:
        most = f"expected at most {MOST_VALUES:,}"
        raise ValueError(f"a reader of {modality} that holds {held:,} values of an item, {most}")


def values_of(settings: Mapping[str, Any]) -> int:
    """Pixels or samples that a reader with these settings holds of an item; 1 where it holds neither."""
    samples = math.ceil(settings.get("rate", 1) * settings.get("seconds", 1.0))
    return settings.get("frames", 1) * settings.get("size", 1) ** 2 * samples


def _rule(name: str, *, is_vector: bool) -> tuple[Callable[[Any], bool], str]:
    """The test of a setting's value, and a description of the values that pass."""
    if name in WHOLE:
        least, most = WHOLE[name]
        return (
            lambda value: type(value) is int and least <= value <= most,
            f"a whole number, at most {most:,}",
        )
    if name in NUMBERS:
        low, high = NUMBERS[name]
        return lambda value: _is_number(value) and low < value <= high, f"a number, at most {high:,.0f}"
    if name == "categories":
        return _are_categories, "a list of different texts"
    if name == "edges":
        return _are_edges, "a list of ascending numbers"
    if name in ("mean", "deviation"):
        check = _is_number if name == "mean" else _is_above_zero
        if is_vector:
            return lambda value: isinstance(value, list) and all(map(check, value)), "a list of numbers"
        return check, "a number" if name == "mean" else "a number above 0"
    return lambda value: True, ""


def _is_number(value: Any) -> bool:
    """Whether it is a finite number; JSON's whole numbers may be larger than any float."""
    return type(value) in (int, float) and abs(value) <= LARGEST


def _is_above_zero(value: Any) -> bool:
    return _is_number(value) and value > 0


def _are_categories(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is str for v in value) and len(set(value)) == len(value)


def _are_edges(value: Any) -> bool:
    is_list = isinstance(value, list) and all(map(_is_number, value))
    return is_list and all(low <= high for low, high in pairwise(value))


def _shown(value: Any) -> str:
    """The number, else the type of the value: it may be long."""
    if type(value) is int and abs(value) > LARGEST:
        return f"of {value.bit_length():,} bits"
    return f"{value:g}" if type(value) in (int, float) else f"of the type {type(value).__name__}"
