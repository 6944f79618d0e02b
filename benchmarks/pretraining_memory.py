"""What one step of a large contrastive batch holds, whole and in pieces; see `pretraining.py`.

    python benchmarks/pretraining_memory.py --table digits.csv --inputs image,audio --rows 4096 --piece 256

Run by itself it makes one step, forward and backward, and prints as JSON the bytes held when it begins
(libraries, weights, the batch), its seconds, its loss and the length of its gradient. Augmentation
and dropout are off, for pieces draw chance in another order; there is no optimizer.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
import torch
from memory import peak
from pairs import built, equal, open_pairs
from plain_loop import now
from torch import nn

from polymodal.data.collator import Collator
from polymodal.training.prediction_job import PredictionJob

STILL = ["train.augment=false", "fusion.dropout=0", "data.cache_memory=0"]


class Step(NamedTuple):
    """Of one way to make the step: bytes held at most and before it, seconds, loss and gradient's length."""

    peak: float
    before: float
    seconds: float
    loss: float
    gradient: float


def step(job: PredictionJob, piece: int | None) -> dict[str, float]:
    """One batch of all training rows, forward and backward."""
    model, rows = built(job).train(), job.rows("train")
    batch = Collator(job.processor, for_objectives=True)(rows.__getitems__(range(len(rows))))
    before, began = psutil.Process().memory_info().rss, now()
    loss = model(**batch, piece=piece).loss
    loss.backward()
    seconds = now() - began
    slope = nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    return {"before": before, "seconds": seconds, "loss": loss.item(), "gradient": slope.item()}


def measured(options: argparse.Namespace, piece: int | None) -> Step:
    """The medians of as many processes as asked for."""
    command = [
        sys.executable, str(Path(__file__).resolve()), "--table", str(options.table.resolve()),
        "--inputs", options.inputs, "--rows", str(options.memory_rows), "--threads", str(options.threads),
        *(["--piece", str(piece)] if piece else []),
    ]  # fmt: skip
    found = [peak(command, options.table.parent) for _ in range(options.memory_rounds)]
    steps = [Step(most, **json.loads(said)) for most, said in found]
    return Step(*map(median, zip(*steps, strict=True)))


def memory(options: argparse.Namespace) -> None:
    """Measure and print."""
    title = f"one step of {options.memory_rows} rows"
    print(
        f"{title:26}{'peak, MB':>10}{'before, MB':>12}{'seconds':>10}{'loss':>10}{'gradient':>10}", flush=True
    )
    ways = {"whole": None, f"in pieces of {options.piece}": options.piece}
    found = []
    for name, piece in ways.items():
        found.append(made := measured(options, piece))
        print(
            f"{name:26}{made.peak / 1e6:10.0f}{made.before / 1e6:12.0f}{made.seconds:10.2f}"
            f"{made.loss:10.5f}{made.gradient:10.5f}",
            flush=True,
        )
    whole, pieces = found
    equal([whole.loss, pieces.loss], "the whole batch and its pieces")
    equal([whole.gradient, pieces.gradient], "the whole batch and its pieces", "gradient")
    added = (pieces.peak - pieces.before) / max(1, whole.peak - whole.before)
    print(f"pieces/whole: peak {pieces.peak / whole.peak:.3f}, what the step adds {added:.3f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make one step and print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--inputs", required=True, help="two columns, with a comma between")
    parser.add_argument("--rows", type=int, default=0, help="of the batch; 0: all training rows")
    parser.add_argument("--piece", type=int, default=None, help="rows that go through the encoders at once")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    job = open_pairs(options.table, options.inputs.split(","), options.rows, STILL)
    print(json.dumps(step(job, options.piece)))


if __name__ == "__main__":
    main()
