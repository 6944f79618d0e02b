"""Features of recordings: statistics over time of log-mel bands, MFCC, energy, spectral shape and pitch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Self

import numpy as np

from polymodal.data.readers import AudioReader, Reader
from polymodal.plain.blocks import Columns
from polymodal.plain.features.base import FEATURIZERS, Featurizer, Matrix, dense
from polymodal.plain.features.statistics import named, over_time, quantiles, segments
from polymodal.utils.mel_filters import triangles
from polymodal.utils.records import Settings

BANDS, COEFFICIENTS, COARSE, SEGMENTS = 40, 20, 20, 8
QUIETEST = 1e-10
"""Power below which all is silence, full scale being 1."""
TOP_DB = 60.0
"""Decibels below the loudest moment that are heard: what is quieter is mostly the noise of the room."""
LOWEST_PITCH, HIGHEST_PITCH = 75.0, 500.0
"""Hertz; the range of speaking voices."""
VOICED = 0.45
"""Autocorrelation at the pitch's period above which a frame is voiced (Boersma 1993)."""
CONTOURS = ("log energy", "zero crossings", "centroid", "rolloff", "flatness", "voicing")
SHARES = (0.1, 0.5, 0.9)
QUANTILES = ("10 % quantile", "median", "90 % quantile")
WHOLE = ("log of seconds", "voiced share")
PITCH = ("pitch, mean", "pitch, deviation", "pitch, slope")


@dataclass(frozen=True)
class Spectra:
    """Windows, filters and frames for recordings of one rate.

    Args:
        rate: Samples per second.
    """

    rate: int

    @cached_property
    def window(self) -> np.ndarray:
        """Hann window of 32 milliseconds: two periods of the lowest pitch nearly fit."""
        size = max(int(self.rate * 0.032), 8)
        return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)

    @property
    def hop(self) -> int:
        """Samples between frames: 10 milliseconds."""
        return max(self.rate // 100, 1)

    @cached_property
    def frequencies(self) -> np.ndarray:
        """Hertz of each frequency bin."""
        return np.fft.rfftfreq(self.length, 1 / self.rate).astype(np.float32)

    @property
    def length(self) -> int:
        """Samples of the transform: two windows, so that the autocorrelation does not wrap."""
        return 2 << (len(self.window) - 1).bit_length()

    @cached_property
    def filters(self) -> np.ndarray:
        """Triangular mel filters ``(frequencies, bands)`` of area 1 (Davis & Mermelstein 1980)."""
        top = 2595 * math.log10(1 + self.rate / 2 / 700)
        edges = 700 * (10 ** (np.linspace(30.0, top, BANDS + 2) / 2595) - 1)
        filters = triangles(self.frequencies, edges)
        # A narrow band may lie between two frequency bins: it takes the nearest.
        nearest = np.abs(self.frequencies[:, None] - edges[1:-1]).argmin(axis=0)
        filters[nearest, np.arange(BANDS)] = np.maximum(filters[nearest, np.arange(BANDS)], 1e-3)
        return (filters / filters.sum(axis=0)).astype(np.float32)

    @cached_property
    def lags(self) -> slice:
        """Periods of the pitch in samples."""
        shortest = max(int(self.rate / HIGHEST_PITCH), 1)
        return slice(shortest, max(math.ceil(self.rate / LOWEST_PITCH), shortest) + 1)

    @cached_property
    def window_correlation(self) -> np.ndarray:
        """Autocorrelation of the window itself, by which that of frames is divided (Boersma 1993)."""
        power = np.abs(np.fft.rfft(self.window, self.length)) ** 2
        own = np.fft.irfft(power)[self.lags]
        return (own / (self.window**2).sum()).astype(np.float32)

    def frames(self, waveform: np.ndarray) -> np.ndarray:
        """Frames ``(frames, samples)`` inside of the recording; one shorter than a window is padded."""
        short = len(self.window) - len(waveform)
        samples = np.pad(waveform, (0, short)) if short > 0 else waveform
        return np.lib.stride_tricks.sliding_window_view(samples, len(self.window))[:: self.hop]


@FEATURIZERS.register("audio")
class AudioFeaturizer(Featurizer):
    """Recordings to statistics of their spectra over time; only what a recording holds is looked at.

    Args:
        rate: Samples per second.
    """

    modality = "audio"

    def __init__(self, *, rate: int = 16000) -> None:
        self.rate = rate

    @classmethod
    def for_reader(cls, reader: Reader) -> Self:
        """See :class:`Featurizer`."""
        return cls(rate=reader.rate) if isinstance(reader, AudioReader) else cls()

    def learn(self, items: Sequence[np.ndarray]) -> None:
        """See :class:`Featurizer`."""
        bands = [f"mel band {number}" for number in range(1, BANDS + 1)]
        cepstra = [f"MFCC {number}" for number in range(1, COEFFICIENTS + 1)]
        coarse = [f"mel bands {number} and {number + 1}" for number in range(1, BANDS, BANDS // COARSE)]
        spectrum = named(bands, ("mean", "deviation", "change", QUANTILES[0], QUANTILES[2]))
        cepstrum = named(cepstra, ("mean", "deviation", "change"))
        voice = named(CONTOURS, ("mean", "deviation", "change", *QUANTILES))
        stretches = named(coarse, [f"part {number} of {SEGMENTS}" for number in range(1, SEGMENTS + 1)])
        self.columns = {
            "spectrum": Columns((*spectrum, *cepstrum), "number"),
            "voice": Columns((*voice, *PITCH, *WHOLE), "number"),
            "course": Columns(tuple(stretches), "number"),
        }

    def features(self, items: Sequence[np.ndarray]) -> Mapping[str, Matrix]:
        """See :class:`Featurizer`."""
        spectra = Spectra(self.rate)
        rows = [_features(np.asarray(item, np.float32), spectra) for item in items]
        return {part: dense([row[part] for row in rows]) for part in self.columns}

    def options(self) -> Settings:
        """See :class:`Featurizer`."""
        return {"rate": self.rate}


def _features(waveform: np.ndarray, spectra: Spectra) -> dict[str, np.ndarray]:
    """The features of one recording, by part."""
    frames = spectra.frames(waveform)
    power = np.abs(np.fft.rfft(frames * spectra.window, spectra.length, axis=1)) ** 2
    power /= (spectra.window**2).sum()
    mel = np.log(np.maximum(power @ spectra.filters, QUIETEST))
    mel = np.maximum(mel, mel.max() - TOP_DB * math.log(10) / 10)
    cepstra = mel @ cosines(BANDS)[:, :COEFFICIENTS]
    pitch, voicing = _pitch(power, spectra)
    contours = np.column_stack([_contours(frames, power, spectra), voicing])
    moments = ("mean", "deviation", "change")
    coarse = mel.reshape(len(mel), COARSE, -1).mean(axis=2)
    spectrum = [over_time(mel, moments), quantiles(mel, SHARES[::2]), over_time(cepstra, moments)]
    voice = [over_time(contours, moments), quantiles(contours, SHARES), _pitch_statistics(pitch)]
    whole = [math.log(max(len(waveform), 1) / spectra.rate), len(pitch) / len(frames)]
    return {
        "spectrum": np.concatenate(spectrum),
        "voice": np.concatenate([*voice, whole]),
        # Without the level: how a recording goes on should not depend on the distance of the microphone.
        "course": segments(coarse - mel.mean(), SEGMENTS),
    }


@lru_cache
def cosines(size: int) -> np.ndarray:
    """``(size, size)`` float32 whose product with a row is its discrete cosine transform, orthonormal."""
    order = np.arange(size)
    table = np.cos(np.pi / size * (order[:, None] + 0.5) * order) * np.sqrt(2 / size)
    table[:, 0] /= np.sqrt(2)
    return table.astype(np.float32)


def _contours(frames: np.ndarray, power: np.ndarray, spectra: Spectra) -> np.ndarray:
    """``(frames, 5)``: all of :data:`CONTOURS` but the last."""
    total = power.sum(axis=1)
    safe = np.maximum(total, QUIETEST)
    energy = np.log(np.maximum((frames**2).mean(axis=1), QUIETEST))
    crossings = (np.diff(np.signbit(frames), axis=1)).mean(axis=1)
    centroid = power @ spectra.frequencies / safe
    reached = np.cumsum(power, axis=1) >= 0.85 * total[:, None]
    rolloff = spectra.frequencies[reached.argmax(axis=1)]
    floored = np.maximum(power, QUIETEST)
    flatness = np.log(floored).mean(axis=1) - np.log(floored.mean(axis=1))
    return np.column_stack([energy, crossings, np.log1p(centroid), np.log1p(rolloff), flatness])


def _pitch(power: np.ndarray, spectra: Spectra) -> tuple[np.ndarray, np.ndarray]:
    """Pitch in octaves above 100 Hz of the voiced frames, and the voicing of all ``(frames,)``.

    The period is where the autocorrelation, from the power spectrum (Wiener-Khinchin), is largest.
    """
    correlation = np.fft.irfft(power, spectra.length, axis=1)
    at_zero = np.maximum(correlation[:, :1], QUIETEST)
    near = correlation[:, spectra.lags] / at_zero / np.maximum(spectra.window_correlation, 0.05)
    best = near.argmax(axis=1)
    voicing = np.clip(near[np.arange(len(near)), best], -1, 1)
    is_voiced = (voicing > VOICED) & (correlation[:, 0] > 1e-6)
    return np.log2(spectra.rate / (best[is_voiced] + spectra.lags.start) / 100), voicing


def _pitch_statistics(pitch: np.ndarray) -> np.ndarray:
    """The values of :data:`PITCH`; zeros where nothing is voiced."""
    return over_time(pitch[:, None], ("mean", "deviation", "slope")) if len(pitch) else np.zeros(len(PITCH))
