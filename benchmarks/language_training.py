"""The training part of `language.py`: what `polymodal fit` trains with against a plain loop of Transformers.

Ours is `polymodal.training.loop.language_trainer.train_language` as a fit calls it. Plain is the loop of
`plain_loop.py` over `plain_language.py`'s padded batches, with the loss that the language model itself
computes. Both get copies of one model of random weights, the same conversations (encoded before), batch
size, AdamW, parameter groups, schedule and clipping. The clock is that of `training.py`: an epoch, from its
begin to the end of its last step, validation and saving left out. Counted are the tokens of conversations,
those of items among them, never padding. In every round each way trains once, in turning order. Before
anything is timed, batches must be equal, and so must the losses of a padded batch, packed and plain.

- one length: nobody pads anything, so that what differs is all else.
- mixed: conversations of 16 to 512 tokens. Plain draws its batches by chance; and once more as some would
  write it, rows sorted by length and then cut into batches, which come in chance order. Ours groups rows of
  like length (`LengthGroupedSampler`), or packs. Padding is the share of the places of all batches, or of
  packs' limits, that holds no conversation.
- pictures: the like, each after a picture of 64 x 64, which goes through an encoder from scratch and a
  connector.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from conversations import PICTURE, draw_lengths, make_model, make_processor, make_rows
from pairs import equal
from plain_language import PlainPictures, PlainRow, pad, pad_group, plain_rows
from plain_loop import Epoch, train_epochs
from timing import PLAIN_SETTINGS, Clock, check_equal
from transformers import LlamaConfig, set_seed

import polymodal as pm
from polymodal.config import TrainConfig
from polymodal.data.readers import ImageReader
from polymodal.training.language.conversation_collator import ConversationCollator
from polymodal.training.language.conversation_rows import ConversationRows
from polymodal.training.loop import language_trainer as training
from polymodal.training.loop.samplers import pack, padding_share
from polymodal.utils.progress import quiet_libraries

SHORTEST, LONGEST = 16, 512
VALIDATION = 2
"""Rows, not timed."""
SIDE, TAKEN = 64, 16
"""Of a picture: pixels, and the vectors that it takes."""
MANY, LARGE = 10_000, 4096
"""Conversations, and tokens of the packs whose padding is told beside."""


class Way(NamedTuple):
    """One way to train: its name, an epoch of it, and the share of padding in what it computes."""

    name: str
    train: Callable[[Any], list[Epoch]]
    padded: float


def our_epochs(model: Any, rows: ConversationRows, config: TrainConfig, limit: int | None) -> list[Epoch]:
    """The epochs of a fit, as `polymodal fit` trains them; ``limit`` is that of a pack."""
    clock, kind = Clock(), training.LanguageTrainer

    def timed(**options: Any) -> training.LanguageTrainer:
        trainer = kind(**options)
        trainer.add_callback(clock)
        return trainer

    few = copy.copy(rows)
    few.keep(range(VALIDATION))
    with TemporaryDirectory() as folder, quiet_libraries(), patch.object(training, "LanguageTrainer", timed):
        told = training.train_language(model, rows, few, config, Path(folder), pack_to=limit, quiet=True)
    losses = [entry["loss"] for entry in told["history"] if "loss" in entry]
    return [Epoch(seconds, loss) for seconds, loss in zip(clock.seconds, losses, strict=True)]


def plain_of(model: Any) -> Any:
    """The same model as the plain loop trains it."""
    return PlainPictures(model) if model.encoder_of else model.language_model


def plain_ways(model: Any, rows: list[PlainRow], config: TrainConfig) -> list[tuple[str, Callable, float]]:
    """Batches by chance, and of like length."""
    plain = plain_of(model)
    settings = config.model_dump(include=set(PLAIN_SETTINGS))
    settings["decayed"] = set(training.LanguageTrainer.get_decay_parameter_names(None, plain))  # type: ignore
    size, lengths = settings["batch_size"], np.array([len(row.ids) for row in rows])
    drawn, ordered = (cut(order, size) for order in (torch.randperm(len(rows)), lengths.argsort()))
    groups = [[rows[place] for place in batch] for batch in ordered]

    def by_chance(model: Any) -> list[Epoch]:
        return train_epochs(plain_of(model), rows, pad, **settings)

    def by_length(model: Any) -> list[Epoch]:
        return train_epochs(plain_of(model), groups, pad_group, **settings | {"batch_size": 1})

    return [
        ("plain", by_chance, share_padded(lengths, drawn)),
        ("plain, of like length", by_length, share_padded(lengths, ordered)),
    ]


def cut(order: Any, size: int) -> list[list[int]]:
    """Batches of ``size`` rows in ``order``."""
    return [order[start : start + size].tolist() for start in range(0, len(order), size)]


def share_padded(lengths: np.ndarray, batches: Sequence[Sequence[int]]) -> float:
    """The share of padding where each batch is padded to its longest row."""
    return 1 - lengths.sum() / sum(len(batch) * lengths[list(batch)].max() for batch in batches)


def compared(
    name: str, model: Any, rows: ConversationRows, config: TrainConfig, limits: Sequence[int]
) -> list[Way]:
    """The ways to train on ``rows``: plain, padded, and packed to each of ``limits``."""
    plain, lengths = plain_rows(rows), rows.lengths
    check(model, rows, plain, config.batch_size or 1)
    ways = [Way(f"{name}: {way}", train, share) for way, train, share in plain_ways(model, plain, config)]
    for limit in (None, *limits):
        batches = list(training.batches_of(rows, config, limit))
        share = padding_share(lengths, batches, limit) if limit else share_padded(lengths, batches)
        told = f"{name}: ours, packed to {limit}" if limit else f"{name}: ours, padded"
        ways.append(Way(told, partial(our_epochs, rows=rows, config=config, limit=limit), share))
    return ways if limits else [ways[0], ways[2]]


def check(model: Any, rows: ConversationRows, plain: list[PlainRow], size: int) -> None:
    """Both sides must read the same rows, and make the same loss of them, packed too.

    Raises:
        SystemExit: If they do not.
    """
    few = [rows[place] for place in range(size)]
    batch, by_hand = ConversationCollator(rows.processor)(few), pad(plain[:size])
    pictures = by_hand.pop("pixel_values", None)
    mask = by_hand["attention_mask"].bool()
    check_equal(
        {name: batch[name][mask] for name in by_hand}, {name: by_hand[name][mask] for name in by_hand}
    )
    packed = ConversationCollator(rows.processor, packed=True)(few)
    by_hand |= {"pixel_values": pictures} if pictures is not None else {}
    with torch.no_grad():
        losses = [float(model.train()(**given).loss) for given in (batch, packed)]
        losses.append(float(plain_of(model)(**by_hand).loss))
    equal(losses, "padded, packed and plain")


def measure(ways: Sequence[Way], model: Any, rounds: int) -> np.ndarray:
    """Seconds of an epoch and mean loss ``(ways, rounds, 2)``, in turning order."""
    results = np.zeros((len(ways), rounds, 2))
    for turn in range(rounds):
        for place in range(len(ways))[:: -1 if turn % 2 else 1]:
            set_seed(turn)
            results[place, turn] = ways[place].train(copy.deepcopy(model))[-1]
    return results


def report(ways: Sequence[Way], results: np.ndarray, tokens: int) -> None:
    """Print medians over the rounds; the first way is what the others are measured against."""
    speeds = tokens / results[:, :, 0]
    for way, own, losses in zip(ways, speeds, results[:, :, 1], strict=True):
        ratios = own / speeds[0]
        told = f"{way.name:36}{np.median(own):10.1f}{way.padded:10.1%}"
        told += f"{np.median(own) / np.median(speeds[0]):9.3f}   "
        span = f"({ratios.min():.2f} to {ratios.max():.2f})"
        print(f"{told}{span:16}{losses.mean():9.3f}", flush=True)


def tell(
    name: str, model: Any, rows: ConversationRows, limits: Sequence[int], options: argparse.Namespace
) -> None:
    """Measure the ways to train on ``rows``, and print."""
    config = TrainConfig(epochs=1, batch_size=options.batch_size, patience=0)  # type: ignore[call-arg]
    ways = compared(name, model, rows, config, limits)
    report(ways, measure(ways, model, options.rounds), int(rows.lengths.sum()))


def text_lines(options: argparse.Namespace) -> None:
    """Words alone: rows of one length, and of mixed lengths."""
    processor, random = make_processor(), np.random.default_rng(0)
    model = make_model(LlamaConfig(vocab_size=options.vocabulary, pad_token_id=0, **options.sizes), processor)
    mixed = draw_lengths(options.rows, SHORTEST, LONGEST, random)
    even = np.full(options.rows // 2, round(mixed.mean()))
    for name, lengths, limits in (("one length", even, []), ("mixed", mixed, options.packs)):
        tell(name, model, make_rows(lengths, options.vocabulary, processor), limits, options)
    many = draw_lengths(MANY, SHORTEST, LONGEST, random)
    share = padding_share(many, pack(many, LARGE, seed=0), LARGE)
    print(f"{MANY} such conversations in packs of {LARGE} tokens: padding {share:.2%}")


def picture_lines(options: argparse.Namespace) -> None:
    """Words of mixed lengths after a picture."""
    random = np.random.default_rng(0)
    processor = make_processor({PICTURE: ImageReader(size=SIDE)})
    encoder = pm.ImageEncoder("resnet", size=SIDE, tokens=TAKEN)
    config = LlamaConfig(vocab_size=options.vocabulary, pad_token_id=0, **options.sizes)
    model = make_model(config, processor, encoder)
    pictures = list(random.integers(0, 256, (options.rows // 2, SIDE, SIDE, 3), dtype=np.uint8))
    lengths = draw_lengths(options.rows // 2, SHORTEST, LONGEST, random)
    rows = make_rows(lengths, options.vocabulary, processor, pictures=pictures, taken=TAKEN)
    tell("pictures", model, rows, options.packs, options)


def training_part(options: argparse.Namespace) -> None:
    """Measure and print."""
    print(f"{'content tokens a second':46}{'padding':>10}{'/plain':>9}   {'(rounds)':16}{'mean loss':>9}")
    text_lines(options)
    picture_lines(options)
