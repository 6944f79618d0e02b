"""What the training benchmarks share: epochs of a fit, timed; rounds that alternate; the printed lines."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
import transformers
from plain_loop import Epoch, now
from transformers import TrainerCallback, set_seed

from polymodal.data.row_dataset import RowDataset
from polymodal.training.loop import trainer as training
from polymodal.training.prediction_job import PredictionJob
from polymodal.utils.progress import quiet_libraries

DATA = Path(os.environ.get("POLYMODAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
VALIDATION_ROWS = 64  # not timed
PLAIN_SETTINGS = ("batch_size", "learning_rate", "weight_decay", "warmup", "workers")
Side = Callable[[Any], list[Epoch]]
"""Trains the model it is given; a measurement an epoch."""


class Line(NamedTuple):
    """What is compared: both sides, and how many epochs at the start are left out."""

    name: str
    ours: Side
    plain: Side
    skipped: int = 0


class Clock(TrainerCallback):
    """Times each epoch, from its begin to the end of its last step: before it is evaluated and saved."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start."""
        self.began = now()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop at an epoch's last step."""
        if state.global_step % round(state.max_steps / args.num_train_epochs) == 0:
            self.seconds.append(now() - self.began)


def our_epochs(model: Any, rows: RowDataset, job: PredictionJob, epochs: int = 1) -> list[Epoch]:
    """The epochs of a fit, as `polymodal fit` trains them."""
    clock, kind = Clock(), training.PolymodalTrainer

    def timed(**options: Any) -> training.PolymodalTrainer:
        trainer = kind(**options)
        trainer.add_callback(clock)
        return trainer

    config = job.declaration.train.model_copy(update={"epochs": epochs, "patience": 0})
    given = model, rows, job.rows("validation"), config
    with TemporaryDirectory() as folder, quiet_libraries(), patch.object(training, "PolymodalTrainer", timed):
        trained = training.train(*given, Path(folder), metric=job.metric, quiet=True)
    losses = [entry["loss"] for entry in trained["history"] if "loss" in entry]
    return [Epoch(seconds, loss) for seconds, loss in zip(clock.seconds, losses, strict=True)]


def plain_settings(job: PredictionJob, model: Any) -> dict[str, Any]:
    """What `plain_loop.train_epochs` must know to train as the fit does."""
    settings = job.declaration.train.model_dump(include=set(PLAIN_SETTINGS))
    return settings | {"decayed": set(training.PolymodalTrainer.get_decay_parameter_names(None, model))}


def keep_rows(job: PredictionJob, most: int) -> None:
    """Leave at most ``most`` training rows (0: all) and a few validation rows in ``job``."""
    for split, limit in (("train", most), ("validation", VALIDATION_ROWS)):
        count = len(job.splits[split])
        kept = np.arange(min(limit, count) if limit else count)
        job.splits[split], job.numbers[split] = job.splits[split].select(kept), job.numbers[split][kept]


def check_equal(ours: Any, plain: Any, place: str = "batch") -> None:
    """Both sides must read the same numbers."""
    if isinstance(ours, dict) and ours.keys() == plain.keys():
        for name, value in ours.items():
            check_equal(value, plain[name], f"{place}.{name}")
    elif isinstance(ours, dict) or not torch.equal(ours, plain):
        raise SystemExit(f"{place}: the two sides read different data")


def measure(lines: Sequence[Line], model: Any, rounds: int, seed: int) -> np.ndarray:
    """Seconds an epoch and mean loss ``(lines, rounds, ours and plain, 2)``, in alternating order."""
    results = np.zeros((len(lines), rounds, 2, 2))
    for place, line in enumerate(lines):
        for turn in range(rounds):
            for side in (0, 1) if turn % 2 == 0 else (1, 0):
                set_seed(seed)
                epochs = (line.ours, line.plain)[side](copy.deepcopy(model))
                results[place, turn, side] = np.mean(epochs[line.skipped :], axis=0)
    return results


def heading(what: str, rows: int, options: Any) -> str:
    """The first line that is printed."""
    return (
        f"{what}, {rows} rows, batches of {options.batch_size}, {options.rounds} rounds, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"transformers {transformers.__version__}; rows a second:"
    )


def report(names: Sequence[str], results: np.ndarray, rows: int) -> None:
    """Print medians over the rounds, and the range of the rounds' own ratios."""
    print(f"{'':26}{'ours':>10}{'plain':>10}{'ours/plain':>12}   (rounds)         mean loss: ours, plain")
    for name, line in zip(names, results, strict=True):
        speeds = rows / line[:, :, 0]
        ours, plain = np.median(speeds, axis=0)
        ratios = speeds[:, 0] / speeds[:, 1]
        loss = line[:, :, 1].mean(axis=0)
        span = f"({ratios.min():.2f} to {ratios.max():.2f})"
        text = f"{name:26}{ours:10.1f}{plain:10.1f}{ours / plain:12.3f}   {span}"
        print(f"{text}   {loss[0]:.3f}, {loss[1]:.3f}")
