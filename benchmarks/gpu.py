"""How busy a GPU is kept: SigLIP-base and Whisper-base towers with random weights, trained in bf16.

    python benchmarks/gpu.py --workers 14 --batch-size 128

For a picture (224x224 JPEG), a recording (30 s WAV) and both together, compiled and not: rows a second, MFU,
and the share of time that the loop waits for data. Nothing is downloaded: the towers are built from their
sizes, Whisper's with its feature extractor as a checkpoint folder, and the files are made here.

Training is `polymodal.training.loop.trainer.train`, as a fit calls it, with workers that decode every cell in
every epoch (the cache is switched off). Two epochs; what is timed runs from the end of the second one's first
step, when the workers are under way and all is compiled, to the end of its last.

- MFU: FLOPs a row (forward and backward, matrix products and convolutions, counted once by
  `torch.utils.flop_counter` with attention as plain matrix products) times rows a second, over the dense bf16
  peak that the maker states. Nothing that is computed twice counts twice.
- waiting: from a GPU that has done all it was asked until the next batch lies on it.
"""

from __future__ import annotations

import argparse
import wave
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import transformers
from plain_loop import DEVICE
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel, set_seed
from utilization import count_flops, device_name, share_of_peak, train, write_pictures

from polymodal.data.cache.memory import ReadCache
from polymodal.data.collator import Collator
from polymodal.training.opening import open_job
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.request import FitRequest
from polymodal.training.warm_start.load import build_started

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


def write_files(folder: Path, rows: int, batch_size: int) -> pd.DataFrame:
    """The table; its pictures and recordings lie in ``folder``."""
    random = np.random.default_rng(0)
    pictures, sounds = write_pictures(folder, FILES, SIDE, random), []
    for number in range(FILES):
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
) -> PredictionJob:
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
    return open_job(FitRequest(table, targets=["kind"], inputs=list(inputs), settings=settings))


def lines(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Found]]:
    """What is measured, one after another."""
    table = write_files(folder, options.steps * options.batch_size, options.batch_size)
    whisper = write_whisper(folder / "whisper", options.whisper)
    for inputs in TOWERS:
        for compiled in (False, True):
            set_seed(0)
            job = open_fit(table, inputs, whisper, compiled, options)
            job.cache = ReadCache(0)
            model = build_started(job, job.declaration)
            name = " + ".join(inputs) + (", compiled" if compiled else "")
            few = Collator(job.processor)(job.rows("train").__getitems__(range(COUNTED)))
            yield name, Found(count_flops(model, few, COUNTED), *train(model, job))
            del model
            torch._dynamo.reset()


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
    device = device_name(anywhere=options.smoke)
    print(
        f"{device}: bf16, batches of {options.batch_size}, {options.steps} steps an epoch, {options.workers} "
        f"workers, torch {torch.__version__}, transformers {transformers.__version__}"
    )
    print(f"{'':26}{'rows/s':>10}{'GFLOP a row':>14}{'MFU':>8}{'waiting':>10}", flush=True)
    with TemporaryDirectory() as folder:
        for name, found in islice(lines(options, Path(folder)), options.lines):
            mfu = share_of_peak(found.flops, found.speed)
            print(
                f"{name:26}{found.speed:10.1f}{found.flops / 1e9:14.3f}{mfu:>8}{found.waiting:10.1%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
