"""The run of answers in words that all the house shares, loaded once."""

import pytest

import polymodal as pm


@pytest.fixture(scope="session")
def spoken(spoken_houses):
    """See ``spoken_houses``; loaded. Its folder's parent holds the table."""
    return pm.load(spoken_houses / "run")
