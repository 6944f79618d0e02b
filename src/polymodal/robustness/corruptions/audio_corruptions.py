"""Sounds that grow worse: noise, clipping, gaps. A sound is a waveform float32 ``(samples,)`` in [-1, 1]."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from polymodal.data import media
from polymodal.data.media.path_access import Root
from polymodal.data.readers import AudioReader
from polymodal.robustness.corruptions.base import CORRUPTIONS, CellCorruptions, Corruption

GAP = 0.05
"""Seconds of each gap: about a syllable's vowel, and a few lost packets of a call."""


def noise(sound: np.ndarray, decibels: float, random: np.random.Generator) -> np.ndarray:
    """White noise, so that the sound's power over the noise's is ``decibels``.

    What would be louder than full scale is turned down as a whole: clipping is a corruption of its own.
    Silence has no power to compare with, and stays.
    """
    power = float(np.mean(np.square(sound, dtype=np.float64))) if len(sound) else 0.0
    noisy = sound + random.normal(0.0, (power / 10 ** (decibels / 10)) ** 0.5, sound.shape)
    return (noisy / max(1.0, np.abs(noisy).max(initial=0.0))).astype(np.float32)


def clip(sound: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Everything beyond a limit cut off, which ``share`` of the samples that are not zero lie beyond."""
    loud = np.abs(sound[sound != 0])
    if not len(loud):
        return sound.copy()
    limit = np.quantile(loud, 1 - share).astype(np.float32)
    return sound.clip(-limit, limit)


def gaps(sound: np.ndarray, share: float, random: np.random.Generator, *, rate: int) -> np.ndarray:
    """Silence in ``share`` of the stretches of ``GAP`` seconds that a sound of ``rate`` is cut into."""
    step = max(1, round(GAP * rate))
    stretches = -(-len(sound) // step)
    # Rounded up or down by chance: of a short sound's few stretches no exact share can be taken.
    lost = random.permutation(stretches)[: int(share * stretches + random.random())]
    return np.where(np.isin(np.arange(len(sound)) // step, lost), np.float32(0), sound)


def sounds(rate: int) -> tuple[Corruption, ...]:
    """The corruptions of sounds of ``rate`` samples per second."""
    return (
        Corruption("noise", "signal to noise, dB", (20, 10, 5, 0, -5), noise),
        Corruption("clipping", "share of samples clipped", (0.05, 0.1, 0.2, 0.4, 0.6), clip),
        Corruption("gaps", "share of time silenced", (0.1, 0.2, 0.3, 0.45, 0.6), partial(gaps, rate=rate)),
    )


@CORRUPTIONS.register(AudioReader.modality)
class AudioCorruptions(CellCorruptions[AudioReader]):
    """Recordings, decoded to waveforms ``(samples,)`` at the reader's rate."""

    def corruptions(self) -> tuple[Corruption, ...]:
        """See :class:`CellCorruptions`."""
        return sounds(self.reader.rate)

    def decode(self, cell: Any, root: Root) -> np.ndarray:
        """See :class:`CellCorruptions`."""
        return media.load_audio(cell, root, rate=self.reader.rate, seconds=self.reader.seconds)

    def as_cell(self, value: np.ndarray) -> dict[str, np.ndarray | int]:
        """See :class:`CellCorruptions`."""
        return {"array": value, "sampling_rate": self.reader.rate}
