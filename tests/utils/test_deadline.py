"""Time limits: their texts, shares, and the time that a resumed fit has taken before."""

import math

import pytest

from polymodal.utils.deadline import (
    Deadline,
    OutOfTime,
    bounded,
    in_time,
    in_words,
    read_limit,
    too_short,
)


class FakeClock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("45", 45), (12.5, 12.5), ("1.5h", 5400), ("2 min", 120)],
)
def test_a_limit_is_read(text, seconds):
    assert read_limit(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "10x", "-5", 0, -1.0, math.inf, math.nan, "0s"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(ValueError, match="90s, 10m or 1h30m"):
        read_limit(text)


@pytest.mark.parametrize("text", ["45s", "90s", "10m", "1h", "1h30m", "2m5s"])
def test_a_limit_is_written_as_it_is_read(text):
    assert in_words(read_limit(text)) == text


def test_shares_and_reserves_add_up():
    clock = FakeClock()
    whole = Deadline.start(60, clock=clock)
    clock.now += 10
    assert (whole.spent, whole.left) == (10, 50)
    assert whole.before(10).left == 40
    assert whole.before(10).share(2).left == 20
    part = whole.part(2)
    clock.now += 5
    assert (part.limit, part.spent, part.left) == (25, 5, 20)
    assert Deadline.start(clock=clock).share(3).left == Deadline.start(clock=clock).before(5).left == math.inf


def test_the_shortest_limit_counts_what_was_reserved_and_shared():
    clock = FakeClock()
    deadline = Deadline.start(30, clock=clock).before(8).share(2)
    clock.now += 2
    deadline.require(5, "a step")
    with pytest.raises(OutOfTime, match="a step takes about 20s, and 9s are left") as refused:
        deadline.require(20, "a step")
    assert refused.value.shortest == 2 + 2 * 20 + 8
    assert str(too_short(deadline, 50)) == (
        "a time limit of 30s is too short. The shortest that works is about 1m"
    )
    clock.now += 8.8
    with pytest.raises(OutOfTime, match="a row takes up to 1s, and nothing is left of the time limit"):
        deadline.require(0.4, "a row")


def test_a_later_leg_counts_the_earlier_ones(tmp_path):
    clock, file = FakeClock(), tmp_path / "checkpoints" / "time.json"
    first = Deadline.start(60, clock=clock).resumed(file, legs=False)
    clock.now += 20
    first.keep()  # the folder is not there yet
    assert not file.exists()
    file.parent.mkdir()
    first.keep()
    clock.now += 1000
    second = Deadline.start(60, clock=clock).resumed(file, legs=True)
    assert (second.spent, second.left) == (20, 40)
    assert Deadline.start(60, clock=clock).resumed(file, legs=False).left == 60
    clock.now += 30
    second.part(2).keep()
    assert Deadline.start(60, clock=clock).resumed(file, legs=True).left == 10
    file.write_text("[]", encoding="utf-8")
    assert Deadline.start(60, clock=clock).resumed(file, legs=True).left == 60


def test_work_that_would_come_too_late_is_not_gone_on_with():
    clock, done = FakeClock(), []
    with pytest.raises(OutOfTime, match="encoding takes about"):
        for item in bounded(range(100), 100, Deadline.start(50, clock=clock), "encoding"):
            done.append(item)
            clock.now += 1
    assert len(done) == 2
    assert list(bounded(range(100), 100, Deadline.start(clock=clock), "encoding")) == list(range(100))


def test_the_pace_of_long_work_is_not_that_of_its_slow_beginning():
    clock, done = FakeClock(), []
    for item in bounded(range(300), 300, Deadline.start(400, clock=clock), "encoding"):
        done.append(item)
        clock.now += 1 if item else 20  # with the first, 500 seconds for all after 2 %
    assert len(done) == 300


def test_work_that_is_nearly_done_is_not_given_up_for_a_slow_moment():
    clock, done = FakeClock(), []
    for item in bounded(range(100), 100, Deadline.start(126, clock=clock), "encoding", share=0.8):
        done.append(item)
        clock.now += 1.6 if item >= 85 else 1  # 109 seconds, of which 101 are the share
    assert len(done) == 100


def test_as_many_items_as_fit_are_taken_and_the_first_in_any_case():
    clock, deadline = FakeClock(), Deadline.start(10, clock=FakeClock())
    deadline = Deadline.start(10, clock=clock)
    taken = []
    for item in in_time(range(100), deadline):
        taken.append(item)
        clock.now += 2
    assert taken == [0, 1, 2, 3]
    assert list(in_time(range(5), Deadline.start(0.001, clock=clock).before(10)))[:1] == [0]
