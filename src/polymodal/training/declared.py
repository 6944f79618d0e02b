"""The encoders and the fusion that a declaration names: what they refuse is told before any file is read."""

from __future__ import annotations

import inspect

import torch
from huggingface_hub.errors import StrictDataclassError

from polymodal.config import READ_MODALITIES, EncoderConfig, FusionConfig, InputConfig
from polymodal.errors import ConfigError, did_you_mean
from polymodal.models.build import build_fusion
from polymodal.models.encoders import ENCODERS

FROM_SCRATCH = ("text", "image", "audio")
"""Modalities whose encoder may be any model type of Transformers."""


def check_fusion(config: FusionConfig, inputs: list[str]) -> None:
    """Build the fusion without its weights.

    Raises:
        ConfigError: If there is no such fusion, or it refuses an option.
    """
    with torch.device("meta"):
        build_fusion(config, inputs)


def check_encoder(config: InputConfig) -> None:
    """Build the encoder of an input without its weights, where it is named and is no checkpoint.

    Raises:
        ConfigError: If there is no such encoder, it reads another modality, or it refuses an option.
    """
    given = config.encoder
    own = given.type if given and given.type in ENCODERS and given.type not in READ_MODALITIES else None
    if config.freeze and not own and not (given and given.checkpoint):
        raise ConfigError("'freeze' is for a pretrained encoder: give one, as encoder: {checkpoint: …}")
    if given is None:
        return
    if given.type in ENCODERS and given.type not in FROM_SCRATCH:
        _check_registered(given, config.modality)
    elif config.modality not in FROM_SCRATCH:
        known = [name for name in ENCODERS if ENCODERS[name].modality == config.modality]
        name = given.checkpoint or given.type or ""
        raise ConfigError(f"no encoder '{name}' reads {config.modality}. {did_you_mean(name, known)}")
    elif given.type:
        _check_sizes(given, config.modality)
        try:
            with torch.device("meta"):
                ENCODERS[config.modality](given.type, **given.sizes)  # type: ignore[call-arg, misc]
        except StrictDataclassError as error:
            reason = str(error.__cause__ or error).strip().splitlines()[-1].strip()
            raise ConfigError(f"the model type '{given.type}' refuses {given.sizes}: {reason}") from None


def _check_sizes(given: EncoderConfig, modality: str) -> None:
    """Refuse what is no size of a backbone but a setting of the input, or our own affair."""
    own = ["self", *inspect.signature(ENCODERS[modality]).parameters]
    for size in given.sizes:
        if size in own:
            hint = " Give it beside 'encoder', not in it" if size in InputConfig.model_fields else ""
            raise ConfigError(f"'{size}' is no size of the model type '{given.type}'.{hint}")


def _check_registered(given: EncoderConfig, modality: str) -> None:
    kind = ENCODERS[str(given.type)]
    if kind.modality != modality:
        raise ConfigError(f"the encoder '{given.type}' reads {kind.modality}, the input is {modality}")
    parameters = inspect.signature(kind).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    own = [parameter.name for parameter in parameters if parameter.name not in ("features", "categories")]
    for option in given.sizes:
        if option not in own:
            cure = did_you_mean(option, own)
            raise ConfigError(f"the encoder '{given.type}' has no option '{option}'. {cure}")
