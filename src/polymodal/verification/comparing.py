"""Comparison of answers: labels and words are equal, numbers up to a tolerance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from polymodal.artifact.samples import Sample
from polymodal.errors import one_line
from polymodal.utils.records import JsonObject, JsonValue

SECTIONS = ("values", "probabilities", "intervals", "others", "missing", "vector")
"""The parts of an answer."""


@dataclass(frozen=True)
class Difference:
    """A part of an answer that is not as it was kept.

    Attributes:
        row: Its number in the table of the fit, from 1.
        target: Target, or ``missing`` or ``vector``.
        part: Which of its numbers; empty for the value itself.
        expected: What ``samples/`` has.
        found: What was answered.
        size: See :func:`size_of`; None of labels and words.
    """

    row: int
    target: str
    part: str
    expected: JsonValue
    found: JsonValue
    size: float | None

    @property
    def place(self) -> str:
        """Row and target, in words."""
        part = f", {self.part}" if self.part else ""
        return f"row {self.row}, '{one_line(self.target, 60)}'{part}"

    def __str__(self) -> str:
        return f"{self.place}: expected {_shown(self.expected)}, found {_shown(self.found)}"


def _shown(value: JsonValue) -> str:
    return one_line(repr(value) if isinstance(value, str | float) else str(value), 120)


def size_of(expected: float, found: float) -> float:
    """The difference of two numbers: absolute up to 1, relative to the expected one above.

    Infinite if one of them is no finite number and the other is not the same.
    """
    if expected == found:
        return 0.0
    size = abs(expected - found) / max(1.0, abs(expected))
    return size if math.isfinite(size) else math.inf


@dataclass(frozen=True)
class Compared:
    """Answers beside those that were kept.

    Attributes:
        largest: The largest difference of a number; None where no number was compared.
        differences: What differs by more than the tolerance, or is another label.
    """

    largest: Difference | None
    differences: list[Difference]


def compare(
    samples: Sequence[Sample],
    found: Sequence[JsonObject],
    tolerance: float,
    sections: Sequence[str] = SECTIONS,
) -> Compared:
    """Compare answers with those of samples.

    Args:
        samples: Rows with the expected answers.
        found: The answer to each of them, in their order.
        tolerance: The largest difference of numbers that is none, see :func:`size_of`.
        sections: The parts of answers that are compared.
    """
    differences: list[Difference] = []
    largest: Difference | None = None
    for sample, answer in zip(samples, found, strict=True):
        for each in _parts(sample, answer, sections):
            if each.size is None:
                differences += [each] if each.expected != each.found else []
                continue
            if largest is None or largest.size is None or each.size > largest.size:
                largest = each
            differences += [each] if each.size > tolerance else []
    return Compared(largest, differences)


def _parts(sample: Sample, answer: JsonObject, sections: Sequence[str]) -> Iterator[Difference]:
    """Every part of an answer beside what was expected."""
    labels = sample.answer.get("probabilities")
    for section in sections:
        expected, given = sample.answer.get(section), answer.get(section)
        if not isinstance(expected, dict):
            yield from _pairs(sample.row, section, "", expected, given)
            continue
        others = given if isinstance(given, dict) else {}
        for target, value in expected.items():
            is_label = section == "values" and isinstance(labels, dict) and target in labels
            kind = "" if section == "values" else section
            if is_label:
                yield Difference(sample.row, target, kind, value, others.get(target), None)
            else:
                yield from _pairs(sample.row, target, kind, value, others.get(target))


def _pairs(row: int, target: str, part: str, expected: JsonValue, found: JsonValue) -> Iterator[Difference]:
    """The numbers and labels of a value beside each other."""
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        for key, value in expected.items():
            yield from _pairs(row, target, f"{part} of '{key}'" if part else key, value, found[key])
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for number, (value, other) in enumerate(zip(expected, found, strict=True), start=1):
            yield from _pairs(row, target, f"{part} {number}".strip(), value, other)
    elif _is_number(expected) and _is_number(found):
        yield Difference(row, target, part, expected, found, size_of(_number(expected), _number(found)))
    else:
        yield Difference(row, target, part, expected, found, None)


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: JsonValue) -> float:
    assert isinstance(value, int | float)
    return float(value)
