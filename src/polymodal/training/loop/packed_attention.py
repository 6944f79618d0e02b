"""Attention within each packed conversation, and a test whether a model separates packed conversations.

With rows of 16 to 512 tokens in packs of 4,096, SDPA computes 4,096 scores per token; about 200 count.
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

from polymodal.errors import ConfigError

NAME = "sdpa_apart"
"""Its name among Transformers' implementations of attention."""


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
    """SDPA per packed conversation, on a CPU; the results are the same.

    On a GPU it runs over the whole pack, for many small kernels would be slower. (There,
    ``flash_attention_2`` and ``flex_attention`` skip masked scores.)

    Args:
        module: The layer.
        query: ``(batch, heads, length, width)``.
        key: ``(batch, key heads, length, width)``.
        value: As ``key``.
        attention_mask: ``(batch, 1, length, length)``; within conversations it applies, such as a sliding
            window.
        position_ids: ``(batch, length)``, restart at 0 in every conversation.
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
    """The starts of conversations, and the end of the last; empty without packing, or on a GPU."""
    length = query.shape[2]
    packed = mask is not None and positions is not None and len(query) == len(positions) == 1
    if not packed or key.shape[2] != length or query.device.type != "cpu":
        return []
    assert positions is not None
    begins = (positions[0].diff() != 1).nonzero().flatten() + 1  # as in find_packed_sequence_indices
    return [0, *begins.tolist(), length]


AttentionInterface.register(NAME, attend_apart)
AttentionMaskInterface.register(NAME, sdpa_mask)


@contextmanager
def attending_apart(model: PreTrainedModel) -> Iterator[None]:
    """Use per-conversation attention in a language model with SDPA inside the block."""
    before = model.config._attn_implementation
    if before == "sdpa":
        model.set_attn_implementation(NAME)
    try:
        yield
    finally:
        if before == "sdpa":
            model.set_attn_implementation(before)


FIRST, SECOND = (1, 2, 3, 4, 5), (5, 3, 1, 4)
"""Tokens of two test conversations."""
NOISE = 0.01
"""Largest rounding error relative to the effect of leaking; typically 1e-6, in half precision a few 1e-3."""


def check_packing(model: PreTrainedModel) -> None:
    """Refuse a language model in which packed conversations attend to each other.

    Raises:
        ConfigError: If they do.
    """
    if not keeps_apart(model):
        reason = (
            f"'generation.pack': the language model is '{model.config.model_type}', in which conversations"
        )
        raise ConfigError(f"{reason} in one row see each other. Leave 'pack' out, or take another model")


@torch.no_grad()
def keeps_apart(model: PreTrainedModel) -> bool:
    """Whether a conversation has the same logits packed after another as alone.

    The difference is relative to that of treating both as one conversation.
    """
    was_training = model.training
    model.eval()
    try:
        indices = [*range(len(FIRST)), *range(len(SECOND))]
        alone = _logits(model, SECOND, range(len(SECOND)))
        behind = _logits(model, FIRST + SECOND, indices)[len(FIRST) :]
        joined = _logits(model, FIRST + SECOND, range(len(indices)))[len(FIRST) :]
    finally:
        model.train(was_training)
    return bool((behind - alone).abs().max() <= NOISE * (joined - alone).abs().max())


def _logits(model: PreTrainedModel, tokens: tuple[int, ...], places: range | list[int]) -> Tensor:
    """``(tokens, vocabulary)``"""
    ids, positions = (torch.tensor([list(values)], device=model.device) for values in (tokens, places))
    return model(input_ids=ids, position_ids=positions, use_cache=False).logits[0].float()
