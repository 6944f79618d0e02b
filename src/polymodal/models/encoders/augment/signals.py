"""Augmentation of waveforms and of feature frames: time shift, noise, equalization, stretching, masking."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

QUIETER = 30.0
"""Decibels from the loudest noise to the quietest, which is inaudible."""


def shift_time(waveform: Tensor, length: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Shift each recording in time by up to ``share`` of its length.

    An earlier start loses the beginning; a later start begins with silence, and loses what exceeds the fixed
    length.

    Args:
        waveform: ``(items, samples)``.
        length: ``(items,)`` samples of content; later ones are ignored.
        share: Below 1, so that some content remains.

    Returns:
        The waveform, and its number of samples of silence before the content and of content ``(items,)``.
    """
    draw = 2 * torch.rand(len(waveform), device=waveform.device) - 1
    move = (draw * share * length).long()
    index = torch.arange(waveform.shape[1], device=waveform.device) - move.unsqueeze(1)
    is_sound = (index >= 0) & (index < length.unsqueeze(1))
    moved = waveform.gather(1, index.clamp(0, waveform.shape[1] - 1))
    return moved * is_sound, (length + move).clamp(max=waveform.shape[1])


def add_noise(waveform: Tensor, length: Tensor, lowest: float) -> Tensor:
    """Add white noise to each recording, at constant loudness.

    The signal-to-noise ratio is uniform from ``lowest`` to 30 decibels more.

    Args:
        waveform: ``(items, samples)``.
        length: ``(items,)`` samples of content; the others are unchanged.
        lowest: Smallest signal-to-noise ratio in decibels.
    """
    is_sound = torch.arange(waveform.shape[1], device=waveform.device) < length.unsqueeze(1)
    power = (waveform.square() * is_sound).sum(dim=1) / length.clamp(min=1)
    decibels = lowest + QUIETER * torch.rand(len(waveform), device=waveform.device)
    ratio = 10 ** (-decibels / 10)  # power of the noise relative to the signal
    noise = torch.randn_like(waveform) * (power * ratio).sqrt().unsqueeze(1)
    return torch.where(is_sound, (waveform + noise) / (1 + ratio).sqrt().unsqueeze(1), waveform)


KNOTS = 5
"""Frequencies at which a random gain is drawn."""


def equalize(frames: Tensor, mask: Tensor, deviation: float) -> Tensor:
    """Simulate another microphone and room: random gains, smooth over frequency.

    The gains are normal with this ``deviation`` at five equidistant bins of ``frames`` ``(items, frames,
    bins)``, and linear in between, in units of a recording's standard deviation (linear FilterAugment, Nam et
    al. 2022). Frames outside ``mask`` ``(items, frames)`` are unchanged.
    """
    gains = deviation * torch.randn(len(frames), 1, KNOTS, device=frames.device, dtype=frames.dtype)
    gains = F.interpolate(gains, size=frames.shape[2], mode="linear", align_corners=True)
    return frames + gains * mask.unsqueeze(-1)


def stretch(frames: Tensor, share: float, *, bins: bool = True) -> tuple[Tensor, Tensor]:
    """Stretch time and (``bins``) frequency of each recording by up to ``share``: another speaker.

    Frequency as in vocal tract length perturbation (Jaitly & Hinton 2013), time as in speed perturbation
    (Ko et al. 2015), both on log-mel frames ``(items, frames, bins)``.

    Returns:
        The frames, equally many, and the speed of each recording ``(items,)``.
    """
    factor = 1 + (2 * torch.rand(len(frames), 2, device=frames.device, dtype=frames.dtype) - 1) * share
    if not bins:
        factor = torch.cat([torch.ones_like(factor[:, :1]), factor[:, 1:]], dim=1)
    # Both axes span -1 to 1 and are stretched from -1, the start and the lowest frequency.
    theta = torch.diag_embed(factor)
    theta = torch.cat([theta, (factor - 1).unsqueeze(-1)], dim=-1)  # (items, 2, 3)
    picture = frames.unsqueeze(1)
    with torch.autocast(frames.device.type, enabled=False):  # in half precision a grid is off by frames
        grid = F.affine_grid(theta, list(picture.shape), align_corners=False)
    return F.grid_sample(picture, grid, align_corners=False).squeeze(1), factor[:, 1]


def mask_stretches(frames: Tensor, share: float, length: Tensor | None = None) -> Tensor:
    """Mask one segment of frames and one of mel bins per recording (SpecAugment; Park et al. 2019).

    With ``length`` ``(items,)`` the segment of frames is within the first ``length``, and a share of these.
    """
    for axis in (1, 2):
        size = frames.shape[axis] if axis == 2 or length is None else length.unsqueeze(1)
        wide = torch.rand(len(frames), 1, device=frames.device) * share * size
        start = torch.rand(len(frames), 1, device=frames.device) * (size - wide)
        index = torch.arange(frames.shape[axis], device=frames.device)
        keep = (index < start) | (index >= start + wide)  # (items, size)
        frames = frames * keep.unsqueeze(3 - axis)
    return frames
