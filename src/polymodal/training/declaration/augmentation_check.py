"""Augmentation of an input that its encoder cannot apply is refused."""

from __future__ import annotations

from polymodal.config import InputConfig
from polymodal.data.readers.base import READERS
from polymodal.errors import ConfigError
from polymodal.models.encoders import ENCODERS
from polymodal.utils.registry import accepted


def check_changes(config: InputConfig) -> None:
    """Build the encoder of an input without its weights, if it may not support the augmentation.

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
    else:
        ENCODERS[config.modality].check_changes(config)
