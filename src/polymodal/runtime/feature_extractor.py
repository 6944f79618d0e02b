"""The feature extractor of a pretrained encoder from ``preprocessor_config.json``, without Transformers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from polymodal.errors import RunError
from polymodal.runtime.file_part import FilePart
from polymodal.utils.mel_filters import slaney_edges, triangles

HIGHEST = 8000.0
"""Hertz at which the highest of Whisper's mel filters ends, whatever the rate."""
QUIETEST = 1e-10
"""Power below which all is silence, full scale being 1."""
RANGE = 8.0
"""Powers of ten below a recording's largest value that are kept."""
MOST = {
    "sampling_rate": 768_000,
    "n_fft": 1 << 12,
    "hop_length": 1 << 12,
    "feature_size": 1 << 9,
    "chunk_length": 600,
}
"""Whole numbers from 1, each with the most that it may be."""
OVERLAP = 8
"""Frames that a sample may be in, at most: in Whisper it is in 2 or 3."""
MOST_VALUES = 1 << 25
"""Values of all frames of a recording, or of all its mel bins, at most: 128 MiB. Whisper has 1.2 million."""


class FileFeatureExtractor(FilePart, ABC):
    """Waveforms to tensors by the rules of one class of Transformers.

    Args:
        settings: Those of a feature extractor, as Transformers writes them.

    Raises:
        ValueError: If a setting is missing, or none that is known.
    """

    model_input_names: ClassVar[Sequence[str]]

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        if settings["padding_side"] != "right":
            raise ValueError("a feature extractor that pads in front of a recording")
        self.sampling_rate = self._whole("sampling_rate")
        self.padding = float(settings["padding_value"])
        self.has_mask = bool(settings["return_attention_mask"])

    @abstractmethod
    def __call__(
        self, recordings: Sequence[np.ndarray], *, max_length: int, **options: Any
    ) -> dict[str, np.ndarray]:
        """The tensors of waveforms that are padded or cut to ``max_length`` samples.

        Args:
            recordings: ``(samples,)`` each.
            max_length: Samples.
            options: Of Transformers' classes, which have no effect here.
        """

    def _whole(self, name: str) -> int:
        value = self.settings[name]
        if type(value) is not int or not 1 <= value <= MOST[name]:
            raise ValueError(f"a feature extractor with another {name} than a whole number to {MOST[name]:,}")
        return value

    def _padded(self, recordings: Sequence[np.ndarray], samples: int) -> np.ndarray:
        """``(recordings, samples)`` float32."""
        waveforms = np.full((len(recordings), samples), self.padding, dtype=np.float32)
        for waveform, recording in zip(waveforms, recordings, strict=True):
            waveform[: len(recording)] = recording[:samples]
        return waveforms


class LogMelExtractor(FileFeatureExtractor):
    """Whisper's log-mel (Radford et al. 2022, section 2.2): of 30 seconds, in frames of 25 milliseconds.

    Its logarithm is that of 10; what is more than 8 below a recording's largest value is raised to that, and
    the result is ``(value + 4) / 4``, as in OpenAI's ``log_mel_spectrogram``.
    """

    model_input_names = ("input_features",)

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        if self.has_mask or settings.get("dither"):
            raise ValueError("a feature extractor with a mask of frames, or with noise")
        self.n_fft, self.hop_length = self._whole("n_fft"), self._whole("hop_length")
        self.chunk_length, self.bins = self._whole("chunk_length"), self._whole("feature_size")
        self.n_samples = self.chunk_length * self.sampling_rate
        self._check_size()

    def _check_size(self) -> None:
        """Refuse settings, which may be a stranger's, that make no frames, or more than memory holds.

        Raises:
            ValueError: Naming the setting.
        """
        longest = min(self.n_fft, self.n_samples)
        if not self.n_fft <= OVERLAP * self.hop_length <= OVERLAP * longest:
            expected = f"expected {-(-self.n_fft // OVERLAP):,} to {longest:,}"
            raise ValueError(f"a feature extractor whose hop_length is {self.hop_length:,}, {expected}")
        values = self.n_samples // self.hop_length * max(self.n_fft, self.bins)
        if values > MOST_VALUES:
            wanted = f"makes {values:,} values of a recording, expected {MOST_VALUES:,} at most"
            raise ValueError(f"a feature extractor that {wanted}: its chunk_length is {self.chunk_length:,}")

    @cached_property
    def window(self) -> np.ndarray:
        """Hann window ``(n_fft,)``, periodic."""
        angle = 2 * np.pi * np.arange(self.n_fft) / self.n_fft
        return (0.5 - 0.5 * np.cos(angle)).astype(np.float32)

    @cached_property
    def filters(self) -> np.ndarray:
        """Triangular mel filters of area 1, ``(frequencies, bins)``."""
        edges = slaney_edges(HIGHEST, self.bins)
        hertz = np.linspace(0, self.sampling_rate // 2, self.n_fft // 2 + 1)
        return (triangles(hertz, edges) * 2 / (edges[2:] - edges[:-2])).astype(np.float32)

    def __call__(
        self, recordings: Sequence[np.ndarray], *, max_length: int, **options: Any
    ) -> dict[str, np.ndarray]:
        """``input_features`` ``(recordings, bins, frames)`` float32.

        Raises:
            RunError: If ``max_length`` holds no frame, or is longer than its settings describe.
        """
        if not self.hop_length <= max_length <= self.n_samples:
            expected = f"expected {self.hop_length:,} to {self.n_samples:,}. Export again"
            raise RunError(f"a feature extractor is given {max_length:,} samples, {expected}")
        waveforms = self._padded(recordings, max_length)
        return {"input_features": np.stack([self._log_mel(waveform) for waveform in waveforms])}

    def _log_mel(self, waveform: np.ndarray) -> np.ndarray:
        around = np.pad(waveform, self.n_fft // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(around, self.n_fft)[:: self.hop_length]
        spectrum = np.fft.rfft(frames[: len(waveform) // self.hop_length] * self.window, axis=1)
        power = spectrum.real**2 + spectrum.imag**2
        values = np.log10(np.maximum(power.astype(np.float32) @ self.filters, QUIETEST)).T
        return (np.maximum(values, values.max() - RANGE) + 4) / 4


class WaveformExtractor(FileFeatureExtractor):
    """The waveform itself, of mean 0 and variance 1 (wav2vec 2.0, Baevski et al. 2020, section 2).

    Mean and variance are those of the recording where there is a mask, and otherwise of the padded one.
    """

    model_input_names = ("input_values", "attention_mask")

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        if settings["feature_size"] != 1:
            raise ValueError("a feature extractor of several channels")
        self.is_scaled = bool(settings["do_normalize"])

    def __call__(
        self, recordings: Sequence[np.ndarray], *, max_length: int, **options: Any
    ) -> dict[str, np.ndarray]:
        """``input_values`` ``(recordings, samples)`` float32, and with a mask ``attention_mask`` int32."""
        waveforms = self._padded(recordings, max_length)
        lengths = [min(len(recording), max_length) for recording in recordings]
        if self.is_scaled:
            for waveform, length in zip(waveforms, lengths, strict=True):
                sound = waveform[:length] if self.has_mask else waveform
                sound[:] = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
        if not self.has_mask:
            return {"input_values": waveforms}
        mask = np.arange(max_length) < np.array(lengths)[:, None]
        return {"input_values": waveforms, "attention_mask": mask.astype(np.int32)}


EXTRACTORS: dict[str, type[FileFeatureExtractor]] = {
    "WhisperFeatureExtractor": LogMelExtractor,
    "Wav2Vec2FeatureExtractor": WaveformExtractor,
}
"""By class of Transformers."""


def feature_extractor(settings: Mapping[str, Any]) -> FileFeatureExtractor:
    """The feature extractor with these settings.

    Args:
        settings: As Transformers writes them.

    Raises:
        ValueError: If it is of another class, or a setting is none that is known.
    """
    kind = settings["feature_extractor_type"]
    if kind not in EXTRACTORS:
        raise ValueError(f"a feature extractor of the class {str(kind)[:80]}")
    return EXTRACTORS[kind](settings)
