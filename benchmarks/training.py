"""Rows a second in training: what `polymodal fit` trains with against a plain PyTorch loop.

    python benchmarks/training.py --rounds 5 --threads 2
    python benchmarks/training.py --photographs 300 --lines "from the second epoch on"

Ours is `polymodal.training.loop.trainer.train` as a fit calls it: RowDataset, Collator, Trainer. Plain is
`plain_loop.py`. Both get copies of one model, the same rows, batch size, AdamW, parameter groups, schedule
and clipping; augmentation is the model's own. Modality dropout is off; validation and saving are not timed.
The clock runs from an epoch's begin, before its first batch is read, to the end of its last step.
Rounds alternate, and so does who goes first in them. Four lines; the first three time the first epoch:

- every cell decoded: on both sides, in the epoch; ours without its cache;
- from an empty cache: plain as before; ours decodes a recording that several rows share once;
- after the check: nothing is decoded on either side. So a fit begins, whose check has read every cell;
- from the second epoch on: both train two epochs, and the second one is timed. Plain decodes every cell in
  each epoch; ours has an empty cache before the first one.

`--photographs N` makes N photographs of 12 megapixels with 10 s of stereo sound, in a temporary folder.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from photographs import write_photographs
from plain_loop import Epoch, plain_rows, train_epochs
from timing import DATA, Line, check_equal, heading, keep_rows, measure, our_epochs, plain_settings, report
from transformers import set_seed

from polymodal.data.cache.memory import DEFAULT_LIMIT, ReadCache
from polymodal.data.collator import Collator
from polymodal.data.row_dataset import RowDataset
from polymodal.demo.demo_table import write_demo
from polymodal.training.opening import open_job
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.request import FitRequest
from polymodal.training.warm_start.load import build_started

LINES = ("every cell decoded", "from an empty cache", "after the check", "from the second epoch on")


def open_fit(options: argparse.Namespace) -> PredictionJob:
    """The fit of a table, with as many training rows as asked and a few validation rows."""
    settings = [f"train.batch_size={options.batch_size}", "train.epochs=1", "train.modality_dropout=0"]
    inputs = options.inputs.split(",")
    job = open_job(FitRequest(options.table, targets=[options.target], inputs=inputs, settings=settings))
    keep_rows(job, options.rows)
    return job


def compared(job: PredictionJob, target: str, model: Any) -> list[Line]:
    """Ours and plain, for each of ``LINES``."""
    rows, join = plain_rows(job.processor.readers, job.splits["train"], {target: job.answers()[target]})
    settings, ours = plain_settings(job, model), job.rows("train")
    first = range(min(settings["batch_size"], len(ours)))
    few = [rows[index] for index in first]
    check_equal(Collator(job.processor)(ours.__getitems__(first)), join(few))
    train_epochs(copy.deepcopy(model), few, join, **settings)  # torch's own warming up
    plain = partial(train_epochs, rows=rows, collate=join, **settings)

    def cold(model: Any, limit: int, epochs: int = 1) -> list[Epoch]:
        rows = RowDataset(job.splits["train"], job.processor, ReadCache(limit), targets=[target])
        return our_epochs(model, rows, job, epochs)

    def warm(model: Any) -> list[Epoch]:
        for start in range(0, len(ours), 64):  # fills the job's cache, as a fit's check does
            ours.__getitems__(range(start, min(start + 64, len(ours))))
        return our_epochs(model, ours, job)

    def decoded(model: Any) -> list[Epoch]:
        if not kept:
            kept.extend(rows[index] for index in range(len(rows)))
        return train_epochs(model, kept, join, **settings)

    kept: list = []
    sides = [
        (partial(cold, limit=0), plain),
        (partial(cold, limit=DEFAULT_LIMIT), plain),
        (warm, decoded),
        (partial(cold, limit=DEFAULT_LIMIT, epochs=2), partial(plain, epochs=2)),
    ]
    return [
        Line(name, *pair, skipped=place == 3)
        for place, (name, pair) in enumerate(zip(LINES, sides, strict=True))
    ]


def make_table(options: argparse.Namespace, folder: Path) -> None:
    """Where the data are made, make them, and say in ``options`` what to read of them."""
    if options.photographs:
        small = {"size": (400, 300), "seconds": 0.5} if options.smoke else {}
        options.table = write_photographs(folder, options.photographs, **small)
        options.inputs, options.target = "photo,sound", "place"
    elif options.smoke:
        options.table = write_demo(folder, rows=60)
        options.inputs, options.target = "image,audio", "digit"
    if options.smoke:
        options.rounds, options.batch_size = 1, 16


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--table", type=Path, default=DATA / "av_digits" / "digits.csv")
    parser.add_argument("--inputs", default="image_degraded,audio", help="columns, with commas between")
    parser.add_argument("--target", default="label", help="the column to learn, a class")
    parser.add_argument("--photographs", type=int, default=0, help="make so many, and train on them")
    parser.add_argument("--rows", type=int, default=0, help="training rows; 0: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    parser.add_argument(
        "--lines", nargs="+", choices=LINES, default=LINES, metavar="LINE", help="all by default"
    )
    parser.add_argument("--smoke", action="store_true", help="a toy table and one round, to see that it runs")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        make_table(options, Path(folder))
        if options.threads:
            torch.set_num_threads(options.threads)
        job = open_fit(options)
        rows = len(job.splits["train"])
        what = f"{options.table.name}: {options.inputs} -> {options.target}"
        print(heading(what, rows, options), flush=True)
        seed = job.declaration.train.seed
        set_seed(seed)
        model = build_started(job, job.declaration)
        lines = [line for line in compared(job, options.target, model) if line.name in options.lines]
        report([line.name for line in lines], measure(lines, model, options.rounds, seed), rows)


if __name__ == "__main__":
    main()
