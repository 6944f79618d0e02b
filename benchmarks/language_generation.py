"""The generation part of `language.py`: ours against the bare language model's, and in batches.

- generate: a batch padded on the left, a picture before each conversation. Ours collates it, encodes the
  pictures and generates, as `LanguageRun.generate` does; bare is `generate` of the language model alone,
  which is handed the same embeddings and mask ready-made. Both make the same number of tokens, and must make
  the same ones.
- chat: as many conversations of 16 to 512 tokens, each with a picture, answered together and one by one,
  by ours. The answers must be equal; padding on the left is what being together costs.

Greedy, with a cache, by a model of random weights that may not end its answers early. The clock counts all of
it, the first token too. Rounds alternate, and so does who goes first in them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from conversations import PICTURE, draw_lengths, make_model, make_processor, make_rows
from language_training import LONGEST, SHORTEST, SIDE, TAKEN
from plain_loop import DEVICE, now, to_device
from transformers import LlamaConfig

import polymodal as pm
from polymodal.data.chat.chat_processor import ConversationProcessor, Turn
from polymodal.data.readers import ImageReader
from polymodal.runs.answering import reply_batch

SHORT = 3
"""Rounds for each of the training's, which take longer."""
Answers = Callable[[], list[list[int]]]
PROMPT = 128
"""Most words of a conversation that is answered against the bare language model."""


def answers(
    model: Any, processor: ConversationProcessor, turns: Sequence[Turn], length: dict[str, int]
) -> list[list[int]]:
    """What ours says, in tokens, to ``turns`` at once."""
    with torch.inference_mode():
        return model.generate(**to_device(reply_batch(processor, list(turns))), **length).tolist()


def bare(model: Any, batch: dict[str, Any], length: dict[str, int]) -> Answers:
    """The language model alone, given ready-made embeddings."""
    with torch.inference_mode():
        prefix = model.embed(batch["input_ids"], batch["inputs"])

    def generate() -> list[list[int]]:
        with torch.inference_mode():
            given = {"inputs_embeds": prefix, "attention_mask": batch["attention_mask"]}
            return model.language_model.generate(**given, do_sample=False, **length).tolist()

    return generate


def measure(sides: tuple[Answers, Answers], rounds: int) -> np.ndarray:
    """Seconds ``(rounds, 2)``, in alternating order.

    Raises:
        SystemExit: If the two sides answer differently.
    """
    first, second = (side() for side in sides)  # torch's own warming up
    if first != second:
        raise SystemExit("the two sides answer differently")
    seconds = np.zeros((rounds, 2))
    for turn in range(rounds):
        for side in (0, 1) if turn % 2 == 0 else (1, 0):
            began = now()
            sides[side]()
            seconds[turn, side] = now() - began
    return seconds


def report(name: str, others: str, seconds: np.ndarray, tokens: int) -> None:
    """Print medians over the rounds, and the range of the rounds' own ratios."""
    ours, other = np.median(tokens / seconds, axis=0)
    ratios = seconds[:, 1] / seconds[:, 0]
    span = f"({ratios.min():.2f} to {ratios.max():.2f})"
    print(f"{name:26}{ours:10.1f}{other:12.1f} {others:12}{ours / other:10.3f}   {span}", flush=True)


def generation_part(options: argparse.Namespace) -> None:
    """Measure and print."""
    processor, random = make_processor({PICTURE: ImageReader(size=SIDE)}), np.random.default_rng(0)
    config = LlamaConfig(vocab_size=options.vocabulary, pad_token_id=0, **options.sizes)
    encoder = pm.ImageEncoder("resnet", size=SIDE, tokens=TAKEN)
    model = make_model(config, processor, encoder).to(DEVICE).eval()
    pictures = list(random.integers(0, 256, (options.chats, SIDE, SIDE, 3), dtype=np.uint8))
    length = {"max_new_tokens": options.answer, "min_new_tokens": options.answer}
    tokens, rounds = options.chats * options.answer, SHORT * options.rounds

    def turns(longest: int) -> list[Turn]:
        lengths = draw_lengths(options.chats, SHORTEST, longest, random)
        rows = make_rows(lengths, options.vocabulary, processor, pictures=pictures, taken=TAKEN, reply=True)
        return [rows[place] for place in range(len(rows))]

    print(f"{'new tokens a second':26}{'ours':>10}{'other':>12} {'':12}{'ours/other':>10}   (rounds)")
    asked = turns(min(PROMPT, LONGEST))
    sides = (lambda: answers(model, processor, asked, length),
             bare(model, to_device(reply_batch(processor, asked)), length))  # fmt: skip
    report(f"generate, {options.chats} rows", "bare", measure(sides, rounds), tokens)
    talks = turns(LONGEST)

    def one_by_one() -> list[list[int]]:
        return [answers(model, processor, [talk], length)[0] for talk in talks]

    together = measure((lambda: answers(model, processor, talks, length), one_by_one), rounds)
    report(f"chat, {options.chats} together", "one by one", together, tokens)
