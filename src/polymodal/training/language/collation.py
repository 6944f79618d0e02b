"""Encoded conversations to tensors: padded to the longest, or one after another in one row.

Packed conversations are told apart by their positions alone, which start again at 0: without an attention
mask and a cache, Transformers lets no token see another conversation (``find_packed_sequence_indices``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymodal.data.chat.processor import ConversationProcessor, Turn
from polymodal.data.chat.rendering import Encoded
from polymodal.data.processor import Form
from polymodal.models.language.modeling import LEFT_OUT


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
        pad = int(self.processor.tokenizer.pad_token_id)
        tensors = packed(encoded) if self.packed else padded(encoded, pad)
        return {**tensors, "inputs": self.processor.media(turns, form=self.form)}


def labels_of(encoded: Encoded) -> np.ndarray:
    """Each token that is learned, -100 elsewhere; nothing comes before the first one that could tell it."""
    labels = np.where(encoded.learned, encoded.ids, LEFT_OUT)
    labels[:1] = LEFT_OUT
    return labels


def padded(encoded: Sequence[Encoded], pad: int, *, left: bool = False) -> dict[str, Tensor]:
    """``input_ids``, ``attention_mask`` and ``labels``, all ``(rows, longest)``.

    Args:
        encoded: The conversations.
        pad: The token for padding.
        left: Pad in front, as generation wants it.
    """
    longest = max(len(row.ids) for row in encoded)
    shape = (len(encoded), longest)
    ids, mask, labels = np.full(shape, pad), np.zeros(shape, dtype=np.int64), np.full(shape, LEFT_OUT)
    for place, row in enumerate(encoded):
        start = longest - len(row.ids) if left else 0
        span = slice(start, start + len(row.ids))
        ids[place, span], mask[place, span], labels[place, span] = row.ids, 1, labels_of(row)
    return {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask),
        "labels": torch.from_numpy(labels),
    }


def packed(encoded: Sequence[Encoded]) -> dict[str, Tensor]:
    """``input_ids``, ``position_ids`` and ``labels``, all ``(1, tokens of all)``."""
    parts = {
        "input_ids": [row.ids for row in encoded],
        "position_ids": [np.arange(len(row.ids)) for row in encoded],
        "labels": [labels_of(row) for row in encoded],
    }
    return {name: torch.from_numpy(np.concatenate(values)).unsqueeze(0) for name, values in parts.items()}
