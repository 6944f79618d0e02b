"""Rows a second in the first epoch: what `polymodal fit` trains with against a plain PyTorch loop.

    python benchmarks/training.py --rounds 5 --threads 2

Ours is `polymodal.training.trainer.train` as a fit calls it: RowDataset, Collator, Trainer. Plain is the loop at
the top of this file, which takes nothing from Polymodal or Transformers but the model's own modules. Both get
copies of one model, the same rows, batch size, AdamW, parameter groups, schedule and clipping; modality dropout
is off, augmentation is the model's, validation and saving are not timed. The clock runs from the first epoch's
begin, before its first batch is read, to the end of its last step. Two lines are printed:

- decoding each cell: in the epoch, on both sides (ours without its cache, which would spare it the recordings
  that several rows share);
- after the check: nothing is decoded on either side; so a fit begins, whose check has read every cell.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import time
import wave
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers import TrainerCallback, set_seed

from polymodal.data.cache import ReadCache
from polymodal.data.collator import Collator, RowDataset
from polymodal.demo.data import write_demo
from polymodal.models.build import build_model
from polymodal.training import trainer as training
from polymodal.training.job import Job, open_job
from polymodal.training.progress import quiet_libraries

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
DECODING, DECODED = "decoding each cell", "after the check"
VALIDATION_ROWS = 64  # not timed
Times = dict[tuple[str, str], list[tuple[float, float]]]
"""By line and side: seconds and mean loss of each round."""


def read_picture(path: Path, size: int) -> np.ndarray:
    """uint8 ``(3, size, size)``."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image).transpose(2, 0, 1)


def read_sound(path: Path, rate: int, samples: int) -> np.ndarray:
    """float32 ``(at most samples,)`` of a WAV file of one channel and 16 bits."""
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (rate, 1, 2):
            raise SystemExit(f"{path}: the plain loop reads WAV of 16 bits, one channel and {rate} Hz only")
        content = file.readframes(file.getnframes())
    return np.frombuffer(content, dtype="<i2")[:samples].astype(np.float32) / 32768


class PlainRows(Dataset):
    """A row is its number, its decoded cells by input (None where empty) and the number of its class."""

    def __init__(self, rows: Sequence[dict[str, Any]], root: Path, readers: dict[str, Callable], answers: Any) -> None:
        self.rows, self.root, self.readers, self.answers = rows, root, readers, answers

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[int, dict[str, Any], int]:
        row = self.rows[index]
        cells = {name: read(self.root / row[name]) if row[name] else None for name, read in self.readers.items()}
        return index, cells, int(self.answers[index])


def plain_collate(rows: Sequence[tuple[int, dict[str, Any], int]], target: str, samples: int) -> dict[str, Any]:
    """Pictures stacked and sound padded to ``samples``, of the rows that have them."""
    inputs: dict[str, dict[str, torch.Tensor]] = {}
    for name in rows[0][1]:
        places = [place for place, row in enumerate(rows) if row[1][name] is not None]
        items = [rows[place][1][name] for place in places]
        if items and items[0].ndim == 3:
            inputs[name] = {"row": torch.tensor(places), "pixel_values": torch.from_numpy(np.stack(items))}
        elif items:
            waveform = np.zeros((len(items), samples), dtype=np.float32)
            for place, item in enumerate(items):
                waveform[place, : len(item)] = item
            length = torch.tensor([len(item) for item in items])
            inputs[name] = {"row": torch.tensor(places), "length": length, "waveform": torch.from_numpy(waveform)}
    answers = torch.tensor([row[2] for row in rows])
    return {"index": torch.tensor([row[0] for row in rows]), "inputs": inputs, "targets": {target: answers}}


def plain_epoch(model: nn.Module, rows: Any, collate: Callable, config: Any) -> tuple[float, float]:
    """Seconds and mean loss of the first epoch, by hand."""
    model.to(DEVICE).train()
    loader = DataLoader(rows, config.batch_size, shuffle=True, collate_fn=collate, num_workers=config.workers)
    warmup = math.ceil(config.warmup * len(loader))

    def share(step: int) -> float:
        done = (step - warmup) / max(1, len(loader) - warmup)
        return step / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * done))

    groups: dict[bool, list[nn.Parameter]] = {False: [], True: []}
    for name, parameter in model.named_parameters():
        groups["bias" not in name and "norm" not in name].append(parameter)
    decays = [{"params": given, "weight_decay": config.weight_decay * decay} for decay, given in groups.items()]
    optimizer = torch.optim.AdamW(decays, lr=config.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    total, began = 0.0, now()
    for batch in loader:
        loss = model(**to_device(batch)).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        total += loss.item()
    return now() - began, total / len(loader)


def now() -> float:
    """Seconds on a clock, read when all that was asked of a GPU is done."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def to_device(value: Any) -> Any:
    """A batch where the model is."""
    return {k: to_device(v) for k, v in value.items()} if isinstance(value, dict) else value.to(DEVICE)


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
