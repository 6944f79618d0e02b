"""What training is to do to an input: refused where its encoder would not do it."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig

from polymodal.config import InputConfig
from polymodal.data.readers.base import READERS
from polymodal.errors import ConfigError
from polymodal.models.encoders import ENCODERS, AudioEncoder
from polymodal.utils.hub import load_pretrained
from polymodal.utils.registry import accepted

OF_WAVEFORMS = ("time_shift", "noise")
OF_FRAMES = ("masking", "warp", "equalize")


def check_changes(config: InputConfig) -> None:
    """Build the encoder of an input without its weights, if it may not do what was asked for.

    Raises:
        ConfigError: If the encoder does not know of it, or never makes what it changes.
    """
    given = config.encoder
    if given is None or not config.changes:
        return
    if given.type and given.type in ENCODERS and given.type not in READERS:
        idle = [name for name in config.changes if name not in accepted(ENCODERS[given.type])]
        if idle:
            raise ConfigError(f"'{idle[0]}': the encoder '{given.type}' does not know it. Leave it out")
    elif config.modality == "audio":
        _check_sound(config)


def _check_sound(config: InputConfig) -> None:
    given, changes = config.encoder, config.changes
    assert given is not None
    known = load_pretrained(AutoConfig, given.checkpoint).to_dict() if given.checkpoint else given.type
    of_waveform: dict[str, Any] = {name: changes[name] for name in OF_WAVEFORMS if name in changes}
    with torch.device("meta"):
        encoder = AudioEncoder(known, **of_waveform, **given.sizes)
    of_frames = [name for name in OF_FRAMES if name in changes]
    if of_frames and not encoder.reads_mel:
        found = f"which a model of type '{encoder.config.model_type}' does not read"
        raise ConfigError(f"'{of_frames[0]}' changes our log-mel, {found}. Leave it out")
