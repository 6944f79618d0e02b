"""Filters over frequency that log-mel consists of."""

from __future__ import annotations

import numpy as np


def triangles(hertz: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Triangles of height 1, each from the edge before its own to the one after (Davis & Mermelstein 1980).

    Args:
        hertz: ``(frequencies,)``.
        edges: ``(bands + 2,)`` hertz, ascending.

    Returns:
        ``(frequencies, bands)``.
    """
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (hertz[:, None] - low) / (middle - low), (high - hertz[:, None]) / (high - middle)
    return np.maximum(0, np.minimum(rising, falling))


def slaney_edges(highest: float, bands: int) -> np.ndarray:
    """``(bands + 2,)`` hertz from 0 to ``highest``, even on the mel scale of Slaney (1998, Auditory Toolbox).

    Up to 1000 Hz, 3 mels are 200 Hz; above, 27 mels are a factor of 6.4.

    Args:
        highest: Hertz, 1000 or more.
        bands: How many filters there are.
    """
    per_factor = np.log(6.4) / 27
    mels = np.linspace(0, 15 + np.log(highest / 1000) / per_factor, bands + 2)
    return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * per_factor))
