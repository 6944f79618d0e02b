"""Encoded conversations → tensors: padded rows, or several in one row without padding."""

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
    """What of an encoded conversation is read here."""

    @property
    def ids(self) -> np.ndarray:
        """Token ids ``(length,)``."""

    @property
    def learned(self) -> np.ndarray:
        """The tokens on which the loss looks, ``(length,)`` bool."""


def labels_of(row: Row) -> np.ndarray:
    """The tokens to be said, each at its own place (the model shifts them); :data:`LEFT_OUT` elsewhere.

    The first token is left out in any case: nothing stands before it to say it from, and in a pack the
    end of another conversation does. So what the Trainer counts to normalize a loss, labels that it does or
    does not shift, is also what the loss adds up.

    Returns:
        ``(length,)``
    """
    labels = np.where(row.learned, row.ids, LEFT_OUT)
    labels[:1] = LEFT_OUT
    return labels


def padded(rows: Sequence[Row], pad: int, side: Literal["left", "right"] = "right") -> dict[str, Tensor]:
    """One conversation a row.

    Args:
        rows: To collate.
        pad: The id that fills up.
        side: On which side; on the right for training, on the left for generation.

    Returns:
        ``input_ids``, ``attention_mask`` and ``labels``, ``(rows, length of the longest)`` each.
    """
    shape = (len(rows), max(len(row.ids) for row in rows))
    ids, labels = np.full(shape, pad, dtype=np.int64), np.full(shape, LEFT_OUT, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    for number, row in enumerate(rows):
        length = len(row.ids)
        place = slice(0, length) if side == "right" else slice(shape[1] - length, None)
        ids[number, place], labels[number, place], mask[number, place] = row.ids, labels_of(row), 1
    return {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask),
        "labels": torch.from_numpy(labels),
    }


def packed(rows: Sequence[Row]) -> dict[str, Tensor]:
    """Conversations one after another in a single row, told apart by positions that start again at 0.

    Transformers keeps them apart (to 1e-5 in logits, loss and gradients, under SDPA as under eager
    attention) if the model is given these positions, **no** ``attention_mask`` and ``use_cache=False``:

    - An attention mask, even of ones, is taken as the whole truth: conversations see each other.
    - So does a cache, and ``use_cache`` is true by default in a call; the Trainer sets it to false in the
      configuration of the model it is given, not in that of a language model within.
    - Checkpointed layers in training switch the cache off and are exact; the same model in evaluation is not,
      without ``use_cache=False``.
    - Some language models do not look at positions for this at all: see
      :func:`polymodal.training.language.packing_check.check_packing`.

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
        processor: Pads, and collates the items.
        packed: One after another in one row, in the place of a row each.
        form: See :meth:`PolymodalProcessor.collate`.
    """

    def __init__(
        self, processor: ConversationProcessor, *, packed: bool = False, form: Form = "items"
    ) -> None:
        self.processor, self.packed, self.form = processor, packed, form

    def __call__(self, turns: Sequence[Turn]) -> dict[str, Any]:
        encoded = [turn.encoded for turn in turns]
        pad = int(self.processor.tokenizer.pad_token_id)  # type: ignore[arg-type]
        tensors = packed(encoded) if self.packed else padded(encoded, pad)
        return {**tensors, "inputs": self.processor.media(turns, form=self.form)}
