"""Attributions over time, of recordings and sequences: heat maps and spans."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from polymodal.data.readers import AudioReader
from polymodal.models.encoders.mel import LogMel

SPANS = 20
"""Number of spans of a recording."""


def frequency_by_time(values: np.ndarray, part: Any = None) -> np.ndarray | None:
    """The input of an encoder as ``(bins, time)``, low frequencies first; a waveform has one bin.

    Args:
        values: ``(samples,)``, or log-mel in either order.
        part: The feature extractor that made them, whose number of bins identifies the axes.
    """
    values = values[0] if values.ndim == 3 and len(values) == 1 else values
    if values.ndim == 1:
        return values[np.newaxis]
    if values.ndim != 2:
        return None
    bins = getattr(part, "num_mel_bins", None) or getattr(part, "feature_size", None)
    if bins in values.shape and values.shape[0] != values.shape[1]:
        return values if values.shape[0] == bins else values.T
    return values.T


def spans(time: np.ndarray, heard: float, seconds: float) -> list[tuple[str, float, float, float]]:
    """``time`` ``(steps,)`` over ``seconds``, summed in equal spans of the first ``heard`` seconds.

    Returns:
        Text, start and end in seconds, sum; the last one is the padding, where there is any.
    """
    middle = (np.arange(len(time)) + 0.5) / len(time) * seconds
    count = int(max(1, min(SPANS, (middle < heard).sum())))
    segment = np.minimum(middle / max(heard, 1e-9) * count, count).astype(int)
    sums = np.bincount(segment, weights=time, minlength=count + 1)
    result = [("", n * heard / count, (n + 1) * heard / count, float(sums[n])) for n in range(count)]
    return [*result, ("padding", heard, seconds, float(sums[count]))] if sums[count] else result


def drawn(
    there: np.ndarray, heat: np.ndarray, reader: AudioReader, heard: float
) -> tuple[np.ndarray, np.ndarray]:
    """Picture and heat map of the recording, high frequencies on top; a waveform is drawn as its log-mel.

    Args:
        there: The input of the encoder.
        heat: ``(bins, time)``.
        reader: Of the recording.
        heard: Seconds without padding.
    """
    under = frequency_by_time(there, reader.part)
    assert under is not None
    if len(under) == 1:
        wave = torch.from_numpy(np.ascontiguousarray(under)).float()
        frames, _ = LogMel(rate=reader.rate)(wave, torch.tensor([under.shape[1]]))
        under = frames[0].T.numpy()
    share = min(1.0, heard / reader.seconds)
    under, heat = (kept[:, : max(1, round(share * kept.shape[1]))] for kept in (under, heat))
    return grey(under[::-1]), heat[::-1]


def grey(values: np.ndarray) -> np.ndarray:
    """``(height, width)`` as a grey picture, uint8 ``(height, width, 3)``."""
    low, high = np.percentile(values, [1, 99]) if values.size else (0.0, 1.0)
    scaled = ((values - low) / max(float(high - low), 1e-8)).clip(0, 1)
    return np.repeat((255 * scaled).astype(np.uint8)[..., np.newaxis], 3, axis=2)
