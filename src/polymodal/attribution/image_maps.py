"""Pictures and clips: what the encoder sees, and boxes over it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

COLOURS = (1, 3)
IN_A_LINE = 8
"""Frames of a clip beside each other."""


def channels_last(values: np.ndarray) -> np.ndarray | None:
    """``(…, channels, height, width)`` or ``(…, height, width, channels)`` as the latter; None if neither."""
    if values.ndim < 3:
        return None
    if values.shape[-3] in COLOURS:
        return np.moveaxis(values, -3, -1)
    return values if values.shape[-1] in COLOURS else None


def boxes(heat: np.ndarray, side: int) -> list[tuple[tuple[float, float, float, float], float]]:
    """``heat`` ``(height, width)`` summed in ``side`` × ``side`` boxes.

    Returns:
        Left, top, right and bottom as shares of the picture, and the sum; line by line.
    """
    tall, wide = heat.shape
    rows = np.linspace(0, tall, side + 1).round().astype(int)
    columns = np.linspace(0, wide, side + 1).round().astype(int)
    return [
        ((left / wide, top / tall, right / wide, bottom / tall), float(heat[top:bottom, left:right].sum()))
        for top, bottom in pairwise(rows)
        for left, right in pairwise(columns)
    ]


def shown(values: np.ndarray, part: Any = None) -> np.ndarray:
    """The input of the encoder as uint8 ``(…, height, width, 3)``.

    Args:
        values: uint8, or floats of the image processor ``part``.
        part: Its normalization is inverted, where it has a mean and a deviation.
    """
    laid = channels_last(values)
    assert laid is not None
    if laid.dtype != np.uint8:
        mean, deviation = (getattr(part, name, None) for name in ("image_mean", "image_std"))
        if getattr(part, "do_normalize", False) and mean is not None and deviation is not None:
            laid = laid * np.asarray(deviation) + np.asarray(mean)
        low, high = min(0.0, float(laid.min())), max(1.0, float(laid.max()))
        if low < -0.02 or high > 1.02:  # scaled in a way of its own: from darkest to brightest
            laid = (laid - laid.min()) / max(float(laid.max() - laid.min()), 1e-8)
        laid = (255 * laid.clip(0, 1)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(laid, (*laid.shape[:-1], 3)))


def strip(frames: np.ndarray) -> np.ndarray:
    """``(frames, height, width, …)`` beside each other, in lines of :data:`IN_A_LINE`."""
    behind = -len(frames) % min(IN_A_LINE, len(frames))
    padded = np.concatenate([frames, np.zeros_like(frames[:1]).repeat(behind, axis=0)])
    lines = padded.reshape(-1, min(IN_A_LINE, len(frames)), *frames.shape[1:])
    return np.concatenate([np.concatenate(list(line), axis=1) for line in lines], axis=0)
