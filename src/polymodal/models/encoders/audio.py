"""Sound: any Transformers audio encoder, or a picture network over log-mel computed here."""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoFeatureExtractor

from polymodal.config import InputConfig
from polymodal.data.readers import AudioReader, Reader, fixed_seconds
from polymodal.data.readers.audio import LENGTH_STEP
from polymodal.errors import ConfigError
from polymodal.models.encoders.augment.signals import add_noise, equalize, mask_stretches, shift_time, stretch
from polymodal.models.encoders.backbone import (
    SMALL_RESNET,
    BackboneEncoder,
    hidden_shape,
    known_sizes,
)
from polymodal.models.encoders.base import ENCODERS, EncoderRequest, pool_sequence
from polymodal.models.encoders.mel import LogMel
from polymodal.models.encoders.whisper import SILENCE_STEP, encode_sound, reads_lengths, whole_length
from polymodal.models.outputs import TokenSequence
from polymodal.utils.hub import load_pretrained
from polymodal.utils.records import Settings

OF_WAVEFORMS = ("time_shift", "noise")
OF_FRAMES = ("masking", "warp", "equalize")
"""Augmentation of the waveform, and of the log-mel that is computed from it."""


@ENCODERS.register("audio")
class AudioEncoder(BackboneEncoder):
    """Sound to one vector a stretch of time: ``AudioEncoder("resnet")``, ``AudioEncoder("owner/name")``.

    A vision backbone reads log-mel as a picture of one channel; an audio backbone reads what its
    own feature extractor makes.

    Args:
        backbone: See :class:`BackboneEncoder`; by default a small residual network with GroupNorm.
        rate: Samples a second of the waveform; a checkpoint hears at its own.
        seconds: The fixed length that recordings are padded or cut to; Whisper has its own.
        bins: Mel bins, for a vision backbone.
        top_db: Decibels below the loudest moment that a vision backbone still hears; see :class:`LogMel`.
        masking: In training, widest stretch of time and of mel bins that is masked, as a share
            (SpecAugment, Park et al. 2019); 0 masks nothing.
        warp: In training, how far pitch and time are stretched, as a share: another speaker, but another
            tone as well; 0 stretches nothing.
        equalize: In training, deviation of random gains over frequency, as another microphone would have
            them, in that of a recording's log-mel; 0 changes nothing.
        time_shift: In training, how much earlier or later a recording starts, as a share of its own length.
        noise: In training, least ratio of sound to white noise in decibels; by default there is no noise.
        whole: Whisper alone: run it over all 30 seconds, whatever a recording's length. By default it runs
            over the sound and a sample of the silence after it (see :func:`encode_sound`), which is several
            times faster; one built from a configuration without this setting, as runs of earlier versions
            are, over 30 seconds.
    """

    modality = "audio"
    TOWER = "audio_model"
    READS = ("input_values", "input_features", "pixel_values")
    revision = f"length step {LENGTH_STEP}, silence step {SILENCE_STEP}"
    DEFAULT_TYPE = "resnet"
    DEFAULT_SIZES = SMALL_RESNET

    def __init__(
        self,
        backbone: str | os.PathLike[str] | dict[str, Any] | None = None,
        *,
        rate: int = 16000,
        seconds: float = 4.0,
        bins: int = 64,
        top_db: float = 80.0,
        masking: float = 0.0,
        warp: float = 0.0,
        equalize: float = 0.0,
        time_shift: float = 0.0,
        noise: float | None = None,
        whole: bool | None = None,
        **options: Any,
    ) -> None:
        kind = self.scratch_type(backbone)
        if kind and "num_channels" in known_sizes(kind):
            options = {"num_channels": 1} | options
        super().__init__(backbone, **options)
        if self.checkpoint:
            extractor = load_pretrained(AutoFeatureExtractor, self.checkpoint)
            rate, seconds = extractor.sampling_rate, fixed_seconds(extractor) or seconds
        self.rate, self.seconds, self.bins, self.top_db = rate, seconds, bins, top_db
        self.masking, self.warp, self.equalize = masking, warp, equalize
        self.time_shift, self.noise = time_shift, noise
        is_earlier = isinstance(backbone, dict) and whole is None
        self.whole = is_earlier or bool(whole) or not reads_lengths(self.backbone)
        self.reads_mel = self.backbone.main_input_name == "pixel_values"
        if self.reads_mel:
            self.mel = LogMel(rate=rate, bins=bins, top_db=top_db)
            self.width = self._mel_width()
        else:
            self.width = getattr(self.config, "hidden_size", None) or self.config.d_model
            self._require_waveform()
            self._require_samples()
        self.norm = nn.Identity() if self.pretrained else nn.LayerNorm(self.width)
        self.steps: int | None = None

    @classmethod
    def check_changes(cls, config: InputConfig) -> None:
        """See :class:`Encoder`; the encoder is built without its weights."""
        given, changes = config.encoder, config.changes
        if given is None:
            return
        known = load_pretrained(AutoConfig, given.checkpoint).to_dict() if given.checkpoint else given.type
        of_waveform: dict[str, Any] = {name: changes[name] for name in OF_WAVEFORMS if name in changes}
        with torch.device("meta"):
            encoder = cls(known, **of_waveform, **given.sizes)
        of_frames = [name for name in OF_FRAMES if name in changes]
        if of_frames and not encoder.reads_mel:
            wrong = f"which a model of type '{encoder.config.model_type}' does not read"
            raise ConfigError(f"'{of_frames[0]}' changes our log-mel, {wrong}. Leave it out")

    @classmethod
    def from_reader(cls, reader: Reader, request: EncoderRequest) -> AudioEncoder:
        """See :class:`Encoder`."""
        assert isinstance(reader, AudioReader)
        config = request.config
        options = {**config.changes, "masking": request.masking, "top_db": config.top_db, **request.common}
        return cls(request.backbone, rate=reader.rate, seconds=reader.seconds, **options)

    def settings(self) -> Settings:
        """See :meth:`Encoder.settings`."""
        names = ("rate", "seconds", "bins", "top_db", "masking", "warp", "equalize", "time_shift", "noise")
        own = {name: getattr(self, name) for name in names}
        length = {"whole": self.whole} if reads_lengths(self.backbone) else {}
        return super().settings() | own | length

    def forward(self, *, row: Tensor, length: Tensor, **values: Tensor) -> TokenSequence:
        """Encode ``waveform`` ``(items, samples)``, or a feature extractor's tensor by its own name.

        ``length`` ``(items,)`` counts the samples that are sound; the rest of the fixed length is padding.
        """
        if self.varies and (self.time_shift or self.noise is not None):
            values, length = self._vary_sound(values, length)
        if self.reads_mel:
            frames, mask = self.mel(values["waveform"], length)
            if self.varies:
                frames, length = self._vary_frames(frames, mask, length)
            pictures = frames.transpose(1, 2).unsqueeze(1).to(self.dtype)
            hidden = self.backbone(pixel_values=pictures).last_hidden_state
            hidden = hidden.flatten(1, 2).transpose(1, 2)  # frequency goes into the width
        else:
            if "waveform" in values:
                values = {self.backbone.main_input_name: values["waveform"]}
            read = {name: v.to(self.dtype) if v.is_floating_point() else v for name, v in values.items()}
            hidden = self._hear(read, length)
        steps = hidden.shape[1] if self.whole else self.config.max_source_positions
        mask = torch.arange(hidden.shape[1], device=hidden.device) < self._filled(length, steps)
        tokens, mask = pool_sequence(self.norm(hidden), mask, self.tokens)
        return TokenSequence(tokens, mask, row, (tokens.shape[1],))

    def count(self, *, length: Tensor, **values: Tensor) -> Tensor:
        """See :meth:`Encoder.count`; runs once, for how many steps a whole recording gives."""
        if self.steps is None:
            whole = torch.full_like(length[:1], round(self.seconds * self.rate))
            first = {name: value[:1] for name, value in values.items()}
            limit, self.tokens = self.tokens, sys.maxsize
            self.steps = int(self._run_to_count({"length": whole, **first}))
            self.tokens = limit
        return self._filled(length, self.steps).squeeze(1).long().clamp(max=self.tokens)

    def _filled(self, length: Tensor, steps: int) -> Tensor:
        """How many of so many steps are sound, ``(items, 1)``, for so many samples ``(items,)``."""
        return (length / round(self.seconds * self.rate) * steps).ceil().clamp(1, steps).unsqueeze(1)

    def _vary_sound(self, values: dict[str, Tensor], length: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The tensors, and how many samples count as sound now."""
        name = "waveform" if "waveform" in values else self.backbone.main_input_name
        waveform = values[name]
        if self.time_shift:
            waveform, length = shift_time(waveform, length, self.time_shift)
        if self.noise is not None:
            waveform = add_noise(waveform, length, self.noise)
        values = values | {name: waveform}
        if "attention_mask" in values:
            index = torch.arange(waveform.shape[1], device=waveform.device)
            values["attention_mask"] = (index < length.unsqueeze(1)).to(values["attention_mask"].dtype)
        return values, length

    def _vary_frames(self, frames: Tensor, mask: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """The log-mel, and how many samples its sound would take now."""
        if self.equalize:
            frames = equalize(frames, mask, self.equalize)
        if self.warp:
            frames, faster = stretch(frames, self.warp)
            length = length / faster
        if self.masking:
            frames = mask_stretches(frames, self.masking)
        return frames, length

    def _mel_width(self) -> int:
        """Channels times the rows that the backbone leaves of the mel bins, found by running it once."""
        shape = hidden_shape(self.backbone, (1, 1, self.bins, self.bins))
        if len(shape) != 4:
            kind, fix = self.config.model_type, "Convolutional types such as resnet can"
            raise ConfigError(f"a model of type '{kind}' cannot read log-mel of any length. {fix}")
        return shape[1] * shape[2]

    def _require_waveform(self) -> None:
        """Refuse a backbone from scratch that reads what only a checkpoint's feature extractor makes."""
        reads_waveform = self.backbone.main_input_name == "input_values"
        if not self.pretrained and (not reads_waveform or hasattr(self.config, "num_mel_bins")):
            fix = "Give a checkpoint, or a type that reads waveforms (wav2vec2) or pictures (resnet)"
            raise ConfigError(f"the model type '{self.config.model_type}' needs a feature extractor. {fix}")

    def _require_samples(self) -> None:
        """Refuse changes of a waveform where the backbone reads what its feature extractor makes of it."""
        hears = self.backbone.main_input_name == "input_values" and not hasattr(self.config, "num_mel_bins")
        requested = "time_shift" if self.time_shift else "noise" if self.noise is not None else None
        if requested and not hears:
            reason = f"a model of type '{self.config.model_type}' reads what its feature extractor makes"
            raise ConfigError(f"'{requested}' changes a waveform, and {reason}. Leave it out")

    def _hear(self, read: dict[str, Tensor], length: Tensor) -> Tensor:
        """Hidden states ``(items, steps, width)`` of a backbone that reads no log-mel of ours."""
        if not self.whole:
            filled = self._filled(length, self.config.max_source_positions).squeeze(1)
            return encode_sound(self.backbone, read["input_features"], filled)
        if reads_lengths(self.backbone):
            read = read | {"input_features": whole_length(self.backbone, read["input_features"])}
        return self._steps(self.backbone(**read).last_hidden_state)

    def _steps(self, hidden: Tensor) -> Tensor:
        """``hidden`` in the order of time: AST's patches lie in a grid of frequency and time."""
        config = self.config
        if not hasattr(config, "frequency_stride"):
            return hidden
        rows = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
        columns = (config.max_length - config.patch_size) // config.time_stride + 1
        return hidden[:, -rows * columns :].unflatten(1, (rows, columns)).mean(dim=1)
