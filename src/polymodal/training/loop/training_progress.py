"""The progress of a training on standard error: a bar over the steps, and a line per evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transformers import TrainerCallback

from polymodal.data.schema.column_summary import brief
from polymodal.training.loop.model_selection import best_epoch
from polymodal.utils.deadline import NO_LIMIT, Deadline
from polymodal.utils.progress import Meter, about, note


class TrainingProgress(TrainerCallback):
    """A bar over the steps; per evaluation a line with the losses, the metric, the best so far, the patience.

    After the first evaluation it also prints how long an epoch takes, and all that are left at most. It has
    to come after the callback of early stopping, whose count it prints.

    Args:
        metric: Of the model selection, as :func:`best_epoch` takes it.
        patience: Returns how many epochs without a better one are left before the training stops; None while
            patience does not count.
        passes: Seconds of the forward and backward passes of a step, where they were timed.
        deadline: Of the training, which takes no longer.
    """

    def __init__(
        self,
        metric: str,
        patience: Callable[[], int | None],
        *,
        passes: float | None = None,
        deadline: Deadline = NO_LIMIT,
    ) -> None:
        self.deadline = deadline
        self.metric, self.patience, self.passes = metric, patience, passes
        self.meter, self.loss = Meter("training"), float("nan")
        self.losses: dict[str, float] = {}
        self.began: tuple[float, int] | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the bar and the clock."""
        self.began = time.perf_counter(), state.global_step
        if self.passes is not None:
            seconds = about(self._within(self.passes * state.max_steps))
            passes = f"whose forward and backward passes take about {seconds}"
            note(f"at most {state.max_steps:,} steps, {passes}")
        self.meter.total = state.max_steps
        self.meter.begin(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Advance the bar."""
        self.meter.done = state.global_step

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any
    ) -> None:
        """Keep the training loss for the next line."""
        self.loss = (logs or {}).get("loss", self.loss)
        losses = {k.removeprefix("loss."): v for k, v in (logs or {}).items() if k.startswith("loss.")}
        self.losses = losses or self.losses

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """Print the epoch, the losses, the metric, the best so far and the patience that is left."""
        name = self.metric.rpartition(".")[2]
        parts = [
            f"{k.removeprefix('eval_')} {brief(v)}" for k, v in metrics.items() if k.endswith(f".{name}")
        ]
        losses = f"loss {self.loss:.4f}, validation loss {metrics['eval_loss_total']:.4f}"
        parts += [f"{name} {value:.4f}" for name, value in self.losses.items() if name.count(".") == 1]
        epochs = f"epoch {round(state.epoch, 2):g}/{args.num_train_epochs:g}"
        epoch, best = self._best(state.log_history)
        left = self.patience()
        patience = [] if left is None else [f"{left} epoch{'s' * (left != 1)} of patience left"]
        so_far = "best so far" if epoch == state.epoch else best
        note("; ".join([", ".join([f"{epochs}: {losses}", *parts]), so_far, *patience]))
        self.meter.description = ", ".join(["training", best, *patience])
        self._estimate(state, args)

    def _best(self, history: Sequence[Mapping[str, Any]]) -> tuple[float, str]:
        """The best epoch so far, also of earlier legs, and its metric in words."""
        best, value = best_epoch(history, self.metric)
        name = "validation loss" if self.metric == "loss" else self.metric.rpartition(".")[2]
        return best["epoch"], f"best {name} {brief(value)} (epoch {round(best['epoch'], 2):g})"

    def _estimate(self, state: Any, args: Any) -> None:
        """Print once how long an epoch takes, evaluation included, and those that are left at most."""
        if self.began is None:
            return
        (start, first), self.began = self.began, None
        a_step = (time.perf_counter() - start) / max(1, state.global_step - first)
        an_epoch = a_step * state.max_steps / max(1, args.num_train_epochs)
        left = state.max_steps - state.global_step
        if left > 0:
            note(f"an epoch takes about {about(an_epoch)}: at most {about(self._within(a_step * left))} more")

    def _within(self, seconds: float) -> float:
        """So many seconds, or those until the deadline."""
        return max(0.0, min(seconds, self.deadline.left))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop the bar."""
        self.meter.end()
