"""The GPU part of `language.py`: how busy a GPU is kept by language models that learn with pictures.

    python benchmarks/language.py --gpu --workers 14

Two sizes, of random weights, all of which learn, in bf16; nothing is downloaded:

- siglip + qwen3: an encoder of SigLIP-base's size (224 x 224, patches of 16) whose 196 tokens all go through
  an `mlp` connector, before a language model of Qwen3-0.6B's size; 16 to 512 words follow each picture.
- nanoVLM: the sizes of nanoVLM-222M: the same encoder, 49 vectors a picture, before a language model of
  SmolLM2-135M's size; at most 79 words follow. (nanoVLM shuffles 2 x 2 tokens into one and projects it; here
  they are averaged, then go through the connector.)

Conversations are packed to 4,096 tokens, each JPEG is decoded whenever its row is read. Training is
`train_language`, as a fit calls it; timed is what follows the first steps, to the end of the epoch.

- MFU: of model FLOPs, as PaLM counts them (Chowdhery et al. 2022, appendix B): 6N + 12LHQT a token, N weights
  that it is multiplied with, and attention of L layers over T tokens, H heads of width Q. T is a token's own
  conversation, not the pack; causality halves nothing. The last layer counts for learned tokens alone, which
  are all that it is computed for; a picture's tokens count in the encoder by the same rule, T all of them.
  Over the dense bf16 peak that the maker states. What is computed twice, or hidden by a mask, counts not.
- waiting: from a GPU that has done all it was asked until the next batch lies on it.

PUBLISHED is what nanoVLM's README says of that size (github.com/huggingface/nanoVLM, commit 51849077e45e):
about 1.7 million samples of the_cauldron in about 6 hours on one H100. It does not say how often each sample
was seen: once is presumed, though that commit's `TrainConfig` has 5 epochs, which would be 5 times the speed.
There a sample is padded or cut to 128 tokens, 49 of them the picture's, in batches of 256.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
import transformers
from conversations import PICTURE, draw_lengths, make_model, make_processor, make_rows
from plain_loop import DEVICE
from torch import nn
from transformers import LlamaConfig, PreTrainedConfig, Qwen3Config
from utilization import Watching, device_name, share_of_peak, write_pictures

import polymodal as pm
from polymodal.config import TrainConfig
from polymodal.data.readers import ImageReader
from polymodal.training.language.conversation_rows import ConversationRows
from polymodal.training.loop import language_trainer as training
from polymodal.training.loop.samplers import pack
from polymodal.utils.progress import quiet_libraries

SIDE, PATCH, FILES = 224, 16, 64
SIGLIP = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}
SKIPPED = 5
"""Steps, while workers and kernels get under way."""


class Size(NamedTuple):
    """What is trained: a language model, and what stands before it."""

    language: PreTrainedConfig
    siglip: dict[str, int]
    taken: int
    words: tuple[int, int]


class Published(NamedTuple):
    """What others state: samples, hours, the GPU; and tokens of a sample, a picture's among them, padded."""

    samples: float
    hours: float
    device: str
    tokens: int


PUBLISHED = Published(samples=1.7e6, hours=6, device="H100", tokens=128)
COMMON = {"pad_token_id": 0, "tie_word_embeddings": True, "max_position_embeddings": 8192}
QWEN3 = {
    "vocab_size": 151936, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
    "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
}  # fmt: skip
SMOLLM2 = {
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3,
}  # fmt: skip
TOY = {
    "vocab_size": 400, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
}  # fmt: skip
NANOVLM = "nanoVLM"


def sizes(smoke: bool) -> dict[str, Size]:
    """What is measured, by name."""
    siglip = dict(zip(SIGLIP, (16, 1, 1, 16), strict=True)) if smoke else SIGLIP
    qwen3 = Qwen3Config(**(TOY if smoke else QWEN3), **COMMON)
    smollm2 = LlamaConfig(**(TOY if smoke else SMOLLM2), **COMMON)
    patches = (SIDE // PATCH) ** 2
    return {
        "siglip + qwen3": Size(qwen3, siglip, patches, (16, 512)),
        NANOVLM: Size(smollm2, siglip, patches // 4, (16, 79)),
    }


def weights(part: nn.Module, without: str = "") -> int:
    """How many weights of ``part`` a token is multiplied with; those of ``without`` are left out."""
    kinds = (nn.Linear, nn.Conv2d)
    modules = [(name, module) for name, module in part.named_modules() if isinstance(module, kinds)]
    return sum(module.weight.numel() for name, module in modules if not without or without not in name)


def flops_of(model: Any, lengths: np.ndarray, learned: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Model FLOPs of forward and backward pass; see above.

    Args:
        model: With one input, :data:`PICTURE`.
        lengths: Tokens of each conversation ``(rows,)``.
        learned: How many of them are learned.
        pictures: How many pictures each has.
    """
    text, encoder = model.config.get_text_config(), model.encoder(PICTURE)
    vision, patches = encoder.backbone.config, (SIDE // PATCH) ** 2
    heads = text.num_attention_heads * getattr(text, "head_dim", text.hidden_size // text.num_attention_heads)
    words = 6 * weights(model.decoder) * lengths + 12 * text.num_hidden_layers * heads * lengths**2
    said = 6 * text.vocab_size * text.hidden_size * learned
    seen = 6 * weights(encoder, without="head") * patches
    seen += 12 * vision.num_hidden_layers * vision.hidden_size * patches**2
    return words + said + (seen + 6 * weights(model.connector(PICTURE)) * encoder.tokens) * pictures


def make(size: Size, folder: Path, count: int) -> tuple[Any, ConversationRows]:
    """A model, and so many conversations about pictures in ``folder``."""
    random = np.random.default_rng(0)
    processor = make_processor({PICTURE: ImageReader(size=SIDE)})
    encoder = pm.ImageEncoder("siglip_vision_model", size=SIDE, tokens=size.taken, **size.siglip)
    model = make_model(copy.deepcopy(size.language), processor, encoder)
    pictures = write_pictures(folder, min(FILES, count), SIDE, random)
    lengths = draw_lengths(count, *size.words, random)
    rows = make_rows(lengths, size.language.vocab_size, processor, pictures=pictures, taken=size.taken)
    return model, rows


def train(model: Any, rows: ConversationRows, options: argparse.Namespace) -> tuple[float, float]:
    """Packs a second, and the share of time that was waited for data."""
    made: list[Any] = []

    class Watched(Watching, training.LanguageTrainer):
        """The Trainer of a fit, watched."""

        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            made.append(self)

    given: Mapping[str, Any] = {"torch_compile": True} if options.compile else {}
    given = {**given, "dataloader_pin_memory": DEVICE == "cuda"}
    config = TrainConfig(
        epochs=1, batch_size=8, patience=0, precision="bf16", workers=options.workers, **given
    )  # type: ignore[call-arg]
    few = copy.copy(rows)
    few.keep(range(2))
    with (
        TemporaryDirectory() as folder,
        quiet_libraries(),
        patch.object(training, "LanguageTrainer", Watched),
    ):
        training.train_language(model, rows, few, config, Path(folder), pack_to=options.pack, quiet=True)
    return made[0].found(min(SKIPPED, len(made[0].ended) - 1))


def measured(name: str, size: Size, options: argparse.Namespace) -> str:
    """A line of figures."""
    mean = size.taken + np.mean(draw_lengths(10_000, *size.words, np.random.default_rng(0)))
    with TemporaryDirectory() as folder:
        model, rows = make(size, Path(folder), round(options.steps * options.pack / mean))
        if options.attention:
            model.language_model.set_attn_implementation(options.attention)
        if DEVICE == "cuda":
            torch.cuda.reset_peak_memory_stats()
        speed, waiting = train(model, rows, options)
    packs = len(pack(rows.lengths, options.pack, seed=0))  # that of the training
    tokens, conversations = (total / packs * speed for total in (rows.lengths.sum(), len(rows)))
    learned = np.array([row.encoded.learned.sum() for row in rows.rows])
    flops = flops_of(model, rows.lengths, learned, np.ones(len(rows))).sum() / rows.lengths.sum()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    most = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if DEVICE == "cuda" else "–"
    padded = 1 - rows.lengths.sum() / (packs * options.pack)
    return line(name, parameters, tokens, conversations, flops, share_of_peak(flops, tokens), most) + (
        f"{waiting:10.1%}{padded:10.1%}"
    )


def line(name: str, parameters: float, tokens: float, rows: float, flops: float, mfu: str, most: str) -> str:
    """Figures under the heading."""
    told = f"{name:24}{parameters / 1e6:9.1f}{tokens:11.0f}{rows:9.1f}{flops / 1e9:15.3f}"
    return f"{told}{mfu:>8}{most:>8}"


def published(size: Size, folder: Path) -> str:
    """The same of nanoVLM's own training, as it is stated."""
    with torch.device("meta"):  # sizes alone
        model, _ = make(size, folder, 1)
    tokens = np.array([PUBLISHED.tokens])
    flops = float(flops_of(model, tokens, tokens - size.taken, np.ones(1)).sum()) / PUBLISHED.tokens
    rows = PUBLISHED.samples / PUBLISHED.hours / 3600
    speed = rows * PUBLISHED.tokens
    name, mfu = f"{NANOVLM}'s own, {PUBLISHED.device}", share_of_peak(flops, speed, PUBLISHED.device)
    return line(name, 222e6, speed, rows, flops, mfu, "–")


def gpu_part(options: argparse.Namespace) -> None:
    """Measure and print."""
    if options.smoke:
        options.pack, options.steps, options.workers = 1024, 3, 1
    how = f"{options.workers} workers, {options.attention or 'sdpa'}{', compiled' if options.compile else ''}"
    print(
        f"{device_name(anywhere=options.smoke)}: bf16, packs of {options.pack} tokens, {options.steps} steps "
        f"an epoch, {how}, torch {torch.__version__}, transformers {transformers.__version__}"
    )
    told = f"{'':24}{'M weights':>9}{'tokens/s':>11}{'rows/s':>9}{'GFLOP a token':>15}{'MFU':>8}{'GB':>8}"
    print(f"{told}{'waiting':>10}{'padding':>10}", flush=True)
    for name, size in sizes(options.smoke).items():
        print(measured(name, size, options), flush=True)
    with TemporaryDirectory() as folder:
        print(published(sizes(smoke=False)[NANOVLM], Path(folder)), flush=True)
