"""Log-mel frames of a waveform."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

QUIETEST = 1e-10
"""Power below which all is silence, full scale being 1."""


class LogMel(nn.Module):
    """Waveform to log-mel frames: power spectrum, mel filters, log, each recording to mean 0 and deviation 1.

    What is more than ``top_db`` below a recording's loudest moment counts as silence. The noise
    level of a room and a microphone carries little about the content and, with few speakers in training,
    much about who speaks.

    Args:
        rate: Samples per second.
        bins: Mel bins.
        window: Length of a frame in seconds.
        hop: Step between frames in seconds.
        top_db: Decibels below the loudest moment that are heard; 80 in Whisper (Radford et al. 2022).
    """

    window: Tensor
    filters: Tensor

    def __init__(
        self, *, rate: int, bins: int = 64, window: float = 0.025, hop: float = 0.01, top_db: float = 80.0
    ) -> None:
        super().__init__()
        self.top_db = top_db
        self.hop, self.size = int(rate * hop), 1 << (int(rate * window) - 1).bit_length()
        # Persistent: buffers that are not saved come back as garbage from `from_pretrained`.
        self.register_buffer("window", torch.hann_window(int(rate * window), periodic=True))
        filters = mel_filter_bank(
            num_frequency_bins=self.size // 2 + 1,
            num_mel_filters=bins,
            min_frequency=20.0,
            max_frequency=rate / 2,
            sampling_rate=rate,
            mel_scale="slaney",
        )
        self.register_buffer("filters", torch.as_tensor(filters, dtype=torch.float32))

    def forward(self, waveform: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Frames of ``waveform`` ``(items, samples)``, of which ``length`` ``(items,)`` samples are sound.

        Returns:
            ``(items, frames, bins)``, zero after the sound, and the mask ``(items, frames)``.
        """
        with torch.autocast(waveform.device.type, enabled=False):
            window = self.window.float()
            spectrum = torch.stft(
                waveform.float(), self.size, self.hop, len(window), window, return_complex=True
            )
            power = spectrum.real.square() + spectrum.imag.square()  # (items, frequencies, frames)
            mel = (power.transpose(1, 2) @ self.filters.float()).clamp(min=QUIETEST).log()
        index = torch.arange(mel.shape[1], device=mel.device)
        mask = index < (length.unsqueeze(1) // self.hop + 1)
        keep = mask.unsqueeze(-1)
        loudest = mel.masked_fill(~keep, math.log(QUIETEST)).amax(dim=(1, 2), keepdim=True)
        mel = mel.maximum(loudest - self.top_db * math.log(10) / 10)
        count = (keep.sum(dim=(1, 2), keepdim=True) * mel.shape[2]).clamp(min=1)
        mean = (mel * keep).sum(dim=(1, 2), keepdim=True) / count
        deviation = (((mel - mean) * keep).square().sum(dim=(1, 2), keepdim=True) / count).sqrt()
        return (mel - mean) / (deviation + 1e-3) * keep, mask
