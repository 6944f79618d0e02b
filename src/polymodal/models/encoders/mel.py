"""Log-mel frames of a waveform, and what is done to them in training."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.audio_utils import mel_filter_bank

QUIETEST = 1e-10
"""Power below which all is silence, full scale being 1."""
KNOTS = 5
"""Places over frequency at which a random gain is drawn."""


class LogMel(nn.Module):
    """Waveform to log-mel frames: power spectrum, mel filters, log, each recording to mean 0 and deviation 1.

    What is more than ``top_db`` below a recording's loudest moment counts as silence. How loud a room and a
    microphone hum says little of what is heard, and where few speakers train, much of who speaks.

    Args:
        rate: Samples a second.
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
        place = torch.arange(mel.shape[1], device=mel.device)
        mask = place < (length.unsqueeze(1) // self.hop + 1)
        keep = mask.unsqueeze(-1)
        loudest = mel.masked_fill(~keep, math.log(QUIETEST)).amax(dim=(1, 2), keepdim=True)
        mel = mel.maximum(loudest - self.top_db * math.log(10) / 10)
        count = (keep.sum(dim=(1, 2), keepdim=True) * mel.shape[2]).clamp(min=1)
        mean = (mel * keep).sum(dim=(1, 2), keepdim=True) / count
        deviation = (((mel - mean) * keep).square().sum(dim=(1, 2), keepdim=True) / count).sqrt()
        return (mel - mean) / (deviation + 1e-3) * keep, mask


def equalize(frames: Tensor, mask: Tensor, deviation: float) -> Tensor:
    """Play each recording through another microphone and room: random gains, smooth over frequency.

    The gains are normal, of that ``deviation`` at five places spread evenly over the bins of ``frames``
    ``(items, frames, bins)``, and straight lines between, in the frames' own unit: that of a recording's
    deviation (linear FilterAugment, Nam et al. 2022). Frames that ``mask`` ``(items, frames)`` lacks stay.
    """
    gains = deviation * torch.randn(len(frames), 1, KNOTS, device=frames.device, dtype=frames.dtype)
    gains = F.interpolate(gains, size=frames.shape[2], mode="linear", align_corners=True)
    return frames + gains * mask.unsqueeze(-1)


def stretch(frames: Tensor, share: float, *, bins: bool = True) -> tuple[Tensor, Tensor]:
    """Stretch time and (``bins``) frequency of each recording by up to ``share``, as another speaker would.

    Frequency as in vocal tract length perturbation (Jaitly & Hinton 2013), time as in speed perturbation
    (Ko et al. 2015), both on the log-mel picture ``(items, frames, bins)``.

    Returns:
        The frames, as many as before, and how much faster each recording runs ``(items,)``.
    """
    factor = 1 + (2 * torch.rand(len(frames), 2, device=frames.device, dtype=frames.dtype) - 1) * share
    if not bins:
        factor = torch.cat([torch.ones_like(factor[:, :1]), factor[:, 1:]], dim=1)
    # Both axes run from -1 to 1 and are stretched from -1, where sound starts and frequency is lowest.
    theta = torch.diag_embed(factor)
    theta = torch.cat([theta, (factor - 1).unsqueeze(-1)], dim=-1)  # (items, 2, 3)
    picture = frames.unsqueeze(1)
    grid = F.affine_grid(theta, list(picture.shape), align_corners=False)
    return F.grid_sample(picture, grid, align_corners=False).squeeze(1), factor[:, 1]


def mask_stretches(frames: Tensor, share: float, length: Tensor | None = None) -> Tensor:
    """Zero one stretch of frames and one of mel bins in each recording (SpecAugment, without warping).

    With ``length`` ``(items,)`` the stretch of frames lies in that many first ones, and is a share of these.
    """
    for axis in (1, 2):
        size = frames.shape[axis] if axis == 2 or length is None else length.unsqueeze(1)
        wide = torch.rand(len(frames), 1, device=frames.device) * share * size
        start = torch.rand(len(frames), 1, device=frames.device) * (size - wide)
        place = torch.arange(frames.shape[axis], device=frames.device)
        keep = (place < start) | (place >= start + wide)  # (items, size)
        frames = frames * keep.unsqueeze(3 - axis)
    return frames
