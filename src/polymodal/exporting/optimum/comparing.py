"""An export beside its run: the logits of prompts, and of what is answered to them, token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from polymodal.data.chat.chat_processor import ConversationProcessor, Turn
from polymodal.data.chat.messages import USER, Media, Message, Part
from polymodal.errors import RunError
from polymodal.exporting.onnx.comparing import NEAR, difference
from polymodal.exporting.onnx.made_rows import CELLS
from polymodal.exporting.optimum.decoding import ExportedWords
from polymodal.exporting.optimum.graphs import takes_positions
from polymodal.runs.answering import context_of, reply_batch
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


def made_turns(processor: ConversationProcessor, context: int | None = None) -> list[Turn]:
    """Prompts of several lengths: a question alone, and per input one after noise and a missing item.

    A prompt for which the context is too short has the item alone. Inputs of a modality that another package
    adds have missing items only, see :func:`uncompared`.

    Args:
        processor: Of the run.
        context: The most tokens of a prompt and :data:`STEPS` of its answer.

    Raises:
        RunError: If a question, or an item, does not fit.
    """
    random = np.random.default_rng(0)
    made: list[list[tuple[Part, ...]]] = [[(QUESTION,)]]
    for name, reader in processor.readers.items():
        items = [Media(name, None)]
        if reader.modality in CELLS:
            items.insert(0, Media(name, CELLS[reader.modality](reader.main, random)))
        made.append([(*items, QUESTION), (items[0],)])
    if not processor.readers:
        made.append([(f"{QUESTION} {QUESTION}",), (QUESTION,)])
    return [_fitting(processor, prompts, context) for prompts in made]


def _fitting(
    processor: ConversationProcessor, prompts: Sequence[tuple[Part, ...]], context: int | None
) -> Turn:
    """The first of several prompts that the context has room for.

    Raises:
        RunError: If none fits.
    """
    for parts in prompts:
        turn = processor.encode((Message(USER, parts),), reply=True)
        length = len(turn.encoded.ids)
        if context is None or length + STEPS <= context:
            return turn
    shown = f"an item of '{parts[0].input}'" if isinstance(parts[0], Media) else "a question"
    reason = f"a prompt with {shown} has {length} tokens, and the language model's context {context}"
    raise RunError(f"{reason}: no room for {STEPS} tokens of an answer. Take one of a longer context")


def uncompared(processor: ConversationProcessor) -> list[str]:
    """A line per input whose encoder :func:`check_same` does not compare."""
    return [
        f"not compared: the encoder of '{name}', for no noise of modality '{reader.modality}' is known"
        for name, reader in processor.readers.items()
        if reader.modality not in CELLS
    ]


def check_same(run: GenerationRun, words: ExportedWords, *, judge: bool = True) -> str:
    """Compare an export with its run.

    Args:
        run: On a CPU, in evaluation mode.
        words: Its export.
        judge: Whether to refuse a difference; otherwise it is reported alone.

    Returns:
        The largest difference, in one line.

    Raises:
        RunError: If the logits differ, or are no numbers, which is refused whether judged or not; or if an
            item does not fit the context.
    """
    turns = made_turns(run.processor, context_of(run.model))
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
