"""Recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymodal.data import media
from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import READERS, Content, Reader


@READERS.register("audio")
class AudioReader(Reader):
    """Sound to a waveform of one channel, padded or cut to a fixed length.

    Args:
        part: The feature extractor of a pretrained encoder.
        rate: Samples a second.
        seconds: The fixed length.
    """

    modality = "audio"
    holds = Content.MEDIA
    may_share = holds_items = True
    noun = "recording"

    def __init__(self, part: Any = None, *, rate: int = 16000, seconds: float = 4.0) -> None:
        self.part, self.rate, self.seconds = part, rate, seconds

    @property
    def samples(self) -> int:
        """The fixed length in samples."""
        return round(self.rate * self.seconds)

    def read(self, cell: Any, root: Root) -> np.ndarray:
        """float32 ``(at most samples,)``."""
        return media.load_audio(cell, root, rate=self.rate, seconds=self.seconds)

    def blank(self) -> np.ndarray:
        """Silence."""
        return np.zeros(self.samples, dtype=np.float32)

    def collate(self, items: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """``length`` ``(items,)`` and ``waveform`` ``(items, samples)`` or the extractor's tensors."""
        length = torch.tensor([len(item) for item in items])
        if self.part is not None:
            return {"length": length, **self._extract(items)}
        return {"length": length, "waveform": torch.from_numpy(self._pad(items))}

    def _pad(self, items: Sequence[np.ndarray]) -> np.ndarray:
        waveform = np.zeros((len(items), self.samples), dtype=np.float32)
        for place, item in enumerate(items):
            waveform[place, : len(item)] = item
        return waveform

    def _extract(self, items: Sequence[np.ndarray]) -> Mapping[str, Tensor]:
        """What the feature extractor makes, of the fixed length."""
        names = self.part.model_input_names
        counts_samples = "input_values" in names or hasattr(self.part, "n_samples")
        if not counts_samples:  # its max_length would count frames: it gets recordings of one length
            padded = list(self._pad(items))
            return self.part(padded, sampling_rate=self.rate, return_tensors="pt")
        return self.part(
            list(items), sampling_rate=self.rate, padding="max_length", max_length=self.samples,
            truncation=True, return_tensors="pt",
        )  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """See :class:`Reader`."""
        return {"rate": self.rate, "seconds": self.seconds}


def fixed_seconds(part: Any) -> float | None:
    """The one length that a feature extractor makes of every recording, where it does (Whisper, AST)."""
    frames = getattr(part, "max_length", None)  # of 10 milliseconds each
    return getattr(part, "chunk_length", None) or (frames / 100 if frames else None)
