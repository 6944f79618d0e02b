"""Rows a second in the first epoch: what `polymodal fit` trains with against a plain PyTorch loop.

    python benchmarks/training.py --rounds 5 --threads 2

Ours is `polymodal.training.trainer.train` as a fit calls it: RowDataset, Collator, Trainer. Plain is
`plain_loop.py`. Both get copies of one model, the same rows, batch size, AdamW, parameter groups, schedule
and clipping; augmentation is the model's own. Modality dropout is off; validation and saving are not timed.
The clock runs from the first epoch's begin, before its first batch is read, to the end of its last step.
Rounds alternate, and so does who goes first in them. Three lines:

- every cell decoded: on both sides, in the epoch; ours without its cache;
- from an empty cache: plain as before; ours decodes a recording that several rows share once;
- after the check: nothing is decoded on either side. So a fit begins, whose check has read every cell.
"""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import transformers
from plain_loop import PlainRows, collate, now, read_picture, read_sound, train_epoch
from transformers import TrainerCallback, set_seed

from polymodal.data.cache import DEFAULT_LIMIT, ReadCache
from polymodal.data.collator import Collator, RowDataset
from polymodal.demo.data import write_demo
from polymodal.models.build import build_model
from polymodal.training import trainer as training
from polymodal.training.job import Job, open_job
from polymodal.training.progress import quiet_libraries

DATA = Path(os.environ.get("POLYMODAL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
LINES = ("every cell decoded", "from an empty cache", "after the check")
VALIDATION_ROWS = 64  # not timed
Side = Callable[[Any], tuple[float, float]]
"""Trains the model it is given for an epoch: seconds, mean loss."""


class Clock(TrainerCallback):
    """Times the first epoch, from its begin to the end of its last step."""

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start."""
        self.began = now()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Stop, before the epoch is evaluated and saved."""
        if state.global_step == state.max_steps:
            self.seconds = now() - self.began


def our_epoch(model: Any, rows: RowDataset, job: Job) -> tuple[float, float]:
    """Seconds and mean loss of the first epoch of a fit."""
    clock, kind = Clock(), training.PolymodalTrainer

    def timed(**options: Any) -> training.PolymodalTrainer:
        trainer = kind(**options)
        trainer.add_callback(clock)
        return trainer

    given = model, rows, job.rows("validation"), job.declaration.train
    with TemporaryDirectory() as folder, quiet_libraries(), patch.object(training, "PolymodalTrainer", timed):
        trained = training.train(*given, Path(folder), metric=job.metric, quiet=True)
    return clock.seconds, next(entry["loss"] for entry in trained["history"] if "loss" in entry)


def open_fit(options: argparse.Namespace) -> Job:
    """The fit of a table, with as many training rows as asked and a few validation rows."""
    settings = [f"train.batch_size={options.batch_size}", "train.epochs=1", "train.modality_dropout=0"]
    inputs = options.inputs.split(",")
    job = open_job(options.table, targets=[options.target], inputs=inputs, settings=settings)
    for split, most in (("train", options.rows), ("validation", VALIDATION_ROWS)):
        kept = np.arange(min(most, len(job.splits[split])) if most else len(job.splits[split]))
        job.splits[split], job.numbers[split] = job.splits[split].select(kept), job.numbers[split][kept]
    return job


def plain_side(job: Job, target: str) -> tuple[PlainRows, Callable]:
    """The plain loop's rows and how it collates them, for what the fit reads."""
    readers: dict[str, Callable] = {}
    samples, train = 0, job.splits["train"]
    for name, reader in job.processor.readers.items():
        if reader.part is not None or reader.modality not in ("image", "audio"):
            raise SystemExit(
                f"{name}: the plain loop reads pictures and recordings, for encoders from scratch"
            )
        if reader.modality == "image":
            readers[name] = partial(read_picture, size=reader.size)
        else:
            samples = reader.samples
            readers[name] = partial(read_sound, rate=reader.rate, samples=samples)
    rows = PlainRows(list(train.rows()), train.root or Path(), readers, job.answers()[target])
    return rows, partial(collate, target=target, samples=samples)


def sides(job: Job, target: str, model: Any) -> list[tuple[Side, Side]]:
    """Ours and plain, for each line."""
    config = job.declaration.train
    settings = config.model_dump(include={"batch_size", "learning_rate", "weight_decay", "warmup", "workers"})
    settings["decayed"] = set(training.PolymodalTrainer.get_decay_parameter_names(None, model))
    rows, join = plain_side(job, target)
    decoded = [rows[index] for index in range(len(rows))]
    ours = job.rows("train")
    read = [ours[index] for index in range(len(ours))]  # fills the job's cache, as a fit's check does
    check_equal(Collator(job.processor)(read[:64]), join(decoded[:64]))

    def cold(model: Any, limit: int) -> tuple[float, float]:
        rows = RowDataset(job.splits["train"], job.processor, ReadCache(limit), targets=[target])
        return our_epoch(model, rows, job)

    plain = partial(train_epoch, rows=rows, collate=join, **settings)
    return [
        (partial(cold, limit=0), plain),
        (partial(cold, limit=DEFAULT_LIMIT), plain),
        (
            partial(our_epoch, rows=ours, job=job),
            partial(train_epoch, rows=decoded, collate=join, **settings),
        ),
    ]


def check_equal(ours: Any, plain: Any, place: str = "batch") -> None:
    """Both sides must train on the same numbers."""
    if isinstance(ours, dict) and ours.keys() == plain.keys():
        for name, value in ours.items():
            check_equal(value, plain[name], f"{place}.{name}")
    elif isinstance(ours, dict) or not torch.equal(ours, plain):
        raise SystemExit(f"{place}: the two sides read different data")


def measure(job: Job, target: str, rounds: int) -> np.ndarray:
    """Seconds and mean loss ``(lines, rounds, ours and plain, 2)``, in alternating order."""
    seed = job.declaration.train.seed
    set_seed(seed)
    model = build_model(job.declaration, job.processor, job.answers())
    pairs = sides(job, target, model)
    pairs[-1][1](copy.deepcopy(model))  # torch's own warming up
    results = np.zeros((len(LINES), rounds, 2, 2))
    for line, pair in enumerate(pairs):
        for turn in range(rounds):
            for side in (0, 1) if turn % 2 == 0 else (1, 0):
                set_seed(seed)
                results[line, turn, side] = pair[side](copy.deepcopy(model))
    return results


def report(results: np.ndarray, rows: int) -> None:
    """Print medians over the rounds, and the range of the rounds' own ratios."""
    print(f"{'':22}{'ours':>10}{'plain':>10}{'ours/plain':>12}   (rounds)         mean loss: ours, plain")
    for name, line in zip(LINES, results, strict=True):
        speeds = rows / line[:, :, 0]
        ours, plain = np.median(speeds, axis=0)
        ratios = speeds[:, 0] / speeds[:, 1]
        loss = line[:, :, 1].mean(axis=0)
        span = f"({ratios.min():.2f} to {ratios.max():.2f})"
        text = f"{name:22}{ours:10.1f}{plain:10.1f}{ours / plain:12.3f}   {span}"
        print(f"{text}   {loss[0]:.3f}, {loss[1]:.3f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--table", type=Path, default=DATA / "av_digits" / "digits.csv")
    parser.add_argument("--inputs", default="image_degraded,audio", help="columns, with commas between")
    parser.add_argument("--target", default="label", help="the column to learn, a class")
    parser.add_argument("--rows", type=int, default=0, help="training rows; 0: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    parser.add_argument("--smoke", action="store_true", help="a toy table and one round, to see that it runs")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        if options.smoke:
            options.table = write_demo(Path(folder), rows=60)
            options.inputs, options.target, options.rounds, options.batch_size = "image,audio", "digit", 1, 16
        if options.threads:
            torch.set_num_threads(options.threads)
        job = open_fit(options)
        rows = len(job.splits["train"])
        print(
            f"{options.table.name}: {options.inputs} -> {options.target}, {rows} rows, batches of "
            f"{options.batch_size}, {options.rounds} rounds, {torch.get_num_threads()} threads, "
            f"torch {torch.__version__}, transformers {transformers.__version__}; rows a second:"
        )
        report(measure(job, options.target, options.rounds), rows)


if __name__ == "__main__":
    main()
