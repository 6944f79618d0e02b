"""Whisper's encoder over the sound of a recording, and a sample of the silence that fills its 30 seconds."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from polymodal.data.readers.audio import LENGTH_STEP

SILENCE_STEP = 3
"""One of so many silent positions is computed, and weighs in attention as much as all of them.

The shortest period of Whisper's position sinusoids is 2π: sampled more than π apart they alias, and the
states differ.
"""


def reads_lengths(backbone: PreTrainedModel) -> bool:
    """Whether :func:`encode_sound` can run ``backbone``: the other audio models have no fixed length."""
    return isinstance(backbone, WhisperEncoder)


def encode_sound(backbone: PreTrainedModel, features: Tensor, filled: Tensor) -> Tensor:
    """Hidden states of Whisper's encoder (Radford et al. 2022, section 2.2), without most of the silence.

    Its positions attend to each other over 30 seconds, of which a short recording leaves most to silence.
    Leaving that out changes the states, since sound attends to silence as well; but silent positions differ
    in their position alone, so that few of them, each with the logarithm of the number that it represents
    added to its scores, give nearly the same states. Items of equal length, rounded up, run together:
    none depends on the others.

    Args:
        backbone: A ``WhisperEncoder``.
        features: Log-mel ``(items, bins, frames)``, two frames per position; the last frame of an item
            that is shorter than 30 seconds is silence.
        filled: Positions that are sound, ``(items,)``.

    Returns:
        ``(items, most positions of an item, width)``; zero after an item's own positions.
    """
    assert isinstance(backbone, WhisperEncoder)
    whole, width = backbone.embed_positions.num_embeddings, backbone.embed_positions.embedding_dim
    kept = ((filled / LENGTH_STEP).ceil() * LENGTH_STEP + LENGTH_STEP).clamp(max=whole).long()
    if torch.compiler.is_exporting():  # an exported graph has one branch, for items of all lengths
        return _encode_together(backbone, features, kept)
    hidden = features.new_zeros(len(features), int(kept.max()), width)
    for count in kept.unique().tolist():
        chosen = (kept == count).nonzero().squeeze(1)
        part = _encode_equal(backbone, features[chosen], count)
        hidden = hidden.index_put((chosen,), F.pad(part, (0, 0, 0, hidden.shape[1] - count)).to(hidden.dtype))
    return hidden


def with_silence(features: Tensor, frames: int) -> Tensor:
    """Log-mel ``(items, bins, frames)`` of so many frames: the last one, silence, is repeated."""
    index = torch.arange(frames, device=features.device)
    return features[:, :, index.clamp(max=features.shape[2] - 1)]


def whole_length(backbone: PreTrainedModel, features: Tensor) -> Tensor:
    """Log-mel as long as Whisper itself takes it."""
    assert isinstance(backbone, WhisperEncoder)
    return with_silence(features, 2 * backbone.embed_positions.num_embeddings)


def _encode_equal(backbone: WhisperEncoder, features: Tensor, count: int) -> Tensor:
    """States ``(items, count, width)`` of recordings of one length."""
    whole = backbone.embed_positions.num_embeddings
    ahead = min(count + 2, whole)  # the last position sees the edge, the one before is silence
    hidden = _convolved(backbone, with_silence(features, 2 * ahead))
    index = torch.arange(count, device=hidden.device)
    sampled = torch.arange(count, whole, device=hidden.device)[SILENCE_STEP // 2 :: SILENCE_STEP]
    silence = hidden[:, count : count + 1].expand(-1, len(sampled), -1)
    hidden = torch.cat((hidden[:, :count], silence), dim=1)
    hidden = hidden + backbone.embed_positions(torch.cat((index, sampled)))
    hidden = F.dropout(hidden, p=backbone.dropout, training=backbone.training)
    weights = _attention_weights(count, len(sampled), whole).to(hidden)
    for layer in backbone.layers:
        hidden = layer(hidden, weights)
    return backbone.layer_norm(hidden[:, :count])


def _convolved(backbone: WhisperEncoder, features: Tensor) -> Tensor:
    """``(items, positions, width)`` of log-mel ``(items, bins, two frames per position)``."""
    return F.gelu(backbone.conv2(F.gelu(backbone.conv1(features)))).transpose(1, 2)


def _encode_together(backbone: WhisperEncoder, features: Tensor, kept: Tensor) -> Tensor:
    """The states of :func:`encode_sound`, of recordings of all lengths at once.

    An item has its own positions, then its sample of the silence, then slots that none attends to.

    Args:
        backbone: In evaluation mode.
        features: As :class:`AudioReader` cuts them, by which no item has more positions than they have and
            :data:`LENGTH_STEP`.
        kept: ``(items,)`` positions of each.
    """
    whole, heard = backbone.embed_positions.num_embeddings, features.shape[2] // 2
    most = heard + LENGTH_STEP
    count = kept.clamp(max=most).unsqueeze(1)  # callers of a graph may hand it any features
    frames = with_silence(features, 2 * (most + 2))
    frames = frames * (torch.arange(2 * (most + 2)) < 2 * whole)  # after 30 seconds there is nothing
    slot = torch.arange(most + (whole - heard) // SILENCE_STEP)
    position, weights = _slots(slot, count, whole)
    taken = slot.minimum(count).unsqueeze(-1).expand(-1, -1, backbone.embed_positions.embedding_dim)
    hidden = _convolved(backbone, frames).gather(1, taken)
    hidden = hidden + backbone.embed_positions(position)
    for layer in backbone.layers:
        hidden = layer(hidden, weights.to(hidden.dtype))
    return (backbone.layer_norm(hidden) * (slot < count).unsqueeze(-1))[:, :most]


def _slots(slot: Tensor, count: Tensor, whole: int) -> tuple[Tensor, Tensor]:
    """Which position each slot of an item holds, and what is added to attention scores of it.

    Args:
        slot: ``(slots,)`` its index.
        count: ``(items, 1)`` positions of each item, which its first slots hold.
        whole: Positions of 30 seconds.

    Returns:
        ``(items, slots)``, and ``(items, 1, 1, slots)`` as :func:`_attention_weights` has it; slots that
        none attends to hold the last position.
    """
    is_sound = slot < count
    sampled = count + SILENCE_STEP // 2 + SILENCE_STEP * (slot - count)
    is_silence = ~is_sound & (sampled < whole)
    weight = ((whole - count) / is_silence.sum(dim=1, keepdim=True).clamp(min=1)).log()
    lowest = torch.finfo(weight.dtype).min
    added = torch.where(is_sound, 0.0, torch.where(is_silence, weight, lowest))
    return torch.where(is_sound, slot, sampled.clamp(max=whole - 1)), added[:, None, None]


def _attention_weights(count: int, sampled: int, whole: int) -> Tensor:
    """What is added to attention scores, ``(1, 1, queries, keys)``: the log of what a key represents."""
    length = count + sampled
    added = torch.zeros(length)
    if sampled:
        added[count:] = torch.tensor((whole - count) / sampled).log()
    return added.expand(1, 1, length, length).contiguous()
