"""An export beside its run: the logits of prompts, and of what is answered to them, token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from polymodal.data.chat.chat_processor import ConversationProcessor, Turn
from polymodal.data.chat.messages import USER, Media, Message
from polymodal.errors import RunError
from polymodal.exporting.onnx.comparing import NEAR, difference
from polymodal.exporting.onnx.made_rows import CELLS
from polymodal.exporting.optimum.decoding import ExportedWords
from polymodal.exporting.optimum.graphs import takes_positions
from polymodal.runs.answering import reply_batch
from polymodal.runs.generation_run import GenerationRun

QUESTION = "What is it?"
STEPS = 4
"""Tokens of an answer to each prompt that are compared."""


def items_of(processor: ConversationProcessor, turns: Sequence[Turn]) -> dict[str, dict[str, np.ndarray]]:
    """By input the tensors of all items of prompts, padded to the longest that its graph takes."""
    kept: dict[str, list[Any]] = {name: [] for name in processor.readers}
    for turn in turns:
        for media, item in zip(turn.encoded.media, turn.kept, strict=True):
            kept[media.input].append(item)
    dense = {name: processor.readers[name].collate_dense(items) for name, items in kept.items() if items}
    return {name: {key: tensor.numpy() for key, tensor in own.items()} for name, own in dense.items()}


def made_turns(processor: ConversationProcessor) -> list[Turn]:
    """Prompts of two lengths: a question alone, and one after noise for each input and missing items."""
    random = np.random.default_rng(0)
    parts: list[Media | str] = []
    for name, reader in processor.readers.items():
        cell = CELLS[reader.modality](reader.main, random) if reader.modality in CELLS else None
        parts += [Media(name, cell), Media(name, None)]
    made = [(Message(USER, (QUESTION,)),), (Message(USER, (*parts, QUESTION)),)]
    return [processor.encode(conversation, reply=True) for conversation in made]


def check_same(run: GenerationRun, words: ExportedWords, *, judge: bool = True) -> str:
    """Compare an export with its run.

    Args:
        run: On a CPU, in evaluation mode.
        words: Its export.
        judge: Whether to refuse a difference; otherwise it is reported alone.

    Returns:
        The largest difference, in one line.

    Raises:
        RunError: If the logits differ, or are no numbers, which is refused whether judged or not.
    """
    turns = made_turns(run.processor)
    batch = reply_batch(run.processor, turns)
    ids, mask = batch["input_ids"].numpy(), batch["attention_mask"].numpy()
    state = words.begin(ids, mask, items_of(run.processor, turns))
    apart: list[float] = []
    for own in _own_logits(run, batch):
        apart.append(float(difference(own, state.logits).max()))
        if len(apart) < STEPS:
            state.add(own.argmax(axis=1))
    largest = float(np.max(apart))  # NaN of any step, which max() would pass over
    summary = f"largest difference of a logit to the run's, for {len(turns)} prompts of noise: {largest:.1e}"
    if np.isnan(largest) or (judge and largest > NEAR):
        reason = f"its logits are not those of the run: {summary}, expected at most {NEAR:g}"
        raise RunError(f"{run.folder}: the export is of no use, {reason}. Serve the run itself")
    return summary


@torch.no_grad()
def _own_logits(run: GenerationRun, batch: dict[str, Any]) -> Iterator[np.ndarray]:
    """The run's logits ``(rows, vocabulary)`` of the next token, of likeliest tokens in turn."""
    words: Any = run.model.language_model
    taken, mask = run.model.embed(batch["input_ids"], batch["inputs"]), batch["attention_mask"]
    cache = DynamicCache()
    for _ in range(STEPS):
        options: dict[str, Tensor] = {}
        if takes_positions(words):
            options["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)[:, -taken.shape[1] :]
        output = words(
            inputs_embeds=taken, attention_mask=mask, past_key_values=cache, use_cache=True, **options
        )
        logits = output.logits[:, -1]
        yield logits.numpy()
        taken = run.model.embed(logits.argmax(dim=1, keepdim=True))
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
