"""Learners are fitted in a tenth of a second."""

from __future__ import annotations

import pytest

from polymodal.plain.learners import boosting


@pytest.fixture
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boosting has few trees."""
    monkeypatch.setattr(boosting, "MOST_TREES", 40)
