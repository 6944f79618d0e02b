"""Which of many like cases every run of the tests tries, and which ``-m slow`` alone."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def mostly_slow(cases: Iterable[Any], fast: Collection[Any]) -> list[Any]:
    """The parameters ``cases`` of a test, one value each, of which those outside ``fast`` are slow.

    Raises:
        ValueError: If one of ``fast`` is no case.
    """
    each = list(cases)
    if unknown := [case for case in fast if case not in each]:
        raise ValueError(f"no cases: {unknown}")
    return [case if case in fast else pytest.param(case, marks=pytest.mark.slow) for case in each]
