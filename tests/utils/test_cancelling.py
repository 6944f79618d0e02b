"""Work that is cancelled ends at its next step, and other work does not."""

import threading

import pytest

from polymodal.utils.cancelling import Cancelled, stop_if_cancelled, until_cancelled


def counting(steps, cancelled, cancelled_at=None):
    """A work of ten steps, which is cancelled before one of them."""
    for step in range(10):
        if step == cancelled_at:
            cancelled.set()
        stop_if_cancelled()
        steps.append(step)
    return len(steps)


def test_it_ends_at_the_next_step():
    steps, cancelled = [], threading.Event()
    with pytest.raises(Cancelled):
        until_cancelled(cancelled, counting, steps, cancelled, cancelled_at=4)
    assert steps == [0, 1, 2, 3]
    with pytest.raises(Cancelled):
        until_cancelled(cancelled, counting, [], cancelled)


def test_other_work_does_not_end():
    cancelled = threading.Event()
    assert until_cancelled(cancelled, counting, [], cancelled) == 10
    cancelled.set()
    assert counting([], cancelled) == 10
    assert until_cancelled(threading.Event(), counting, [], cancelled) == 10


def test_it_is_no_error_that_a_row_may_have():
    def tried():
        try:
            cancelled.set()
            stop_if_cancelled()
        except Exception:
            return "swallowed"

    cancelled = threading.Event()
    with pytest.raises(Cancelled):
        until_cancelled(cancelled, tried)
