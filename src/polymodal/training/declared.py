"""The encoders, fusion and heads that a declaration names: what they refuse is told before a file is read."""

from __future__ import annotations

import inspect

import torch
from huggingface_hub.errors import StrictDataclassError

from polymodal.config import READ_MODALITIES, EncoderConfig, FusionConfig, InputConfig, TargetConfig
from polymodal.errors import ConfigError, did_you_mean
from polymodal.models.build import build_fusion
from polymodal.models.encoders import ENCODERS
from polymodal.models.heads import HEADS, family_of
from polymodal.registry import accepted

FROM_SCRATCH = ("text", "image", "audio")
"""Modalities whose encoder may be any model type of Transformers."""


def check_fusion(config: FusionConfig, inputs: list[str]) -> None:
    """Build the fusion without its weights.

    Raises:
        ConfigError: If there is no such fusion, or it refuses an option.
    """
    with torch.device("meta"):
        build_fusion(config, inputs)


def check_head(name: str, config: TargetConfig) -> None:
    """Find the head of a target, and say in ``config`` how the target's cells are read.

    Raises:
        ConfigError: If there is no such head, or it refuses a setting.
    """
    if config.task not in HEADS:
        raise ConfigError(f"'targets.{name}.task' is '{config.task}'. {did_you_mean(config.task, HEADS)}")
    kind = HEADS[config.task]
    if kind.task != config.task:
        raise ConfigError(f"the head '{config.task}' calls its task '{kind.task}': the names must be one")
    config.belongs_to(family_of(kind))
    own = accepted(kind)
    for option in config.options:
        if option not in own:
            cure = did_you_mean(option, own)
            raise ConfigError(f"the head '{config.task}' has no option '{option}'. {cure}")
    for setting in ("class_weights", "label_smoothing", "transform"):
        default = type(config).model_fields[setting].default
        if setting not in own and getattr(config, setting) != default:
            raise ConfigError(f"'targets.{name}': '{setting}' is no setting of a {config.task}")


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
        try:
            with torch.device("meta"):
                ENCODERS[config.modality](given.type, **given.sizes)  # type: ignore[call-arg, misc]
        except StrictDataclassError as error:
            reason = str(error.__cause__ or error).strip().splitlines()[-1].strip()
            raise ConfigError(f"the model type '{given.type}' refuses {given.sizes}: {reason}") from None


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
