"""How busy a GPU is kept: SigLIP-base and Whisper-base towers with random weights, trained in bf16.

    python benchmarks/gpu.py --workers 14 --batch-size 128

For a picture (224x224 JPEG), a recording (30 s WAV) and both together, compiled and not: rows a second, MFU,
and the share of time that the loop waits for data. Nothing is downloaded: the towers are built from their
sizes, Whisper's with its feature extractor as a checkpoint folder, and the files are made here.

Training is `polymodal.training.trainer.train`, as a fit calls it, with workers that decode every cell in
every epoch (the cache is switched off). Two epochs; what is timed runs from the end of the second one's first
step, when the workers are under way and all is compiled, to the end of its last.

- MFU: FLOPs a row (forward and backward, matrix products and convolutions, counted once by
  `torch.utils.flop_counter` with attention as plain matrix products) times rows a second, over the dense bf16
  peak that the maker states. Nothing that is computed twice counts twice.
- waiting: from a GPU that has done all it was asked until the next batch lies on it.
"""

from __future__ import annotations

import argparse
import copy
import wave
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
import transformers
from PIL import Image
from plain_loop import DEVICE, now, to_device
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import TrainerCallback, WhisperConfig, WhisperFeatureExtractor, WhisperModel, set_seed

from polymodal.data.cache import ReadCache
from polymodal.data.collator import Collator
from polymodal.models.build import build_model
from polymodal.training import trainer as training
from polymodal.training.job import Job, open_job
from polymodal.training.progress import quiet_libraries

PEAK = {"H200": 989e12, "H100": 989e12, "GH200": 989e12, "A100": 312e12, "L40S": 362e12, "B200": 2250e12}
"""Dense bf16 FLOPs a second by a part of the device's name, from NVIDIA's data sheets."""
SIGLIP = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
WHISPER = {"d_model": 512, "encoder_layers": 6, "encoder_attention_heads": 8, "encoder_ffn_dim": 2048}
SIDE, RATE, SECONDS = 224, 16000, 30
FILES = 64
"""Distinct pictures, and recordings; rows share them, and each is decoded whenever a row is read."""
COUNTED = 2
"""Rows whose FLOPs are counted."""
TOWERS = (("image",), ("audio",), ("image", "audio"))


class Found(NamedTuple):
    """Of one line: FLOPs a row, rows a second, and the share of time that was waited for data."""

    flops: float
    speed: float
    waiting: float


class Watched(training.PolymodalTrainer):
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


class Ends(TrainerCallback):
    """Notes when each step ended, before the epoch is evaluated and saved."""

    def __init__(self, ended: list[float]) -> None:
        self.ended = ended

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Note it."""
        self.ended.append(now())


def write_files(folder: Path, rows: int, batch_size: int) -> pd.DataFrame:
    """The table; its pictures and recordings lie in ``folder``."""
    random = np.random.default_rng(0)
    pictures, sounds = [], []
    for number in range(FILES):
        blocks = random.integers(0, 256, (14, 14, 3), dtype=np.uint8)
        pictures.append(str(folder / f"{number}.jpg"))
        Image.fromarray(blocks).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(pictures[-1], quality=90)
        sounds.append(str(folder / f"{number}.wav"))
        with wave.open(sounds[-1], "wb") as file:
            file.setparams((1, 2, RATE, RATE * SECONDS, "NONE", ""))
            file.writeframes(random.normal(0, 3000, RATE * SECONDS).astype("<i2").tobytes())
    count = rows + batch_size
    chosen = random.integers(FILES, size=(2, count))
    return pd.DataFrame({
        "image": [pictures[place] for place in chosen[0]], "audio": [sounds[place] for place in chosen[1]],
        "kind": [("a", "b")[row % 2] for row in range(count)],
        "split": ["train"] * rows + ["val"] * batch_size,
    })  # fmt: skip


def write_whisper(folder: Path, sizes: dict[str, int]) -> Path:
    """A checkpoint of random weights, its decoder as small as can be: the encoder alone is used."""
    decoder = {"decoder_layers": 1, "decoder_attention_heads": 1, "decoder_ffn_dim": 8}
    WhisperModel(WhisperConfig(**sizes, **decoder)).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder


def open_fit(
    table: pd.DataFrame, inputs: Sequence[str], whisper: Path, compiled: bool, options: argparse.Namespace
) -> Job:
    """The fit of some of the inputs."""
    siglip = ", ".join(f"{name}: {size}" for name, size in options.siglip.items())
    tower = f"{{type: siglip_vision_model, {siglip}}}"
    declared = {
        "image": f"{{modality: image, encoder: {tower}, size: {SIDE}, augment: false}}",
        "audio": f"{{modality: audio, encoder: {{checkpoint: {whisper}}}}}",
    }
    settings = [f"inputs.{name}={declared[name]}" for name in inputs]
    settings += [
        f"train.batch_size={options.batch_size}", f"train.workers={options.workers}", "train.epochs=2",
        "train.patience=0", "train.modality_dropout=0", "train.precision=bf16",
        f"train.torch_compile={str(compiled).lower()}", "data.cache_memory=0", "data.cache_disk=0",
    ]  # fmt: skip
    if options.workers:
        settings += ["train.dataloader_persistent_workers=true", "train.dataloader_prefetch_factor=4"]
    if DEVICE == "cuda":
        settings.append("train.dataloader_pin_memory=true")
    elif compiled:
        settings.append("train.torch_compile_backend=eager")  # to see that it runs, without a compiler
    return open_job(table, targets=["kind"], inputs=list(inputs), settings=settings)


def count_flops(model: nn.Module, batch: dict[str, Any], rows: int) -> float:
    """FLOPs of a row's forward and backward pass; ``batch`` holds ``rows`` of them."""
    trial = copy.deepcopy(model).to(DEVICE).train()
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        trial(**to_device(batch)).loss.backward()
    return counter.get_total_flops() / rows


def train(model: Any, job: Job) -> tuple[float, float]:
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
    steps = len(made[0].ended) // 2  # an epoch
    seconds = made[0].ended[-1] - made[0].ended[steps]
    waited = sum(there - asked for asked, there in made[0].fetched[steps + 1 :])
    return (steps - 1) * (config.batch_size or 0) / seconds, waited / seconds


def lines(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Found]]:
    """What is measured, one after another."""
    table = write_files(folder, options.steps * options.batch_size, options.batch_size)
    whisper = write_whisper(folder / "whisper", options.whisper)
    for inputs in TOWERS:
        for compiled in (False, True):
            set_seed(0)
            job = open_fit(table, inputs, whisper, compiled, options)
            job.cache = ReadCache(0)
            model = build_model(job.declaration, job.processor, job.answers())
            name = " + ".join(inputs) + (", compiled" if compiled else "")
            few = Collator(job.processor)(job.rows("train").__getitems__(range(COUNTED)))
            yield name, Found(count_flops(model, few, COUNTED), *train(model, job))
            del model
            torch._dynamo.reset()


def peak() -> float | None:
    """What the device could do at most, if that is known."""
    name = torch.cuda.get_device_name() if DEVICE == "cuda" else ""
    return next((flops for part, flops in PEAK.items() if part in name), None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=40, help="an epoch")
    parser.add_argument("--workers", type=int, default=8, help="processes that read")
    parser.add_argument("--lines", type=int, default=2 * len(TOWERS), help="only so many, from the first one")
    parser.add_argument("--smoke", action="store_true", help="toy towers on any machine, to see that it runs")
    options = parser.parse_args(arguments)
    options.siglip, options.whisper = SIGLIP, WHISPER
    if options.smoke:
        options.siglip = dict(zip(SIGLIP, (16, 1, 1, 16), strict=True))
        options.whisper = dict(zip(WHISPER, (16, 1, 1, 16), strict=True))
        options.batch_size, options.steps, options.workers = 2, 2, 1
    elif DEVICE == "cpu":
        raise SystemExit("there is no GPU here; --smoke runs anywhere")
    device = torch.cuda.get_device_name() if DEVICE == "cuda" else "no GPU"
    print(
        f"{device}: bf16, batches of {options.batch_size}, {options.steps} steps an epoch, {options.workers} "
        f"workers, torch {torch.__version__}, transformers {transformers.__version__}"
    )
    print(f"{'':26}{'rows/s':>10}{'GFLOP a row':>14}{'MFU':>8}{'waiting':>10}", flush=True)
    most = peak()
    with TemporaryDirectory() as folder:
        for name, found in islice(lines(options, Path(folder)), options.lines):
            mfu = f"{found.flops * found.speed / most:.1%}" if most else "–"
            print(
                f"{name:26}{found.speed:10.1f}{found.flops / 1e9:14.3f}{mfu:>8}{found.waiting:10.1%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
