"""A schedule under a time limit: it follows the clock, and the last evaluation comes before the deadline."""

from types import SimpleNamespace

import pytest
import torch
from transformers import TrainerControl, TrainerState, get_scheduler

from polymodal.training.loop.time_limit import EndOnTime, LaterWork
from polymodal.utils.deadline import Deadline, OutOfTime


class FakeClock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


NOTHING = LaterWork()


def trained(limit, *, steps=100, step=1.0, evaluation=0.0, later=NOTHING, every=10, first=0):
    """A training of steps that take ``step`` seconds: the clock's callback, the rates, the last step."""
    clock = FakeClock()
    callback = EndOnTime(Deadline.start(limit, clock=clock), later)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = get_scheduler("cosine", optimizer, num_warmup_steps=steps // 10, num_training_steps=steps)
    callback.drive(schedule, steps)
    state = TrainerState(max_steps=steps, num_train_epochs=steps // every, global_step=first)
    control, arguments = TrainerControl(), SimpleNamespace(per_device_train_batch_size=1, eval_steps=every)
    callback.on_train_begin(arguments, state, control)
    rates = []
    while state.global_step < steps and not control.should_training_stop:
        callback.on_step_begin(arguments, state, control)
        clock.now += step
        optimizer.step()
        schedule.step()
        rates.append(schedule.get_last_lr()[0])
        state.global_step += 1
        callback.on_step_end(arguments, state, control)
        if control.should_evaluate or state.global_step % every == 0:
            clock.now += evaluation
            callback.on_evaluate(arguments, state, control, metrics={"eval_runtime": evaluation})
    return callback, rates, clock.now


def test_a_schedule_that_fits_is_not_changed():
    plain = trained(float("inf"))
    timed = trained(1000)
    assert timed[1] == pytest.approx(plain[1]) and not timed[0].stopped
    assert len(timed[1]) == 100


def test_a_shorter_schedule_warms_up_decays_to_the_end_and_is_evaluated_in_time():
    callback, rates, ended = trained(40, evaluation=1.0, later=LaterWork(rows=1))
    assert callback.stopped and 37 <= ended <= 40
    assert len(rates) < 40 and max(rates) > 0.95 and rates[-1] < 0.05
    assert rates.index(max(rates)) in (3, 4)  # a tenth of the steps that fit


def test_what_follows_has_its_time():
    _, _, ended = trained(40, later=LaterWork(rows=2, again=4, seconds=10))
    assert 24 <= ended <= 30


def test_too_few_epochs_are_refused_where_they_are_not_worth_it():
    with pytest.raises(OutOfTime, match="an epoch of the neural model") as refused:
        trained(6, later=LaterWork(least_epochs=1))
    assert refused.value.shortest >= 10
    assert trained(6)[0].stopped


def test_a_resumed_leg_goes_on_with_the_time_of_the_whole_fit():
    clock = FakeClock()
    deadline = Deadline.start(100, clock=clock)
    clock.now = 50
    callback = EndOnTime(deadline, LaterWork())
    callback.on_train_begin(SimpleNamespace(), TrainerState(max_steps=100, global_step=20), TrainerControl())
    assert callback.reached() == 0.5
