"""Conversations that are made: random words in turns, of log-uniform lengths, perhaps about a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from transformers import AutoModelForCausalLM, PreTrainedConfig, set_seed

from polymodal.data.chat.chat_processor import ConversationProcessor
from polymodal.data.chat.chat_tokenizer import train_language_tokenizer
from polymodal.data.chat.messages import Media
from polymodal.data.chat.rendering import Encoded
from polymodal.data.readers import Reader
from polymodal.data.tables.table import read_table
from polymodal.models.encoders import Encoder
from polymodal.models.language.language_modeling import PolymodalForConditionalGeneration
from polymodal.training.language.conversation_rows import ConversationRows, Row

FIRST = 300
"""The first token that is a word: a byte's and those with a meaning come before."""
PICTURE = "picture"


def draw_lengths(count: int, shortest: int, longest: int, random: np.random.Generator) -> np.ndarray:
    """Tokens of ``count`` conversations, their logarithms even: ``(count,)``."""
    return np.exp(random.uniform(np.log(shortest), np.log(longest + 1), count)).astype(int)


def draw_turns(length: int, random: np.random.Generator) -> np.ndarray:
    """Which of ``length`` tokens the assistant says, ``(length,)``: it answers one to three times."""
    ends = np.sort(random.choice(np.arange(1, length), 2 * random.integers(1, 4) - 1, replace=False))
    return np.searchsorted(ends, np.arange(length), side="right") % 2 == 1


def make_processor(readers: Mapping[str, Reader] | None = None) -> ConversationProcessor:
    """One whose tokenizer knows single bytes, the marks of turns, and the placeholders of ``readers``."""
    return ConversationProcessor(readers or {}, train_language_tokenizer([]))


def make_rows(
    lengths: Sequence[int] | np.ndarray,
    vocabulary: int,
    processor: ConversationProcessor,
    *,
    pictures: Sequence[Any] = (),
    taken: int = 0,
    seed: int = 0,
    reply: bool = False,
) -> ConversationRows:
    """Conversations as a check before a training leaves them, encoded.

    Args:
        lengths: Words of each.
        vocabulary: Tokens that the language model knows; those from ``FIRST`` on are words.
        processor: Reads pictures.
        pictures: One stands before the words of each row, in turn; none for conversations of words alone.
        taken: How many vectors a picture takes.
        seed: Of the words.
        reply: Nothing is learned: these are to be answered.
    """
    random = np.random.default_rng(seed)
    rows = ConversationRows(read_table(pd.DataFrame({"row": np.arange(len(lengths))})), None, processor,
                            reply=reply)  # type: ignore[arg-type]  # fmt: skip
    before = np.repeat([processor.placeholders[PICTURE][0]], taken) if pictures else np.zeros(0, int)
    for place, length in enumerate(lengths):
        ids = np.r_[before, random.integers(FIRST, vocabulary, length)]
        learned = np.r_[np.zeros(len(before), bool), draw_turns(length, random)]
        media = (Media(PICTURE, pictures[place % len(pictures)]),) if pictures else ()
        rows.rows.append(Row(Encoded(ids, learned, media), [taken] if pictures else []))
    return rows


def make_model(
    config: PreTrainedConfig, processor: ConversationProcessor, encoder: Encoder | None = None
) -> PolymodalForConditionalGeneration:
    """A model of random weights, the same each time; with an encoder it reads pictures."""
    set_seed(0)
    speaker = AutoModelForCausalLM.from_config(config)
    encoders = {PICTURE: encoder} if encoder is not None else {}
    return PolymodalForConditionalGeneration.from_parts(
        encoders, speaker, processor.placeholders, pretrained=False
    )
