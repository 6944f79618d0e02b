"""Recordings that start earlier or later, and over noise: changes of the waveform."""

from __future__ import annotations

import torch
from torch import Tensor

QUIETER = 30.0
"""Decibels from the loudest noise to the quietest, which nobody hears."""


def shift_time(waveform: Tensor, length: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Let each recording start earlier or later by up to ``share`` of its own length.

    What starts earlier loses its beginning; what starts later begins with silence, and loses what no longer
    fits the fixed length.

    Args:
        waveform: ``(items, samples)``.
        length: ``(items,)`` samples that are sound; what lies behind them is left out.
        share: Below 1, so that some of the sound stays.

    Returns:
        The waveform, and how many of its samples are silence before the sound and sound now ``(items,)``.
    """
    draw = 2 * torch.rand(len(waveform), device=waveform.device) - 1
    move = (draw * share * length).long()
    place = torch.arange(waveform.shape[1], device=waveform.device) - move.unsqueeze(1)
    is_sound = (place >= 0) & (place < length.unsqueeze(1))
    moved = waveform.gather(1, place.clamp(0, waveform.shape[1] - 1))
    return moved * is_sound, (length + move).clamp(max=waveform.shape[1])


def add_noise(waveform: Tensor, length: Tensor, lowest: float) -> Tensor:
    """Put white noise over each recording, as loud as before with it.

    The ratio of the sound's power to the noise's is drawn evenly from ``lowest`` to 30 decibels more.

    Args:
        waveform: ``(items, samples)``.
        length: ``(items,)`` samples that are sound; the others stay as they are.
        lowest: Decibels.
    """
    is_sound = torch.arange(waveform.shape[1], device=waveform.device) < length.unsqueeze(1)
    power = (waveform.square() * is_sound).sum(dim=1) / length.clamp(min=1)
    decibels = lowest + QUIETER * torch.rand(len(waveform), device=waveform.device)
    ratio = 10 ** (-decibels / 10)  # of the noise's power to the sound's
    noise = torch.randn_like(waveform) * (power * ratio).sqrt().unsqueeze(1)
    return torch.where(is_sound, (waveform + noise) / (1 + ratio).sqrt().unsqueeze(1), waveform)
