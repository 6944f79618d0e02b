"""A model that answers in words, over conversations: batch after batch, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from polymodal.config import DecodingConfig
from polymodal.data.chat.processor import ConversationProcessor, Turn
from polymodal.device import computing_in
from polymodal.evaluation.inference import move
from polymodal.models.language.modeling import PolymodalForConditionalGeneration
from polymodal.training.language.collation import padded
from polymodal.training.language.rows import ConversationRows

NAMES = {"beams": "num_beams", "sample": "do_sample"}
"""What Transformers calls them."""
OF_SAMPLING = ("temperature", "top_p")


def answer_rows(
    model: PolymodalForConditionalGeneration,
    rows: ConversationRows,
    options: Mapping[str, Any],
    *,
    batch_size: int = 32,
    precision: str = "fp32",
) -> Iterator[tuple[list[int], list[str]]]:
    """The answer to each row, and the rows that they are to: those of like length go together.

    Args:
        model: In evaluation mode.
        rows: Prepared, with ``reply``.
        options: Of ``generate``; see :func:`decoding`.
        batch_size: Rows at once.
        precision: What the model computes in.
    """
    order = np.argsort(-rows.lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        places = [int(place) for place in order[start : start + batch_size]]
        turns = [rows[place] for place in places]
        yield places, answer_turns(model, rows.processor, turns, options, precision)


def answer_turns(
    model: PolymodalForConditionalGeneration,
    processor: ConversationProcessor,
    turns: list[Turn],
    options: Mapping[str, Any],
    precision: str = "fp32",
) -> list[str]:
    """The answers to several conversations at once."""
    batch = reply_batch(processor, turns)
    with torch.inference_mode(), computing_in(model.device, precision):
        made = model.generate(**move(batch, model.device), **options)
    return [processor.renderer.answer(ids) for ids in made.cpu().numpy()]


def reply_batch(processor: ConversationProcessor, turns: list[Turn]) -> dict[str, Any]:
    """What ``generate`` takes: ``input_ids`` and ``attention_mask`` padded on the left, and ``inputs``."""
    pad = int(processor.tokenizer.pad_token_id)  # type: ignore[arg-type]
    tensors = padded([turn.encoded for turn in turns], pad, side="left")
    return {name: tensors[name] for name in ("input_ids", "attention_mask")} | {
        "inputs": processor.media(turns)
    }


def decoding(config: DecodingConfig, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The options of ``generate`` that a declaration says, under what a call says by the same names.

    Args:
        config: The declaration's.
        given: By the names of the declaration, or any other option of ``generate``.
    """
    values = config.model_dump()
    values |= {key: value for key, value in (given or {}).items() if value is not None}
    draws = values.get("sample") or values.get("do_sample")
    kept = {key: value for key, value in values.items() if draws or key not in OF_SAMPLING}
    return {NAMES.get(key, key): value for key, value in kept.items() if value is not None}
