"""Bars where they can be drawn, lines where they cannot, nothing where it is to be quiet."""

import io
import re
import time
from unittest import mock

import pytest
from rich.console import Console

from polymodal.utils import progress as module
from polymodal.utils.progress import Meter, note, obeying_quiet, progress, working


@pytest.fixture
def printed(monkeypatch):
    """What is printed where standard error is no terminal; lines come every few milliseconds."""
    printed = io.StringIO()
    monkeypatch.setattr(module, "CONSOLE", Console(file=printed))
    monkeypatch.setattr(module, "FIRST_LINE", 0.02)
    return printed


def slow(count, seconds=0.1):
    for item in range(count):
        time.sleep(seconds)
        yield item


def test_lines_say_how_far_it_is_and_how_long_it_takes(printed):
    assert list(progress(slow(4), "reading", 4)) == [0, 1, 2, 3]
    lines = printed.getvalue().splitlines()
    assert lines[0] == "reading: 0/4" and len(lines) <= 4  # each wait is twice the last
    assert all(re.fullmatch(r"reading: \d/4(, about [\d.]+ s left)?", line) for line in lines)


def test_work_without_steps_has_lines_too(printed):
    with working("thinking"):
        time.sleep(0.1)
    assert re.match(r"thinking: [\d.]+ s so far\n", printed.getvalue())


def test_short_work_prints_nothing(printed):
    assert list(progress(range(3), "reading", 3)) == [0, 1, 2]
    assert not printed.getvalue()


def test_a_terminal_has_a_bar_after_a_moment(monkeypatch):
    printed = io.StringIO()
    monkeypatch.setattr(module, "CONSOLE", Console(file=printed, force_terminal=True, width=80))
    monkeypatch.setattr(module, "DELAY", 0.01)
    list(progress(slow(4), "reading", 4))
    assert "reading" in printed.getvalue() and "━" in printed.getvalue()


@pytest.mark.parametrize("widgets", [None, object()])
def test_a_notebook_has_bars_where_it_can_draw_them(monkeypatch, widgets):
    console = Console(file=io.StringIO())
    console.is_jupyter = True
    monkeypatch.setattr(module, "CONSOLE", console)
    with mock.patch.object(module, "find_spec", lambda name: widgets):
        assert module.draws_bars() == (widgets is not None)


def test_of_nested_work_the_outermost_is_shown(printed):
    with working("all of it"):
        list(progress(slow(3), "a part", 3))
    assert "all of it" in printed.getvalue() and "a part" not in printed.getvalue()


def test_quiet_silences_all_that_is_called(printed):
    @obeying_quiet
    def work(*, quiet=False):
        note("a note")
        list(progress(slow(2), "reading", 2))

    work(quiet=True)
    assert not printed.getvalue()
    work()
    assert printed.getvalue().startswith("a note\nreading: ")


def test_what_is_interrupted_is_shown_no_longer(printed):
    with pytest.raises(KeyboardInterrupt), working("thinking"):
        raise KeyboardInterrupt
    assert Meter._shown is None
    shown = progress(slow(9), "reading", 9)
    next(shown)
    shown.close()
    before = printed.getvalue()
    time.sleep(0.05)
    assert printed.getvalue() == before and Meter._shown is None
