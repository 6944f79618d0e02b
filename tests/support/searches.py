"""Searches of the plain models: a few settings in most tests, those of users in tests of the learners."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any
from unittest import mock

LEARNERS = "polymodal.plain.learners"
SHORT: dict[tuple[str, str], Any] = {
    ("boosting", "WORK"): 0.0,  # the fewest rounds
    ("forest", "TREES"): 10,
    ("kernel", "GRID"): ((1.0, 1.0), (10.0, 0.25)),
    ("linear", "PENALTIES"): (0.25, 4.0**-4, 4.0**-8),
    ("reduction", "REDUCED"): 16,
}
"""By module and name of a constant, its value in most tests."""
LONG: dict[tuple[str, str], Any] = {}
"""The values of users; known once :func:`in_short` has begun."""


@contextmanager
def in_short() -> Iterator[None]:
    """Search in short within this context."""
    LONG.update(
        {(module, name): getattr(import_module(f"{LEARNERS}.{module}"), name) for module, name in SHORT}
    )
    with _patched(SHORT):
        yield


@contextmanager
def as_for_users() -> Iterator[None]:
    """Search as users do within this context."""
    with _patched(LONG):
        yield


@contextmanager
def _patched(values: dict[tuple[str, str], Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for (module, name), value in values.items():
            stack.enter_context(mock.patch.object(import_module(f"{LEARNERS}.{module}"), name, value))
        yield
