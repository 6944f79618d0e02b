"""Attention within each packed conversation, in the place of all of a pack with most of it masked.

With rows of 16 to 512 tokens in packs of 4,096, SDPA reckons 4,096 scores a token of which some 200 count.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "sdpa_apart"
"""Among the implementations of attention that Transformers knows."""


def attend_apart(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    position_ids: Tensor | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """SDPA, of packed conversations one by one, on a CPU; the same numbers.

    A GPU takes all at once: so many small steps would take longer to start than to reckon. (There,
    ``flash_attention_2`` and ``flex_attention`` leave out what is masked.)

    Args:
        module: The layer.
        query: ``(batch, heads, length, width)``.
        key: ``(batch, key heads, length, width)``.
        value: As ``key``.
        attention_mask: ``(batch, 1, length, length)``; what it says within conversations, such as a sliding
            window, holds.
        position_ids: ``(batch, length)``, start again at every conversation.
        options: See :func:`sdpa_attention_forward`.

    Returns:
        ``(batch, length, heads, width)``, and no weights.
    """
    bounds = _bounds(query, key, attention_mask, position_ids)
    if attention_mask is None or len(bounds) < 3:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    lengths = [end - start for start, end in pairwise(bounds)]
    # Split, not sliced: the gradient of a slice is as long as the pack.
    states = zip(*(whole.split(lengths, dim=2) for whole in (query, key, value)), strict=True)
    apart = []
    for (start, end), (q, k, v) in zip(pairwise(bounds), states, strict=True):
        mask = attention_mask[:, :, start:end, start:end]
        apart.append(sdpa_attention_forward(module, q, k, v, mask, **options)[0])
    return torch.cat(apart, dim=1), None


def _bounds(query: Tensor, key: Tensor, mask: Tensor | None, positions: Tensor | None) -> list[int]:
    """Where conversations begin, and the end of the last; empty where none are packed, or on a GPU."""
    length = query.shape[2]
    packed = mask is not None and positions is not None and len(query) == len(positions) == 1
    if not packed or key.shape[2] != length or query.device.type != "cpu":
        return []
    assert positions is not None
    begins = (positions[0].diff() != 1).nonzero().flatten() + 1  # as find_packed_sequence_indices tells it
    return [0, *begins.tolist(), length]


AttentionInterface.register(NAME, attend_apart)
AttentionMaskInterface.register(NAME, sdpa_mask)


@contextmanager
def attending_apart(model: PreTrainedModel) -> Iterator[None]:
    """Meanwhile a language model whose attention is SDPA attends to packed conversations one by one."""
    before = model.config._attn_implementation
    if before == "sdpa":
        model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        if before == "sdpa":
            model.set_attn_implementation(before)
