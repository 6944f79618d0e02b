"""Augmentation of images and clips: shift, crop, flip and colour; the same for all frames of a clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from polymodal.errors import ConfigError

Levels = Sequence[Sequence[float]]
"""The values of black and white per channel: ``[[r, g, b], [r, g, b]]``."""
PLAIN: Levels = ([-1.0] * 3, [1.0] * 3)
"""Levels of images for an encoder from scratch."""
NARROWEST = 3 / 4
"""Smallest aspect ratio of a crop relative to the image; the largest is its inverse."""
FACTOR, TURN = 0.8, 0.2
"""How far a strength of 1 changes brightness, contrast, saturation (shares) and hue (of the circle)."""
YIQ = ((0.299, 0.587, 0.114), (0.59590059, -0.27455667, -0.32134392), (0.21153661, -0.52273617, 0.31119955))
"""Red, green and blue to luma and two axes of colour (NTSC, FCC 2003)."""
PATCH = 64
"""Side of the images that measure a processor's levels."""


def vary(
    pixels: Tensor, *, shift: float, crop: float, flip: bool, colour: float, levels: Levels | None = None
) -> Tensor:
    """Augment images ``(items, 3, height, width)`` or clips ``(items, frames, 3, height, width)``.

    Args:
        pixels: Floats.
        shift: See :func:`random_shift`; 0 for none.
        crop: See :func:`random_crop`; 1 for none.
        flip: Whether to mirror; see :func:`random_flip`.
        colour: See :func:`random_colour`; 0 for none.
        levels: Levels of the pixels; by default -1 for black and 1 for white.
    """
    with torch.autocast(pixels.device.type, enabled=False):  # in half precision a grid is off by pixels
        frames = pixels.flatten(1, -3)  # a clip as one image of many channels
        if shift:
            frames = random_shift(frames, shift)
        if crop < 1:
            frames = random_crop(frames, crop)
        if flip:
            frames = random_flip(frames)
        pixels = frames.view_as(pixels)
        return random_colour(pixels, colour, levels or PLAIN) if colour else pixels


def random_shift(pixels: Tensor, share: float) -> Tensor:
    """Move each picture by up to ``share`` of its side, the border repeated.

    ``pixels`` are ``(items, channels, height, width)``, here and in what follows.
    """
    far = max(1, round(share * pixels.shape[-1]))
    padded = F.pad(pixels, (far, far, far, far), mode="replicate")
    moves = torch.randint(0, 2 * far + 1, (2, len(pixels)), device=pixels.device)
    height, width = pixels.shape[2:]
    y = moves[0, :, None] + torch.arange(height, device=pixels.device)
    x = moves[1, :, None] + torch.arange(width, device=pixels.device)
    item = torch.arange(len(pixels), device=pixels.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[item, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2).contiguous()


def random_crop(pixels: Tensor, smallest: float) -> Tensor:
    """Crop each image at random, and resize the crop to the image's size.

    The crop's area is uniform from ``smallest`` to 1, its aspect ratio log-uniform from 3/4 to 4/3, its
    position uniform (Szegedy et al. 2015, section 6). Where a crop of this area does not fit with every
    ratio, the ratio is drawn from those with which it does.
    """
    draw = torch.rand(4, len(pixels), device=pixels.device)
    area = smallest + (1 - smallest) * draw[0]
    narrow, wide = area.clamp(min=NARROWEST).log(), (1 / area).clamp(max=1 / NARROWEST).log()
    ratio = (narrow + (wide - narrow) * draw[1]).exp()
    sides = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()]).clamp(max=1)  # width, height
    middle = (2 * draw[2:] - 1) * (1 - sides)  # the image spans -1 to 1
    theta = torch.cat([torch.diag_embed(sides.T), middle.T.unsqueeze(2)], dim=2)  # (items, 2, 3)
    grid = F.affine_grid(theta, list(pixels.shape), align_corners=False)
    part = F.grid_sample(pixels.float(), grid, padding_mode="border", align_corners=False)
    return part.to(pixels.dtype)


def random_flip(pixels: Tensor) -> Tensor:
    """Mirror each picture left to right with probability one half."""
    mirrored = torch.rand(len(pixels), 1, 1, 1, device=pixels.device) < 0.5
    return torch.where(mirrored, pixels.flip(-1), pixels)


def random_colour(pixels: Tensor, strength: float, levels: Levels = PLAIN) -> Tensor:
    """Change brightness, contrast, saturation and hue of ``pixels`` ``(items, …, 3, height, width)``.

    The first three are multiplied by uniform factors from 1 ± 0.8 · ``strength``, the hue is rotated by up to
    0.2 · ``strength`` of the circle (SimCLR, Chen et al. 2020, appendix A; here always, and in this order).
    Contrast is relative to the mean luma of the item. Hue is rotated in YIQ, which preserves luma, where HSV
    would preserve the strongest channel. The result is clipped to black and white.
    """
    black, white = torch.tensor(levels, device=pixels.device).view(2, 3, 1, 1)
    light = (pixels.float() - black) / (white - black)
    brightness, contrast, saturation, hue = 2 * torch.rand(4, len(pixels), device=pixels.device) - 1
    brightness, contrast, saturation = (1 + FACTOR * strength * x for x in (brightness, contrast, saturation))
    mix = turn_colours(saturation, 2 * math.pi * TURN * strength * hue) * (brightness * contrast).view(
        -1, 1, 1
    )
    luma = torch.tensor(YIQ[0], device=pixels.device).view(3, 1, 1)
    rest = (light * luma).sum(dim=-3, keepdim=True).flatten(1).mean(dim=1) * brightness * (1 - contrast)
    alone = (-1, *[1] * (pixels.dim() - 1))
    channels = light.flatten(-2)  # (items, …, 3, pixels)
    light = (mix.view(-1, *[1] * (pixels.dim() - 4), 3, 3) @ channels).view_as(light) + rest.view(alone)
    return (light.clamp(0, 1) * (white - black) + black).to(pixels.dtype)


def turn_colours(saturation: Tensor, hue: Tensor) -> Tensor:
    """Matrices ``(items, 3, 3)`` by which saturation is multiplied and hue turned (by an angle), in RGB."""
    to_yiq = torch.tensor(YIQ, device=hue.device)
    cosine, sine, none = saturation * hue.cos(), saturation * hue.sin(), torch.zeros_like(hue)
    rows = [torch.ones_like(hue), none, none, none, cosine, -sine, none, sine, cosine]
    return torch.linalg.inv(to_yiq) @ torch.stack(rows, dim=1).view(-1, 3, 3) @ to_yiq


def levels_of(processor: Any, name: str) -> list[list[float]]:
    """Measure the :data:`Levels` of an image processor's output with black, grey and white images.

    Raises:
        ConfigError: If its output is not linear in brightness; ``name`` names the processor's owner.
    """
    shown = []
    for light in (0, 51, 255):
        picture = Image.new("RGB", (PATCH, PATCH), (light, light, light))
        pixels = np.asarray(processor([picture], return_tensors="np")["pixel_values"], dtype=np.float64)
        height, width = pixels.shape[-2:]
        shown.append(pixels.reshape(-1, *pixels.shape[-3:])[0, :, height // 2, width // 2])
    black, grey, white = shown
    if (
        len(black) != 3
        or (white <= black).any()
        or not np.allclose((grey - black) / (white - black), 0.2, atol=0.01)
    ):
        reason = f"the pixels that the image processor of '{name}' makes do not follow the light evenly"
        raise ConfigError(f"'colour' cannot be set: {reason}")
    return [black.tolist(), white.tolist()]
