"""Early stopping counts once the learning rate has fallen, and at once where it does not fall."""

from types import SimpleNamespace

import pytest
import torch
from transformers import TrainerControl, TrainerState, get_scheduler
from transformers.trainer_utils import IntervalStrategy

from polymodal.training.loop.patience import PatienceOnceSlow, first_slow_step, rising


def schedule(name, steps=100, warmup=10):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    return get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps)


@pytest.mark.parametrize(
    ("name", "begin"), [("cosine", 55), ("linear", 55), ("constant", 0), ("constant_with_warmup", 0)]
)
def test_the_first_slow_step_is_that_of_half_the_peak(name, begin):
    assert first_slow_step(schedule(name), 100) == begin
    assert first_slow_step(SimpleNamespace(scheduler=schedule(name)), 100) == begin


def test_a_schedule_that_follows_the_score_counts_from_the_start():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    assert first_slow_step(torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer), 100) == 0
    assert first_slow_step(None, 100) == 0


def stops_at(name, patience, score=lambda step: 0.0, loss=lambda step: 1.0):
    """The step at which a training stops whose evaluations, ten steps apart, have these scores and losses."""
    callback, state, control = PatienceOnceSlow(patience), TrainerState(max_steps=100), TrainerControl()
    arguments = SimpleNamespace(
        load_best_model_at_end=True, metric_for_best_model="selection", greater_is_better=True,
        eval_strategy=IntervalStrategy.STEPS,
    )  # fmt: skip
    scheduler = schedule(name)
    callback.on_train_begin(arguments, state, control)
    for step in range(10, 101, 10):
        state.global_step = step
        metrics = {"eval_selection": score(step), "eval_loss_total": loss(step)}
        state.log_history.append(metrics)
        callback.on_evaluate(arguments, state, control, metrics=metrics, lr_scheduler=scheduler)
        state.best_metric = max(score(step), -1e9 if state.best_metric is None else state.best_metric)
        if control.should_training_stop:
            return step
    return None


def test_a_plateau_at_the_peak_rate_ends_no_decay():
    assert stops_at("cosine", 2) == 70  # from step 60, the first evaluation after 55
    assert stops_at("constant", 2) == 30
    assert stops_at("cosine", 2, score=lambda step: float(step > 60)) == 90
    assert stops_at("cosine", 5) == 100
    assert stops_at("cosine", 6) is None


def test_a_loss_that_keeps_rising_ends_a_training_at_any_rate():
    assert stops_at("cosine", 6, loss=lambda step: 1 + step / 100) == 60  # from 40: 20 % above 1.1
    assert stops_at("cosine", 6, loss=lambda step: 1 + step / 100, score=float) is None  # the score improves
    assert stops_at("cosine", 6, loss=lambda step: 1 + 0.1 * (step % 20 == 0)) is None  # noise


def test_evaluations_in_a_row_count_as_rising():
    def log(*losses, scores=()):
        scores = scores or [0.0] * len(losses)
        return [
            {"eval_loss_total": loss, "eval_selection": score}
            for loss, score in zip(losses, scores, strict=True)
        ]

    assert rising([]) == 0 and rising([{"loss": 1.0}]) == 0 and rising(log(1.0)) == 0
    assert rising(log(2.0, 1.0, 1.3, 1.4)) == 2
    assert rising(log(2.0, 1.0, 1.3, 1.1, 1.4)) == 1
    assert rising(log(2.0, 1.0, 1.3, 1.4, scores=[0, 1, 1, 2])) == 0
    assert rising(log(1.0, 0.001, 0.005, 0.09)) == 0  # near 0, a share of what was gained decides
    assert rising(log(1.0, float("nan"), 3.0)) == 0


def test_the_patience_left_is_that_of_the_rise_too():
    callback = PatienceOnceSlow(6)
    assert callback.left(0) is None
    callback._rising = 2
    assert callback.left(0) == 1
