"""Frames of features, log-mel above all: equalized, stretched, and masked in stretches."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

KNOTS = 5
"""Places over frequency at which a random gain is drawn."""


def equalize(frames: Tensor, mask: Tensor, deviation: float) -> Tensor:
    """Play each recording through another microphone and room: random gains, smooth over frequency.

    The gains are normal, of that ``deviation`` at five places spread evenly over the bins of ``frames``
    ``(items, frames, bins)``, and straight lines between, in the frames' own unit: that of a recording's
    deviation (linear FilterAugment, Nam et al. 2022). Frames that ``mask`` ``(items, frames)`` lacks stay.
    """
    gains = deviation * torch.randn(len(frames), 1, KNOTS, device=frames.device, dtype=frames.dtype)
    gains = F.interpolate(gains, size=frames.shape[2], mode="linear", align_corners=True)
    return frames + gains * mask.unsqueeze(-1)


def stretch(frames: Tensor, share: float, *, bins: bool = True) -> tuple[Tensor, Tensor]:
    """Stretch time and (``bins``) frequency of each recording by up to ``share``, as another speaker would.

    Frequency as in vocal tract length perturbation (Jaitly & Hinton 2013), time as in speed perturbation
    (Ko et al. 2015), both on the log-mel picture ``(items, frames, bins)``.

    Returns:
        The frames, as many as before, and how much faster each recording runs ``(items,)``.
    """
    factor = 1 + (2 * torch.rand(len(frames), 2, device=frames.device, dtype=frames.dtype) - 1) * share
    if not bins:
        factor = torch.cat([torch.ones_like(factor[:, :1]), factor[:, 1:]], dim=1)
    # Both axes run from -1 to 1 and are stretched from -1, where sound starts and frequency is lowest.
    theta = torch.diag_embed(factor)
    theta = torch.cat([theta, (factor - 1).unsqueeze(-1)], dim=-1)  # (items, 2, 3)
    picture = frames.unsqueeze(1)
    with torch.autocast(frames.device.type, enabled=False):  # in half precision a grid is off by frames
        grid = F.affine_grid(theta, list(picture.shape), align_corners=False)
    return F.grid_sample(picture, grid, align_corners=False).squeeze(1), factor[:, 1]


def mask_stretches(frames: Tensor, share: float, length: Tensor | None = None) -> Tensor:
    """Zero one stretch of frames and one of mel bins in each recording (SpecAugment, without warping).

    With ``length`` ``(items,)`` the stretch of frames lies in that many first ones, and is a share of these.
    """
    for axis in (1, 2):
        size = frames.shape[axis] if axis == 2 or length is None else length.unsqueeze(1)
        wide = torch.rand(len(frames), 1, device=frames.device) * share * size
        start = torch.rand(len(frames), 1, device=frames.device) * (size - wide)
        place = torch.arange(frames.shape[axis], device=frames.device)
        keep = (place < start) | (place >= start + wide)  # (items, size)
        frames = frames * keep.unsqueeze(3 - axis)
    return frames
