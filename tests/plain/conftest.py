"""Learners are tested with the searches of users."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.searches import as_for_users


@pytest.fixture(scope="module", autouse=True)
def long_searches() -> Iterator[None]:
    """As for users."""
    with as_for_users():
        yield
