"""Progress bars and notes on standard error."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback
from transformers.utils import logging as library_logging

T = TypeVar("T")
CONSOLE = Console(stderr=True, highlight=False, markup=False, emoji=False)


def bar() -> Progress:
    """A transient progress bar; silent where standard error is no terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=CONSOLE, transient=True, disable=not CONSOLE.is_terminal)


def progress(items: Iterable[T], description: str, total: int, *, every: float | None = None) -> Iterator[T]:
    """Iterate over ``items`` with a progress bar.

    Args:
        items: To iterate over.
        description: Of the work.
        total: Number of items.
        every: Where standard error is no terminal, print a line every so many seconds; None prints none.
    """
    if every is not None and not CONSOLE.is_terminal:
        yield from _with_lines(items, description, total, every)
        return
    with bar() as shown:
        yield from shown.track(items, total=total, description=description)


def _with_lines(items: Iterable[T], description: str, total: int, every: float) -> Iterator[T]:
    begun = last = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if now - last >= every:
            left = (now - begun) / done * (total - done)
            CONSOLE.print(f"{description}: {done}/{total}, about {left:.0f} s left", soft_wrap=True)
            last = now
        yield item


@contextmanager
def working(description: str) -> Iterator[None]:
    """A bar without a total, for work without countable steps."""
    with bar() as shown:
        shown.add_task(description, total=None)
        yield


def note(text: str, quiet: bool = False) -> None:
    """Print a line on standard error."""
    if not quiet:
        CONSOLE.print(text, soft_wrap=True)


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence Transformers' own bars and advice inside the block."""
    shown, level = library_logging.is_progress_bar_enabled(), library_logging.get_verbosity()
    library_logging.disable_progress_bar()
    library_logging.set_verbosity_error()
    try:
        yield
    finally:
        library_logging.set_verbosity(level)
        if shown:
            library_logging.enable_progress_bar()


class TrainingProgress(TrainerCallback):
    """A bar over the steps, and one line per evaluation."""

    def __init__(self, metric: str) -> None:
        self.metric, self.bar, self.loss = metric, bar(), float("nan")
        self.losses: dict[str, float] = {}
        self.task = self.bar.add_task("training", total=None)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the bar."""
        self.bar.start()
        self.bar.update(self.task, total=state.max_steps, completed=state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Advance the bar."""
        self.bar.update(self.task, completed=state.global_step)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any
    ) -> None:
        """Keep the training loss for the next line."""
        self.loss = (logs or {}).get("loss", self.loss)
        losses = {k.removeprefix("loss."): v for k, v in (logs or {}).items() if k.startswith("loss.")}
        self.losses = losses or self.losses

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """Print the epoch, the losses and the metric of the model selection."""
        name = self.metric.rpartition(".")[2]
        parts = [f"{k.removeprefix('eval_')} {v:.4f}" for k, v in metrics.items() if k.endswith(f".{name}")]
        losses = f"loss {self.loss:.4f}, validation loss {metrics['eval_loss_total']:.4f}"
        parts += [f"{name} {value:.4f}" for name, value in self.losses.items() if name.count(".") == 1]
        epochs = f"epoch {round(state.epoch, 2):g}/{args.num_train_epochs:g}"
        CONSOLE.print(", ".join([f"{epochs}: {losses}", *parts]), soft_wrap=True)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop the bar."""
        self.bar.stop()
