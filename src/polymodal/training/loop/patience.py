"""Early stopping that a decaying schedule of learning rates does not trigger on its plateau."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch.optim.lr_scheduler import LambdaLR
from transformers import EarlyStoppingCallback

SLOW = 0.5
"""Share of the peak learning rate below which evaluations count: most of the gain of a decay comes there."""
RISEN = 0.2
"""Share of the smallest validation loss by which a later one is above it, where it is clearly worse."""
OF_GAIN = 0.1
"""The same as a share of what the loss had fallen since the first evaluation, for losses near 0."""
OVERFITS = 0.5
"""Share of the patience after which a training ends whose validation loss stays clearly worse."""


class PatienceOnceSlow(EarlyStoppingCallback):
    """Early stopping whose patience begins once the learning rate has fallen below half of its peak.

    At the peak rate the weights move too far per step for the validation score to improve steadily; it does
    as the rate decays (Hägele et al. 2024, arXiv 2405.18392). Where the rate stays
    (``constant``), or follows the score itself (``reduce_lr_on_plateau``), every evaluation counts.

    A training that overfits ends at any rate, after half of the patience: where the validation loss is
    clearly above its smallest one in that many evaluations in a row and no score is better. A rate that falls
    does not bring such a loss back.

    Begin and count follow from the schedule and the log, so that a resumed training ends like an
    uninterrupted one.
    """

    _begin: int | None = None
    _rising: int = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Forget the begin of an earlier training of the same callback."""
        self._begin, self._rising = None, 0
        super().on_train_begin(args, state, control, **kwargs)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """Count the evaluation where the rate is low, and stop when patience is exhausted."""
        if self._begin is None:
            self._begin = first_slow_step(kwargs.get("lr_scheduler"), state.max_steps)
        self._rising = rising(state.log_history)
        if state.global_step >= self._begin:
            super().on_evaluate(args, state, control, metrics, **kwargs)
        if self._rising >= self._overfits:
            control.should_training_stop = True

    @property
    def _overfits(self) -> int:
        """Evaluations in a row with a clearly worse loss that end a training."""
        return max(1, math.ceil(OVERFITS * self.early_stopping_patience))

    def left(self, step: int) -> int | None:
        """Evaluations without a better score that are left at ``step``; None while none counts."""
        left = [self._overfits - self._rising] if self._rising else []
        if self._begin is not None and step >= self._begin:
            left.append(self.early_stopping_patience - self.early_stopping_patience_counter)
        return max(0, min(left)) if left else None


def rising(history: Sequence[Mapping[str, Any]]) -> int:
    """Evaluations in a row, up to the last, with a validation loss clearly above the smallest and no better
    score.

    Args:
        history: The Trainer's log.
    """
    entries = [entry for entry in history if "eval_selection" in entry and "eval_loss_total" in entry]
    if not entries:
        return 0
    losses = np.array([entry["eval_loss_total"] for entry in entries])
    scores = np.array([entry["eval_selection"] for entry in entries])
    if not np.isfinite(losses).all() or not np.isfinite(scores).all():
        return 0
    low = float(losses.min())
    worse = losses - low > max(RISEN * abs(low), OF_GAIN * (losses[0] - low))
    worse[: int(scores.argmax()) + 1] = False
    return len(worse) - 1 - int(np.flatnonzero(~worse)[-1])


def first_slow_step(scheduler: Any, steps: int) -> int:
    """The step after which the learning rate stays below half of its peak; 0 where it never falls so far.

    Args:
        scheduler: Of the training; Accelerate's wrapper of one, too.
        steps: Number of steps of the whole schedule.
    """
    schedule = getattr(scheduler, "scheduler", scheduler)
    if not isinstance(schedule, LambdaLR):
        return 0
    factor, begin = schedule.lr_lambdas[0], steps
    if factor(steps) > SLOW:
        return 0
    while begin > 0 and factor(begin - 1) <= SLOW:
        begin -= 1
    return begin
