"""Training written by hand: pictures and recordings to a class, with PyTorch, Pillow, wave and soxr alone.

What `training.py`, `frozen.py` and `pretraining.py` measure Polymodal's training against; only the model's
own modules are Polymodal's.
"""

from __future__ import annotations

import math
import os
import time
import wave
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soxr
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


class Epoch(NamedTuple):
    """What an epoch took, and its mean loss."""

    seconds: float
    loss: float


Row = tuple[int, dict[str, Any], int]
"""A row's number, its decoded cells by input (None where empty) and the number of its class."""


def read_picture(path: Path, size: int) -> np.ndarray:
    """uint8 ``(3, size, size)``."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image).transpose(2, 0, 1)


def read_sound(path: Path, rate: int, samples: int) -> np.ndarray:
    """float32 ``(at most samples,)`` of a WAV file of 16 bits: the mean of its channels, at ``rate``."""
    with wave.open(str(path)) as file:
        if file.getsampwidth() != 2:
            raise SystemExit(f"{path}: the plain loop reads WAV of 16 bits only")
        own, channels = file.getframerate(), file.getnchannels()
        content = file.readframes(file.getnframes())
    sound = np.frombuffer(content, dtype="<i2").astype(np.float32) / 32768
    if channels > 1:
        sound = sound.reshape(-1, channels).mean(axis=1)
    if own != rate:
        sound = soxr.resample(sound, own, rate).clip(-1, 1)
    return sound[:samples]


class PlainRows(Dataset):
    """Rows of a table, each decoded when it is asked for.

    Args:
        rows: Cells by column.
        root: The folder that paths start from.
        readers: By input.
        answers: The class of each row, by number.
    """

    def __init__(
        self, rows: Sequence[dict[str, Any]], root: Path, readers: dict[str, Callable], answers: np.ndarray
    ) -> None:
        self.rows, self.root, self.readers, self.answers = rows, root, readers, answers

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        cells = self.rows[index]
        read = {
            name: reader(self.root / cells[name]) if cells[name] else None
            for name, reader in self.readers.items()
        }
        return index, read, int(self.answers[index])


def plain_rows(
    readers: Mapping[str, Any], table: Any, answers: Mapping[str, np.ndarray] | None = None
) -> tuple[PlainRows, Callable]:
    """The rows of a table as Polymodal's ``readers`` read them, and how to collate them.

    Args:
        readers: By input.
        table: Has ``rows()`` and ``root``.
        answers: The class of each row, by number, of one target; None where there is none.
    """
    plain: dict[str, Callable] = {}
    samples = 0
    for name, reader in readers.items():
        if reader.part is not None or reader.modality not in ("image", "audio"):
            raise SystemExit(
                f"{name}: the plain loop reads pictures and recordings, for encoders from scratch"
            )
        if reader.modality == "image":
            plain[name] = partial(read_picture, size=reader.size)
        else:
            samples = reader.samples
            plain[name] = partial(read_sound, rate=reader.rate, samples=samples)
    ((target, classes),) = (answers or {"": np.zeros(len(table), int)}).items()
    rows = PlainRows(list(table.rows()), Path(os.fspath(table.root or "")), plain, classes)
    return rows, partial(collate, target=target, samples=samples)


def collate(rows: Sequence[Row], target: str, samples: int) -> dict[str, Any]:
    """Pictures stacked and sound padded to ``samples``, of the rows that have them; ``""`` is no target."""
    inputs: dict[str, dict[str, Tensor]] = {}
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
            inputs[name] = {
                "row": torch.tensor(places), "length": length, "waveform": torch.from_numpy(waveform)
            }  # fmt: skip
    index, answers = torch.tensor([row[0] for row in rows]), torch.tensor([row[2] for row in rows])
    return {"index": index, "inputs": inputs, "targets": {target: answers} if target else {}}


def adamw(
    model: nn.Module, decayed: set[str], learning_rate: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW with weight decay on the parameters in ``decayed`` alone."""
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[name in decayed].append(parameter)
    decays = [{"params": given, "weight_decay": weight_decay * decay} for decay, given in groups.items()]
    return torch.optim.AdamW(decays, lr=learning_rate, fused=True)


def train_epochs(
    model: nn.Module,
    rows: Dataset | Sequence[Row],
    collate: Callable[[Any], dict[str, Any]],
    *,
    decayed: set[str],
    batch_size: int,
    learning_rate: float,
    weight_decay: float,
    warmup: float,
    workers: int,
    epochs: int = 1,
) -> list[Epoch]:
    """Train: the learning rate rises for a share of the steps, then falls."""
    model.to(DEVICE).train()
    loader = DataLoader(rows, batch_size, shuffle=True, collate_fn=collate, num_workers=workers)
    steps = epochs * len(loader)
    rising = math.ceil(warmup * steps)

    def share(step: int) -> float:
        fallen = (step - rising) / max(1, steps - rising)
        return step / rising if step < rising else 0.5 * (1 + math.cos(math.pi * fallen))

    optimizer = adamw(model, decayed, learning_rate, weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    return [train_epoch(model, loader, optimizer, schedule) for _ in range(epochs)]


def train_epoch(model: nn.Module, loader: DataLoader, optimizer: Any, schedule: Any) -> Epoch:
    """One pass over the rows."""
    total, began = 0.0, now()
    for batch in loader:
        loss = model(**to_device(batch)).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        total += loss.item()
    return Epoch(now() - began, total / len(loader))


def now() -> float:
    """Seconds on a clock, read when all that was asked of a GPU is done.

    With ``CPU_TIME`` in the environment those that the processor gave this process: on one thread what others
    do on the machine then hardly matters.
    """
    if DEVICE == "cuda":
        torch.cuda.synchronize()
    return time.process_time() if os.environ.get("CPU_TIME") else time.perf_counter()


def to_device(value: Any) -> Any:
    """A batch where the model is."""
    return {k: to_device(v) for k, v in value.items()} if isinstance(value, dict) else value.to(DEVICE)
