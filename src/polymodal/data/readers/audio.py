"""Recordings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data import media
from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import READERS, Reader, as_tensors
from polymodal.data.readers.content import Content, KeptLength
from polymodal.data.readers.items import shown_range, some_of
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from polymodal.config import InputConfig
    from polymodal.data.readers.columns import TrainingColumns

LONGEST_SECONDS = 10.0
HIGHEST_RATE = 16000
LENGTH_STEP = 25
"""Positions of Whisper's encoder to which a recording's length is rounded up: half a second."""


@READERS.register("audio")
class AudioReader(Reader):
    """Sound to a waveform of one channel, padded or cut to a fixed length.

    Args:
        part: The feature extractor of a pretrained encoder.
        rate: Samples per second.
        seconds: The fixed length.
    """

    modality = "audio"
    holds = Content.MEDIA
    may_share = holds_items = True
    noun = "recording"
    required = ("rate", "seconds")
    part_class = "AutoFeatureExtractor"
    length_setting = "seconds"

    def __init__(self, part: Any = None, *, rate: int = 16000, seconds: float = 4.0) -> None:
        self.part, self.rate, self.seconds = part, rate, seconds

    @property
    def samples(self) -> int:
        """The fixed length in samples."""
        return round(self.rate * self.seconds)

    @classmethod
    def fit(cls, columns: TrainingColumns) -> AudioReader:
        """See :class:`Reader`; the rate is the usual one, the length holds 98 of 100 whole, within limits."""
        part, config = cls.part_of_checkpoint(columns.checkpoint), columns.config
        known = list(columns.measured(media.audio_info))
        seconds, rates = zip(*known, strict=True) if known else ((4.0,), (HIGHEST_RATE,))
        usual = max(set(rates), key=rates.count)
        longest = min(LONGEST_SECONDS, math.ceil(float(np.quantile(seconds, 0.98)) * 10) / 10)
        rate = part.sampling_rate if part else config.rate or min(HIGHEST_RATE, usual)
        kept = fixed_seconds(part) or config.seconds or max(longest, 0.2)
        return cls(part, rate=rate, seconds=float(kept))

    @classmethod
    def for_encoder(cls, encoder: object, cells: Sequence[Any]) -> AudioReader:
        """See :class:`Reader`."""
        part = cls.part_of_checkpoint(getattr(encoder, "checkpoint", None))
        return cls(part, rate=getattr(encoder, "rate", 16000), seconds=getattr(encoder, "seconds", 4.0))

    @classmethod
    def open(cls, item: Any, root: Root, config: InputConfig) -> None:
        """See :class:`Reader`."""
        media.load_audio(item, root, rate=config.rate or HIGHEST_RATE)

    @classmethod
    def measure(cls, item: Any, root: Root) -> tuple[float, ...]:
        """Seconds, and samples per second."""
        return media.audio_info(item, root)

    @classmethod
    def describe_sizes(cls, sizes: Sequence[tuple[float, ...]]) -> str:
        """``0.1–2.3 s at 8000 Hz``."""
        return (
            f"{shown_range((size[0] for size in sizes), '.3g')} s at {some_of(size[1] for size in sizes)} Hz"
        )

    @property
    def kept_length(self) -> KeptLength:
        """See :class:`Reader`; half a sample is rounding."""
        is_fixed = self.part is not None and fixed_seconds(self.part) is not None
        return KeptLength(self.seconds, "s", self.seconds * 0.001 + 1 / self.rate, is_fixed)

    def read(self, cell: Any, root: Root) -> np.ndarray:
        """float32 ``(at most samples,)``."""
        return media.load_audio(cell, root, rate=self.rate, seconds=self.seconds)

    def blank(self) -> np.ndarray:
        """Silence."""
        return np.zeros(self.samples, dtype=np.float32)

    def shortest(self) -> np.ndarray:
        """See :class:`Reader`; Whisper alone has several lengths."""
        return self.blank()[:1] if self._is_cut_to_sound else self.blank()

    def arrays(self, items: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """``length`` ``(items,)`` and ``waveform`` ``(items, samples)`` or the extractor's arrays."""
        return self._arrays(items, self._extracted(max(map(len, items))))

    def collate_dense(self, items: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """See :class:`Reader`."""
        return as_tensors(self._arrays(items, self.samples))

    def _arrays(self, items: Sequence[np.ndarray], samples: int) -> dict[str, np.ndarray]:
        made = {"waveform": self._pad(items)} if self.part is None else self._extract(items, samples)
        return {"length": np.array([len(item) for item in items], dtype=np.int64), **made}

    @property
    def _is_cut_to_sound(self) -> bool:
        """Whether features are computed of the sound alone: of the one length that Whisper knows."""
        return hasattr(self.part, "n_samples")

    def _extracted(self, longest: int) -> int:
        """Samples of which features are computed; of Whisper's 30 seconds as many as hold the sound.

        What is left out is silence: with the window of a whole frame after the sound, the last frame that is
        left equals all those after it.
        """
        if not self._is_cut_to_sound:
            return self.samples
        unit = LENGTH_STEP * 2 * self.part.hop_length  # Whisper's encoder halves the frames
        kept = math.ceil((longest + self.part.n_fft + self.part.hop_length) / unit) * unit
        return min(self.samples, kept)

    def _pad(self, items: Sequence[np.ndarray]) -> np.ndarray:
        waveform = np.zeros((len(items), self.samples), dtype=np.float32)
        for index, item in enumerate(items):
            waveform[index, : len(item)] = item
        return waveform

    def _extract(self, items: Sequence[np.ndarray], samples: int) -> dict[str, np.ndarray]:
        """The output of the feature extractor for recordings padded to ``samples``."""
        names = self.part.model_input_names
        counts_samples = "input_values" in names or self._is_cut_to_sound
        if not counts_samples:  # its max_length would count frames: it gets recordings of one length
            padded = list(self._pad(items))
            return dict(self.part(padded, sampling_rate=self.rate, return_tensors="np"))
        extracted = self.part(
            list(items), sampling_rate=self.rate, padding="max_length", max_length=samples,
            truncation=True, return_tensors="np",
        )  # fmt: skip
        return dict(extracted)

    def settings(self) -> Settings:
        """See :class:`Reader`."""
        return {"rate": self.rate, "seconds": self.seconds}


def fixed_seconds(part: Any) -> float | None:
    """The one length that a feature extractor makes of every recording, where it does (Whisper, AST)."""
    frames = getattr(part, "max_length", None)  # of 10 milliseconds each
    return getattr(part, "chunk_length", None) or (frames / 100 if frames else None)
