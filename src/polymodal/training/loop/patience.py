"""Early stopping that a decaying schedule of learning rates does not trigger on its plateau."""

from __future__ import annotations

from typing import Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import EarlyStoppingCallback

SLOW = 0.5
"""Share of the peak learning rate below which evaluations count: most of the gain of a decay comes there."""


class PatienceOnceSlow(EarlyStoppingCallback):
    """Early stopping whose patience begins once the learning rate has fallen below half of its peak.

    At the peak rate the weights move too far per step for the validation score to improve steadily; it does
    as the rate decays (Hägele et al. 2024, arXiv 2405.18392). Where the rate stays
    (``constant``), or follows the score itself (``reduce_lr_on_plateau``), every evaluation counts.

    The begin follows from the schedule alone, so that a resumed training counts like an uninterrupted one.
    """

    _begin: int | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Forget the begin of an earlier training of the same callback."""
        self._begin = None
        super().on_train_begin(args, state, control, **kwargs)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """Count the evaluation where the rate is low, and stop when patience is exhausted."""
        if self._begin is None:
            self._begin = first_slow_step(kwargs.get("lr_scheduler"), state.max_steps)
        if state.global_step >= self._begin:
            super().on_evaluate(args, state, control, metrics, **kwargs)

    def left(self, step: int) -> int | None:
        """Evaluations without a better score that are left at ``step``; None while none counts."""
        if self._begin is None or step < self._begin:
            return None
        return max(0, self.early_stopping_patience - self.early_stopping_patience_counter)


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
