"""Training under a time limit: the schedule of learning rates follows the clock and ends at the deadline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.optim.lr_scheduler import LambdaLR
from transformers import TrainerCallback

from polymodal.utils.deadline import KEPT_EVERY, Deadline, in_words
from polymodal.utils.distributed import is_main
from polymodal.utils.progress import note

FORWARD = 0.5
"""Time of a batch that is only answered, as a share of a training step; until it is measured."""
TIMED_STEPS, TIMED_SECONDS = 3, 2.0
"""Steps and seconds after which it is known how many fit."""
ALMOST = 0.98
"""Share of the epochs from which a schedule counts as whole."""


@dataclass(frozen=True)
class LaterWork:
    """What follows a training before its deadline.

    Attributes:
        rows: Validation rows, which every evaluation answers.
        again: Rows that are read from memory and answered once more after the training.
        seconds: Of all that takes no part in the training, such as test rows.
        least_epochs: With fewer the training is not worth its time; 0: any number is.
    """

    rows: int = 0
    again: int = 0
    seconds: float = 0.0
    least_epochs: float = 0.0


class EndOnTime(TrainerCallback):
    """Lets a training end at a deadline, at the end of its schedule and not on the plateau of the rate.

    The progress of the schedule is the share of the steps or that of the time, whichever is larger. A
    schedule that the time allows whole is thus not changed, and a shorter one decays as far (cf. Li et al.
    2020, "Budgeted Training", arXiv 1905.04753: schedules that decay to zero within the budget are best).

    Args:
        deadline: Of the training and of ``later``.
        later: What follows.
        quiet: Print nothing.

    Attributes:
        stopped: Whether the deadline ended the training.
    """

    def __init__(self, deadline: Deadline, later: LaterWork, *, quiet: bool = True) -> None:
        self.deadline, self.later, self.quiet = deadline, later, quiet
        self.stopped = False
        self._start = deadline.clock()
        self._first, self._steps, self._total = 0, 0, 1
        self._reached = 0.0
        self._step_seconds = 0.0
        self._row_seconds: float | None = None
        self._pause: float | None = None
        self._paused_at: float | None = None
        self._paused = 0.0
        self._kept = -1.0
        self._is_timed = False

    def drive(self, scheduler: Any, steps: int) -> None:
        """Let the clock drive a schedule; one that depends on the score instead stays as it is.

        Args:
            scheduler: Of a training that has not begun.
            steps: Of the whole schedule.
        """
        if self.deadline.is_set and isinstance(scheduler, LambdaLR):
            scheduler.lr_lambdas = [self._timed(factor, steps) for factor in scheduler.lr_lambdas]

    def _timed(self, factor: Callable[[int], float], steps: int) -> Callable[[int], float]:
        def timed(step: int) -> float:  # a function: the state of an object would go into checkpoints
            return factor(max(step, int(self.reached() * steps)))

        return timed

    def reached(self) -> float:
        """The share of the time that has passed, from 0 to 1."""
        start = self._start if not self._first else self.deadline.began
        whole = self._end() - start
        now = self.deadline.clock() - start
        self._reached = max(self._reached, min(1.0, now / whole if whole > 0 else 1.0))
        return self._reached

    def _end(self) -> float:
        """When the last step has to have ended."""
        per_row = self._row_seconds or 0.0
        return self.deadline.end - self._pause_seconds() - self.later.again * per_row - self.later.seconds

    def _pause_seconds(self) -> float:
        """An evaluation and its checkpoint, as it was measured, or from the seconds of a step."""
        return self._pause if self._pause is not None else self.later.rows * (self._row_seconds or 0.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock of this leg."""
        self._start, self._first = self.deadline.clock(), state.global_step
        self._total = max(1, state.max_steps)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Measure how long the evaluation before this step took."""
        if self._paused_at is not None:
            pause = self.deadline.clock() - self._paused_at
            self._pause, self._paused_at = max(pause, self._pause or 0.0), None
            self._paused += pause

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluate, save and stop where another step would come too late."""
        now = self.deadline.clock()
        self._keep(now)
        if not self.deadline.is_set:
            return
        steps = state.global_step - self._first
        self._step_seconds = (now - self._start - self._paused) / max(1, steps)
        if self._row_seconds is None or self._pause is None:
            self._row_seconds = FORWARD * self._step_seconds / max(1, args.per_device_train_batch_size)
        if not self._is_timed and steps >= TIMED_STEPS and now - self._start >= TIMED_SECONDS:
            self._report_pace(state)
        if now + self._step_seconds >= self._end() and state.global_step < state.max_steps:
            control.should_evaluate = control.should_save = control.should_log = True
            control.should_training_stop = self.stopped = True
        if control.should_evaluate or state.global_step % max(1, args.eval_steps) == 0:
            self._paused_at = now

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """Measure the time of a row."""
        seconds = (metrics or {}).get("eval_runtime")
        if seconds and self.later.rows:
            self._row_seconds = float(seconds) / self.later.rows

    def _report_pace(self, state: Any) -> None:
        """Print how many epochs fit, once it is known.

        Raises:
            OutOfTime: If they are too few.
        """
        self._is_timed = True
        each = max(1.0, state.max_steps / max(state.num_train_epochs, 1e-9))
        fitting = (self._end() - self._start) / (self._step_seconds * each)
        least = min(self.later.least_epochs, state.num_train_epochs)
        if fitting < least:
            lacking = (least - fitting) * each * self._step_seconds
            self.deadline.require(max(0.0, self.deadline.left) + lacking, "an epoch of the neural model")
        if fitting < ALMOST * state.num_train_epochs:
            message = (
                f"about {fitting:{form(fitting)}} of {state.num_train_epochs} epochs fit into the time limit"
            )
            note(
                f"{message} of {in_words(self.deadline.limit)}; the learning rate falls by the clock",
                self.quiet,
            )

    def _keep(self, now: float) -> None:
        if self._kept < 0 or now - self._kept >= KEPT_EVERY:
            self._kept = now
            if is_main():  # two processes that replace a file at a time take it from each other
                self.deadline.keep()


def form(epochs: float) -> str:
    """The format of a number of epochs: whole ones, below ten with one decimal."""
    return ".0f" if epochs >= 10 else ".2g"
