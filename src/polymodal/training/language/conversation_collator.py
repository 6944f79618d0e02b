"""Collation of encoded conversations: padded rows, or several packed in one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from polymodal.data.chat.chat_processor import ConversationProcessor, Turn
from polymodal.data.processor import Form
from polymodal.models.language.language_modeling import LEFT_OUT


class Row(Protocol):
    """The parts of an encoded conversation that are collated."""

    @property
    def ids(self) -> np.ndarray:
        """Token ids ``(length,)``."""

    @property
    def learned(self) -> np.ndarray:
        """The tokens with loss, ``(length,)`` bool."""


def labels_of(row: Row) -> np.ndarray:
    """The labels of a conversation, not shifted; :data:`LEFT_OUT` for tokens without loss.

    The first token never has a loss: nothing precedes it, or in a pack the end of another conversation. The
    Trainer's count of labels is then also the number of terms in the loss.

    Returns:
        ``(length,)``
    """
    labels = np.where(row.learned, row.ids, LEFT_OUT)
    labels[:1] = LEFT_OUT
    return labels


def padded(rows: Sequence[Row], pad: int, side: Literal["left", "right"] = "right") -> dict[str, Tensor]:
    """Collate one conversation per row.

    Args:
        rows: The conversations.
        pad: The id of the padding token.
        side: Side of the padding: right for training, left for generation.

    Returns:
        ``input_ids``, ``attention_mask`` and ``labels``, ``(rows, length of the longest)`` each.
    """
    shape = (len(rows), max(len(row.ids) for row in rows))
    ids, labels = np.full(shape, pad, dtype=np.int64), np.full(shape, LEFT_OUT, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    for number, row in enumerate(rows):
        length = len(row.ids)
        index = slice(0, length) if side == "right" else slice(shape[1] - length, None)
        ids[number, index], labels[number, index], mask[number, index] = row.ids, labels_of(row), 1
    return {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask),
        "labels": torch.from_numpy(labels),
    }


def packed(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Pack conversations in a single row, separated by positions that restart at 0.

    Transformers separates them (to 1e-5 in logits, loss and gradients, with SDPA and eager attention) if the
    model gets these positions, **no** ``attention_mask`` and ``use_cache=False``:

    - With an attention mask, even of ones, conversations attend to each other.
    - The same with a cache, and ``use_cache`` is true by default; the Trainer sets it to false in the
      configuration of its model, not in that of a language model inside.
    - Checkpointed layers in training disable the cache and are exact; the same model in evaluation is not,
      without ``use_cache=False``.
    - Some language models do not use positions for this: see
      :func:`polymodal.training.loop.packed_attention.check_packing`.

    Returns:
        ``input_ids``, ``position_ids`` and ``labels``, ``(1, tokens of all rows)`` each.
    """
    positions = [np.arange(len(row.ids)) for row in rows]
    parts = {
        "input_ids": [row.ids for row in rows],
        "position_ids": positions,
        "labels": [labels_of(row) for row in rows],
    }
    return {name: torch.from_numpy(np.concatenate(part)).long()[None] for name, part in parts.items()}


class ConversationCollator:
    """Batches of conversations for a language model.

    Args:
        processor: Collates the items, and defines the padding.
        packed: Pack all in one row, instead of one row each.
        form: See :meth:`PolymodalProcessor.collate`.
    """

    def __init__(
        self, processor: ConversationProcessor, *, packed: bool = False, form: Form = "items"
    ) -> None:
        self.processor, self.packed, self.form = processor, packed, form

    def __call__(self, turns: Sequence[Turn]) -> dict[str, Any]:
        encoded = [turn.encoded for turn in turns]
        pad = int(self.processor.tokenizer.pad_token_id)
        tensors = packed(encoded) if self.packed else padded(encoded, pad)
        return {**tensors, "inputs": self.processor.media(turns, form=self.form)}
