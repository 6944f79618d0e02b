"""Number of threads of a training: timed before its first step, and stored for ``--resume``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments

from polymodal.config import TrainConfig
from polymodal.errors import RunError, option
from polymodal.utils import distributed as processes
from polymodal.utils.atomic import write_text, writing
from polymodal.utils.json_files import read_json
from polymodal.utils.progress import note
from polymodal.utils.threads import (
    ThreadChoice,
    available_threads,
    choose_threads,
    computing_threads,
    fixed_threads,
)

Step = Callable[[nn.Module], None]
"""Forward and backward passes of a model over one batch."""

FILE = "threads.json"
"""Beside the checkpoints: rounding depends on the number, so that a resumed training must keep it."""
MOST = 4096
"""Upper bound of the stored number; more than any machine has cores."""


def training_threads(config: TrainConfig) -> AbstractContextManager[None]:
    """Start a fit with the most threads it may use, and restore the number afterwards."""
    return computing_threads(config.threads or available_threads(config.workers))


def settle_threads(
    arguments: TrainingArguments,
    model: nn.Module,
    prepare: Callable[[], Step],
    config: TrainConfig,
    *,
    resumed: bool,
    quiet: bool,
) -> float | None:
    """Set torch's number of threads for a training on a CPU; with several processes their launcher decides.

    Args:
        arguments: Of the training: its device and its output folder.
        model: The model that is trained.
        prepare: Returns the training step that is timed.
        config: ``threads`` fixes the number; ``workers`` count into the budget.
        resumed: Use the number that the training began with, if it is known.
        quiet: Print nothing.

    Returns:
        Seconds of the forward and backward passes of a step, where they were timed here and now.

    Raises:
        RunError: If the stored number of a resumed training cannot be read.
    """
    if arguments.device.type != "cpu" or processes.count() > 1:
        return None
    file = Path(str(arguments.output_dir)) / FILE
    if resumed and file.is_file():
        choice = _kept_choice(file)
    else:
        choice = fixed_threads(config.workers, config.threads) or time_threads(model, prepare, config.workers)
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(choice.to_json()))
    torch.set_num_threads(choice.threads)
    if choice.reason == "timed":
        note(f"computing with {choice}; {option('threads')} fixes the number", quiet)
    return None if resumed else choice.seconds.get(choice.threads)


def _kept_choice(file: Path) -> ThreadChoice:
    """Read the number of threads that a training began with.

    Raises:
        RunError: If the file holds none.
    """
    try:
        choice = ThreadChoice.from_json(read_json(file))
        if not all(type(count) is int and 1 <= count <= MOST for count in (choice.threads, choice.available)):
            raise ValueError("no number of threads")
        str(choice)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise RunError(
            f"{file}: cannot be read. Remove it, or start again with {option('overwrite', True)}"
        ) from None
    return choice


def time_threads(model: nn.Module, prepare: Callable[[], Step], workers: int) -> ThreadChoice:
    """Time training steps with several numbers of threads; model and random state are restored."""
    with restored_state(model) as training:
        step = prepare()
        return choose_threads(lambda: step(training), available_threads(workers))


@contextmanager
def restored_state(model: Any) -> Iterator[nn.Module]:
    """Set ``model`` to training mode, and restore its mode, its buffers and the random state afterwards."""
    training = model.training
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.random.fork_rng(devices=[]):
        try:
            yield model.train()
        finally:
            model.train(training)
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
