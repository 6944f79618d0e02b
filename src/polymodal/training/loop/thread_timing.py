"""The number of threads of a training: timed before its first step, and kept for ``--resume``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from polymodal.config import TrainConfig
from polymodal.errors import RunError
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

if TYPE_CHECKING:
    from polymodal.training.loop.trainer_base import WholeCheckpoints

FILE = "threads.json"
"""Beside the checkpoints: rounding depends on the number, so that a resumed training must keep it."""
MOST = 4096
"""Threads that a file may name; more than any machine has cores."""


def training_threads(config: TrainConfig) -> AbstractContextManager[None]:
    """Inside, a fit may set its number of threads, which begins at the most; behind it all is as before."""
    return computing_threads(config.threads or available_threads(config.workers))


def settle_threads(trainer: WholeCheckpoints, config: TrainConfig, *, resumed: bool, quiet: bool) -> None:
    """Let torch compute with the number of threads that a training on a CPU has, or begins with.

    Several processes are left alone: their launcher decides.

    Args:
        trainer: Has its model and its rows.
        config: ``threads`` fixes the number; ``workers`` count into the budget.
        resumed: Take the number that the training began with, if it is known.
        quiet: Print nothing.
    """
    if trainer.args.device.type != "cpu" or processes.count() > 1:
        return
    file = Path(str(trainer.args.output_dir)) / FILE
    if resumed and file.is_file():
        choice = _kept_choice(file)
    else:
        choice = fixed_threads(config.workers, config.threads) or time_threads(trainer, config.workers)
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(choice.to_json()))
    torch.set_num_threads(choice.threads)
    if choice.reason == "timed":
        note(f"computing with {choice}; --threads fixes the number", quiet)


def _kept_choice(file: Path) -> ThreadChoice:
    """The choice in a file.

    Raises:
        RunError: If it holds none.
    """
    try:
        choice = ThreadChoice.from_json(read_json(file))
        if not all(type(count) is int and 1 <= count <= MOST for count in (choice.threads, choice.available)):
            raise ValueError("no number of threads")
        str(choice)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise RunError(f"{file}: cannot be read. Remove it, or begin anew with --overwrite") from None
    return choice


def time_threads(trainer: WholeCheckpoints, workers: int) -> ThreadChoice:
    """Time steps on the first batch; model and random state stay as they are."""
    with undisturbed(trainer.model) as model:
        batch = trainer._prepare_inputs(trainer.first_batch())
        return choose_threads(lambda: _step(trainer, model, batch), available_threads(workers))


def _step(trainer: WholeCheckpoints, model: nn.Module, batch: Any) -> None:
    """Forward and backward through ``model``, whose weights stay."""
    with trainer.compute_loss_context_manager():
        loss, _ = trainer.step_loss(model, batch)
    loss.backward()
    model.zero_grad(set_to_none=True)


@contextmanager
def undisturbed(model: Any) -> Iterator[nn.Module]:
    """``model`` in training mode; behind it the random state, buffers and mode are as before."""
    training = model.training
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.random.fork_rng(devices=[]):
        try:
            yield model.train()
        finally:
            model.train(training)
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
