"""Answers piece by piece: the pieces are the answer, may be stopped, and carry errors over."""

import threading

import pytest

from polymodal.errors import RunError
from tests.support.talks import user


@pytest.fixture
def asked(spoken_houses):
    return [user("a garden, 3 rooms: flat or house?", image=str(spoken_houses / "photos/1.png"))]


def test_the_pieces_make_the_answer(spoken, asked):
    for options in ({}, {"max_new_tokens": 20, "min_new_tokens": 20}, {"beams": 3, "max_new_tokens": 5}):
        whole = spoken.chat(asked, **options)
        pieces = list(spoken.chat(asked, stream=True, **options))
        assert "".join(pieces).strip() == whole
        assert len(pieces) == 1 or "beams" not in options


def test_whoever_stops_reading_stops_the_generation(spoken, asked):
    pieces = spoken.chat(asked, stream=True, max_new_tokens=1900, min_new_tokens=1900)
    next(pieces)
    assert threading.active_count() > 1
    pieces.close()
    assert not [thread for thread in threading.enumerate() if thread.name.endswith("(make)")]


def test_what_goes_wrong_meanwhile_is_raised(spoken, asked, monkeypatch):
    def fail(**options):
        raise ValueError("out of words")

    monkeypatch.setattr(spoken.model, "generate", fail)
    with pytest.raises(RunError, match="out of words") as raised:
        list(spoken.chat(asked, stream=True))
    assert isinstance(raised.value.__cause__, ValueError)
