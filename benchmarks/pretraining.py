"""Pre-training: rows a second against a plain PyTorch loop, the memory of pieces, and how busy a GPU is.

    python benchmarks/pretraining.py --rounds 5 --threads 2
    python benchmarks/pretraining.py --parts memory --threads 2
    python benchmarks/pretraining.py --gpu --workers 14

Speed: ours is `polymodal.training.loop.trainer.train` as `polymodal pretrain` calls it, by the objective
`contrastive` between two inputs, without fused parts. Plain is `plain_loop.py` with the same encoders,
embedding and shared space, and InfoNCE written by hand (`pairs.py`). Both get copies of one model, the same
rows, batch size, AdamW, parameter groups, schedule and clipping; augmentation is the model's own. All cells
are decoded before, on both sides; validation and saving are not timed; the clock is that of `training.py`.
Ours also looks for pairs of equal content, which plain takes for unlike, so the losses differ a little;
before anything is timed, that of one batch without the search must be the same on both sides. Rounds
alternate, and so does who goes first in them.

Memory: the most that a process held which made one step (forward and backward) of a batch of 4,096 rows,
whole and in pieces of 256, a fresh process each; both must give the same loss and gradient. What it held
before the step (libraries, weights, the rows read) is told beside it. Without augmentation, dropout and
optimizer.

`--gpu`: see `pretraining_gpu.py`.
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
from pairs import PlainPairs, built, equal, open_pairs
from plain_loop import Epoch, plain_rows, train_epochs
from pretraining_gpu import add_options, gpu
from pretraining_memory import memory
from timing import DATA, Line, check_equal, heading, measure, our_epochs, plain_settings, report
from transformers import set_seed

from polymodal.data.collator import Collator
from polymodal.demo.demo_table import write_demo
from polymodal.training.prediction_job import PredictionJob

LINES = ("first epoch", "second epoch")


def compared(job: PredictionJob, model: Any) -> list[Line]:
    """Ours and plain, for each of ``LINES``."""
    rows, join = plain_rows(job.processor.readers, job.splits["train"])
    settings, ours = plain_settings(job, model), job.rows("train")
    for start in range(0, len(ours), 64):  # fills the job's cache, as the check before a training does
        ours.__getitems__(range(start, min(start + 64, len(ours))))
    kept = [rows[index] for index in range(len(rows))]
    first = range(min(settings["batch_size"], len(ours)))
    batch, few = Collator(job.processor)(ours.__getitems__(first)), kept[: len(first)]
    check_equal(batch, join(few))
    check_loss(model, batch)
    train_epochs(PlainPairs(copy.deepcopy(model)), few, join, **settings)  # torch's own warming up

    def trained(model: Any, epochs: int) -> list[Epoch]:
        return our_epochs(model, ours, job, epochs)

    def plain(model: Any, epochs: int) -> list[Epoch]:
        return train_epochs(PlainPairs(model), kept, join, epochs=epochs, **settings)

    return [
        Line(name, partial(trained, epochs=epochs), partial(plain, epochs=epochs), skipped=epochs - 1)
        for epochs, name in enumerate(LINES, start=1)
    ]


def check_loss(model: Any, batch: dict[str, Any]) -> None:
    """Both sides must make the same loss of a batch none of whose rows are known to be equal.

    Raises:
        SystemExit: If they do not.
    """
    losses = []
    for side in (copy.deepcopy(model), PlainPairs(copy.deepcopy(model))):
        set_seed(0)  # of dropout and augmentation
        with torch.no_grad():
            losses.append(float(side.train()(**batch).loss))
    equal(losses, "the two sides")


def speed(options: argparse.Namespace) -> None:
    """Measure and print the speed."""
    inputs = options.inputs.split(",")
    job = open_pairs(options.table, inputs, options.rows, [f"train.batch_size={options.batch_size}"])
    rows = len(job.splits["train"])
    print(heading(f"{options.table.name}: {' + '.join(inputs)}", rows, options), flush=True)
    model = built(job)
    lines = compared(job, model)
    report(LINES, measure(lines, model, options.rounds, job.declaration.train.seed), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--parts", nargs="+", choices=("speed", "memory"), default=("speed", "memory"))
    parser.add_argument("--table", type=Path, default=DATA / "av_digits" / "digits.csv")
    parser.add_argument("--inputs", default="image_degraded,audio", help="two columns, with a comma between")
    parser.add_argument("--rows", type=int, default=0, help="training rows; 0: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    parser.add_argument("--memory-rows", type=int, default=4096, help="of the one large batch")
    parser.add_argument("--memory-rounds", type=int, default=3, help="processes of each way")
    parser.add_argument("--piece", type=int, default=256, help="rows that go through the encoders at once")
    parser.add_argument("--smoke", action="store_true", help="toy sizes and one round, to see that it runs")
    add_options(parser)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    with TemporaryDirectory() as name:
        folder = Path(name)
        if options.gpu:
            gpu(options, folder)
            return
        if options.smoke:
            options.table, options.inputs = write_demo(folder, rows=60), "image,audio"
            options.rounds, options.batch_size = 1, 16
            options.memory_rounds, options.memory_rows, options.piece = 1, 24, 5
        for part in options.parts:
            {"speed": speed, "memory": memory}[part](options)


if __name__ == "__main__":
    main()
