"""How busy a GPU is kept by pre-training: towers of SigLIP-base's size with random weights, in bf16.

    python benchmarks/pretraining.py --gpu --workers 14

Pictures (224 x 224, patches of 16) and captions (a BERT, 64 tokens), 12 layers of width 768 each, learn by
`contrastive` without fused parts: batches of 4,096 rows go through the towers in pieces of 256. Nothing is
downloaded; pictures and captions are made here, and each is decoded whenever a row is read. What is timed is
that of `gpu.py`: rows a second, MFU, and the share of time waited for data. A piece goes through the towers
twice before its gradient is there (GradCache), which MFU does not count: it stays below three quarters of
what the GPU computes.

Not measured: open_clip itself; more than one GPU; how well it learns (these rows say nothing).

PUBLISHED is what open_clip's own trainings reached, `trained_models_info.csv` of github.com/LAION-AI/
scaling-laws-openclip (commit 529d3701013c; Cherti et al. 2023). Its nine lines of ViT-B/16 lie between 228
and 396 rows a second and GPU; the best is taken: 400M data, 3B samples, 344 GPUs, 256 rows each. The table
does not name the GPU; A100 is presumed. open_clip's `docs/model_profile.csv` (commit 89fb801f1e60) states
41.09 GFLOP for a row's forward pass (46.44 for ViT-B-16-SigLIP, the size of the towers here); with the
backward pass it is three times that. So its rows a second are those of another GPU in a network of 344, and
the MFU, which leaves size and GPU out, is what may be compared.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
import transformers
from pairs import built, open_pairs
from plain_loop import DEVICE
from utilization import count_flops, device_name, share_of_peak, train, write_pictures

from polymodal.data.cache.memory import ReadCache
from polymodal.data.collator import Collator
from polymodal.training.prediction_job import PredictionJob

TOWER = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
SMOKE = dict(zip(TOWER, (16, 1, 1, 16), strict=True))
SIDE, TOKENS = 224, 64
WORDS = 64
"""Of a caption, a token each at least: with those at both ends, every caption is cut to its 64."""
VALIDATION = 64
"""Rows, not timed."""


class Published(NamedTuple):
    """What others state: rows a second of all GPUs, their number and name, and FLOPs of a forward pass."""

    speed: float
    gpus: int
    device: str
    forward: float


PUBLISHED = Published(speed=136370.9, gpus=344, device="A100", forward=41.09e9)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this part."""
    parser.add_argument("--gpu", action="store_true", help="measure towers of SigLIP-base's size on a GPU")
    parser.add_argument("--gpu-batch-size", type=int, default=4096)
    parser.add_argument(
        "--steps", type=int, default=40, help="an epoch, on the GPU: more than twice the workers"
    )
    parser.add_argument("--workers", type=int, default=8, help="processes that read, on the GPU")


def write_pairs(folder: Path, rows: int, files: int) -> Path:
    """A table of pictures and captions; each of ``files`` pictures is read whenever a row has it."""
    random = np.random.default_rng(0)
    syllables = ["".join(pair) for pair in random.choice(list("bdfgklmnprstvz"), (500, 2))]
    words = [f"{first}a{second}o" for first, second in random.choice(syllables, (2000, 2))]
    pictures = write_pictures(folder, files, SIDE, random)
    count = rows + VALIDATION
    table = pd.DataFrame({
        "picture": [Path(pictures[place]).name for place in random.integers(files, size=count)],
        "caption": [" ".join(chosen) for chosen in random.choice(words, (count, WORDS))],
        "split": ["train"] * rows + ["val"] * VALIDATION,
    })  # fmt: skip
    table.to_csv(folder / "pairs.csv", index=False)
    return folder / "pairs.csv"


def open_gpu(options: argparse.Namespace, folder: Path) -> PredictionJob:
    """The pre-training of the towers."""
    towers = SMOKE if options.smoke else TOWER
    sizes = ", ".join(f"{name}: {size}" for name, size in towers.items())
    picture = f"{{type: siglip_vision_model, {sizes}}}"
    caption = f"{{type: bert, max_position_embeddings: {TOKENS}, {sizes}}}"
    settings = [
        f"inputs.picture={{modality: image, encoder: {picture}, size: {SIDE}, augment: false}}",
        f"inputs.caption={{modality: text, encoder: {caption}}}",
        f"fusion.width={towers['hidden_size']}", f"train.batch_size={options.gpu_batch_size}",
        f"train.piece={options.piece}", f"train.workers={options.workers}", "train.epochs=2",
        "train.patience=0", "train.precision=bf16", "data.cache_memory=0",
    ]  # fmt: skip
    if options.workers:
        settings.append("train.dataloader_persistent_workers=true")
    if DEVICE == "cuda":
        settings.append("train.dataloader_pin_memory=true")
    rows = options.steps * options.gpu_batch_size
    table = write_pairs(folder, rows, min(rows, options.gpu_batch_size))
    job = open_pairs(table, ["picture", "caption"], 0, settings)
    job.cache = ReadCache(0)
    return job


def gpu(options: argparse.Namespace, folder: Path) -> None:
    """Measure and print."""
    if options.smoke:
        options.gpu_batch_size, options.piece, options.steps, options.workers = 4, 2, 2, 1
    print(
        f"{device_name(anywhere=options.smoke)}: bf16, batches of {options.gpu_batch_size} in pieces of "
        f"{options.piece}, {options.steps} steps an epoch, {options.workers} workers, torch "
        f"{torch.__version__}, transformers {transformers.__version__}"
    )
    print(f"{'':26}{'rows/s':>10}{'GFLOP a row':>14}{'MFU':>8}{'waiting':>10}{'GB':>8}", flush=True)
    job = open_gpu(options, folder)
    model = built(job)
    few = Collator(job.processor, for_objectives=True)(job.rows("train").__getitems__(range(2)))
    flops = count_flops(model, few, 2)
    speed, waiting = train(model, job)
    most = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if DEVICE == "cuda" else "–"
    mfu = share_of_peak(flops, speed)
    print(f"{'picture + caption':26}{speed:10.1f}{flops / 1e9:14.3f}{mfu:>8}{waiting:10.1%}{most:>8}")
    said = PUBLISHED.speed / PUBLISHED.gpus
    mfu = share_of_peak(3 * PUBLISHED.forward, said, PUBLISHED.device)
    name = f"open_clip, one of {PUBLISHED.gpus} {PUBLISHED.device}"
    print(f"{name:26}{said:10.1f}{3 * PUBLISHED.forward / 1e9:14.3f}{mfu:>8}{'–':>10}{'–':>8}")
