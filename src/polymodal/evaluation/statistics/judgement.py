"""One rule for what a paired difference of two scores means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from polymodal.evaluation.statistics.bootstrap import Estimate
from polymodal.utils.records import Record

SMALLEST = 0.02
"""The smallest difference that matters: two percentage points of a share, 0.02 of R² and of correlations."""
FEWEST = 3 / SMALLEST
"""Fewest rows that exclude such a difference if none of them differs (the rule of three, Hanley and
Lippman-Hand 1983); the bootstrap interval of rows that are all alike has no width, however few they are."""
Kind = Literal["adds", "redundant", "unclear", "harmful"]


@dataclass(frozen=True, kw_only=True)
class Judgement(Record):
    """The meaning of a paired difference for what it is about, such as an input that is left out.

    Attributes:
        kind: ``adds``: the interval is above zero; ``harmful``: below zero; ``redundant``: it holds zero and
            nothing above ``SMALLEST``, on ``FEWEST`` rows or more; ``unclear``: all else.
        rows: About how many rows would settle an ``unclear`` one; None for the others.
    """

    kind: Kind
    rows: int | None = None


def judge(difference: Estimate, rows: int) -> Judgement:
    """Judge the paired difference of two scores on the same rows by its interval.

    The width of an interval falls with the root of the number of rows. So many rows settle the question that
    the interval around today's difference no longer holds zero, or nothing that matters, whichever is first.

    Args:
        difference: The better minus the compared score, with its 95 % interval.
        rows: On which both were measured.
    """
    value, low, high = difference.value, difference.low, difference.high
    if value is None or low is None or high is None:
        return Judgement(kind="unclear")
    if low > 0:
        return Judgement(kind="adds")
    if high < 0:
        return Judgement(kind="harmful")
    if high <= SMALLEST and rows >= FEWEST:
        return Judgement(kind="redundant")
    narrow = max(abs(value), SMALLEST - abs(value))
    needed = rows * ((high - low) / 2 / narrow) ** 2
    return Judgement(kind="unclear", rows=_rounded(max(needed, FEWEST, rows + 1)))


def _rounded(rows: float) -> int:
    """A number of rows, rounded up to two digits."""
    unit = 10 ** max(0, math.floor(math.log10(rows)) - 1)
    return math.ceil(rows / unit) * unit
