"""What the GPU benchmarks share: pictures that are made, FLOPs, and the speed of a watched training."""

from __future__ import annotations

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image
from plain_loop import DEVICE, now, to_device
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import Trainer, TrainerCallback

from polymodal.training.loop import trainer as training
from polymodal.training.prediction_job import PredictionJob
from polymodal.utils.progress import quiet_libraries

PEAK = {"H200": 989e12, "H100": 989e12, "GH200": 989e12, "A100": 312e12, "L40S": 362e12, "B200": 2250e12}
"""Dense bf16 FLOPs a second by a part of the device's name, from NVIDIA's data sheets."""


class Watching(Trainer):
    """Notes when each batch was asked for and when it was there, with all work before it done."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fetched: list[tuple[float, float]] = []
        self.ended: list[float] = []
        self.add_callback(Ends(self.ended))

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """See :class:`transformers.Trainer`."""
        asked = now()
        batches = super().get_batch_samples(*args, **kwargs)
        self.fetched.append((asked, now()))
        return batches

    def found(self, skipped: int) -> tuple[float, float]:
        """Steps a second behind the first ``skipped`` ones, and the share of time spent waiting for data."""
        seconds = self.ended[-1] - self.ended[skipped - 1]
        waited = sum(there - asked for asked, there in self.fetched[skipped : len(self.ended)])
        return (len(self.ended) - skipped) / seconds, waited / seconds


class Watched(Watching, training.PolymodalTrainer):
    """The Trainer of a fit, watched."""


class Ends(TrainerCallback):
    """Notes when each step ended, before the epoch is evaluated and saved."""

    def __init__(self, ended: list[float]) -> None:
        self.ended = ended

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note it."""
        self.ended.append(now())


def write_pictures(folder: Path, count: int, side: int, random: np.random.Generator) -> list[str]:
    """The paths of ``count`` JPEG files of soft blocks, no two alike."""
    paths = [str(folder / f"{number}.jpg") for number in range(count)]
    for path in paths:
        blocks = random.integers(0, 256, (14, 14, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((side, side), Image.Resampling.BICUBIC).save(path, quality=90)
    return paths


def count_flops(model: nn.Module, batch: dict[str, Any], rows: int) -> float:
    """FLOPs of a row's forward and backward pass; ``batch`` holds ``rows`` of them."""
    trial = copy.deepcopy(model).to(DEVICE).train()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        trial(**to_device(batch)).loss.backward()
    return counter.get_total_flops() / rows


def train(model: Any, job: PredictionJob) -> tuple[float, float]:
    """Rows a second, and the share of time that was waited for data."""
    made: list[Watched] = []

    def watched(**options: Any) -> Watched:
        made.append(Watched(**options))
        return made[-1]

    config = job.declaration.train
    given = model, job.rows("train"), job.rows("validation"), config
    with (
        TemporaryDirectory() as folder,
        quiet_libraries(),
        patch.object(training, "PolymodalTrainer", watched),
    ):
        training.train(*given, Path(folder), metric=job.metric, quiet=True)
    speed, waiting = made[0].found(len(made[0].ended) // 2 + 1)  # an epoch, and the first step of the next
    return speed * (config.batch_size or 0), waiting


def device_name(anywhere: bool) -> str:
    """The GPU's name.

    Raises:
        SystemExit: If there is none, and one is wanted.
    """
    if DEVICE == "cuda":
        return torch.cuda.get_device_name()
    if not anywhere:
        raise SystemExit("there is no GPU here; --smoke runs anywhere")
    return "no GPU"


def share_of_peak(flops: float, speed: float, device: str | None = None) -> str:
    """The MFU of ``speed`` rows a second of ``flops`` each, where the device's peak is known.

    Args:
        flops: Of a row.
        speed: Rows a second.
        device: Its name; by default that of the GPU here.
    """
    name = device or (torch.cuda.get_device_name() if DEVICE == "cuda" else "")
    most = next((peak for part, peak in PEAK.items() if part in name), None)
    return f"{flops * speed / most:.1%}" if most else "–"
