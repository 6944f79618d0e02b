"""Checks of the encoders, fusion and objectives that a declaration names, before any file is read."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig

from polymodal.config import (
    TUNING,
    Declaration,
    EncoderConfig,
    FusionConfig,
    InputConfig,
)
from polymodal.data.readers.base import READERS
from polymodal.errors import ConfigError, did_you_mean, worded
from polymodal.models.build import build_fusion, given_objective
from polymodal.models.encoders import ENCODERS, build_encoder
from polymodal.models.encoders.base import tuning
from polymodal.models.fusion import FUSIONS
from polymodal.models.fusion.base import keyword_options
from polymodal.models.objectives.base import OBJECTIVES, ObjectiveFacts, build_objective
from polymodal.models.weighting import check_unweighted
from polymodal.utils.hub import load_pretrained
from polymodal.utils.registry import accepted

FREE_SIZES = ("bins", "patch")
"""Options of our own encoders that are not also settings of an input."""


def check_weighting(declaration: Declaration) -> None:
    """Check that learned loss weights have several losses, and that none of them is fixed.

    Raises:
        ConfigError: If there is one target only, or one has a fixed weight.
    """
    if declaration.train.weighting == "fixed":
        return
    targets, objectives = declaration.targets.items(), declaration.objectives.items()
    weights = {f"targets.{name}": target.weight for name, target in targets}
    weights |= {f"objectives.{name}": objective.weight for name, objective in objectives}
    if len(weights) < 2:
        raise ConfigError(
            "'train.weighting' weighs targets and objectives against each other, and there is one only"
        )
    check_unweighted(weights)


def check_objectives(declaration: Declaration) -> None:
    """Refuse objectives that do not exist or cannot be had by these inputs and settings.

    Raises:
        ConfigError: If there is no such objective or option, an input it names is not there, it compares
            and there is nothing to compare, or a setting is about objectives and there are none.
    """
    train = declaration.train
    modalities = {name: str(config.modality) for name, config in declaration.inputs.items()}
    facts = ObjectiveFacts(modalities, train.batch_size, train.piece)
    for name, config in declaration.objectives.items():
        build_objective(name, given_objective(config)).check(facts)
    if train.piece and (not declaration.objectives or declaration.targets):
        raise ConfigError("'train.piece' cannot be set here: it is for pre-training. Leave it out")
    fusion, spans = declaration.fusion, any(OBJECTIVES[name].spans_space for name in declaration.objectives)
    for option, given in {"space": fusion.space, "space_projection": not fusion.space_projection}.items():
        if given and not spans:
            raise ConfigError(
                f"'fusion.{option}' is for the objectives contrastive and sigmoid: there is none"
            )
    if not fusion.space_projection and fusion.space not in (None, fusion.width):
        fix = "Without a projection they are equal: leave 'fusion.space' out"
        raise ConfigError(f"'fusion.space' is {fusion.space}, and 'fusion.width' {fusion.width}. {fix}")
    if declaration.objectives and train.arguments.get("torch_compile"):
        raise ConfigError("'train.torch_compile' goes with targets alone: objectives change what is computed")


def check_fusions(config: FusionConfig, names: Sequence[str], inputs: list[str]) -> None:
    """:func:`check_fusion` of the fusion declared, or of those ``names`` instead where there are any.

    Raises:
        ConfigError: If one of them is refused, or an option is no option of any.
    """
    if not names:
        check_fusion(config, inputs)
    for name, own in fusion_configs(config, names).items():
        try:
            check_fusion(own, inputs)
        except ConfigError as error:
            others = ",".join(other for other in names if other != name)
            fix = f". Leave it out: {worded(f'--fusions {others}', f'fusions={others!r}')}" if others else ""
            raise ConfigError(f"{error}{fix}") from None


def fusion_configs(config: FusionConfig, names: Sequence[str]) -> dict[str, FusionConfig]:
    """The section ``fusion`` for each of ``names``: equal but for options that a fusion does not have.

    Raises:
        ConfigError: If there is no such fusion, or none of them has an option.
    """
    known = {name: keyword_options(FUSIONS[name]) for name in names}
    for option in config.options:
        if names and not any(option in own for own in known.values()):
            fix = did_you_mean(option, dict.fromkeys(key for own in known.values() for key in own))
            raise ConfigError(f"none of the fusions {', '.join(names)} has an option '{option}'. {fix}")
    given = config.model_dump()
    return {
        name: FusionConfig.model_validate(
            {key: value for key, value in given.items() if key in own or key not in config.options}
            | {"name": name}
        )
        for name, own in known.items()
    }


def check_fusion(config: FusionConfig, inputs: list[str]) -> None:
    """Let the fusion check the inputs and its options: see :meth:`polymodal.models.fusion.Fusion.check`.

    Raises:
        ConfigError: If there is no such fusion, or it refuses an option.
    """
    build_fusion(config).check(inputs)


def check_encoder(config: InputConfig, known: Mapping[str, Any] | None = None) -> None:
    """Build the encoder of an input without its weights, if it is named; a checkpoint's if tuned in part.

    ``known`` are the settings of the encoder that a run has for the input: then it is that one.

    Raises:
        ConfigError: If there is no such encoder, it reads another modality, or it refuses an option.
    """
    if known:
        _check_known(config, known)
        return
    given = config.encoder
    own = given.type if given and given.type in ENCODERS and given.type not in READERS else None
    for way in TUNING:
        if getattr(config, way) and not own and not (given and given.checkpoint):
            raise ConfigError(f"'{way}' is for a pretrained encoder: give one, as encoder: {{checkpoint: …}}")
        if getattr(config, way) and own and way not in inspect.signature(ENCODERS[own]).parameters:
            raise ConfigError(f"'{way}' is for a pretrained encoder: the encoder '{own}' does not know it")
    default = ENCODERS[config.modality]
    if given is None:
        return
    if own or (given.type and given.type in ENCODERS and not ENCODERS[given.type].takes_backbone):
        _check_registered(given, config.modality)
    elif not default.takes_backbone:
        names = [name for name in ENCODERS if ENCODERS[name].modality == config.modality]
        name = given.checkpoint or given.type or ""
        raise ConfigError(f"no encoder '{name}' reads {config.modality}. {did_you_mean(name, names)}")
    elif given.type or not default.reads_checkpoints:
        if given.type:
            _check_sizes(given, config.modality)
        try:
            with torch.device("meta"):
                ENCODERS[config.modality](given.type or given.checkpoint, **given.sizes)
        except StrictDataclassError as error:
            reason = str(error.__cause__ or error).strip().splitlines()[-1].strip()
            raise ConfigError(f"the model type '{given.type}' refuses {given.sizes}: {reason}") from None
    elif config.lora or config.unfreeze_last:
        known = load_pretrained(AutoConfig, str(given.checkpoint)).to_dict()
        with torch.device("meta"):
            ENCODERS[config.modality](known, **tuning(config))


def _check_known(config: InputConfig, known: Mapping[str, Any]) -> None:
    """Build the encoder of an earlier run on the meta device, with the tuning of the input.

    Raises:
        ConfigError: If the encoder does not support this tuning.
    """
    kind = ENCODERS[known["kind"]]
    for way in ("lora", "unfreeze_last"):
        if getattr(config, way) and way not in accepted(kind):
            raise ConfigError(
                f"'{way}' is for encoders of layers: the encoder '{known['kind']}' does not know it"
            )
    ways = {way: value for way, value in tuning(config).items() if way in accepted(kind)}
    with torch.device("meta"):
        build_encoder(dict(known) | ways)


def check_layer_decay(
    layer_decay: float, inputs: Mapping[str, InputConfig], known: Mapping[str, Any] | None = None
) -> None:
    """Refuse learning rates by layer where no layer came with weights and learns.

    ``known`` has the inputs whose encoder comes from a run.

    Raises:
        ConfigError: If there is no such encoder.
    """
    given = [config.encoder for config in inputs.values() if config.encoder and not config.freeze]
    own = [encoder for encoder in given if encoder.type in ENCODERS and encoder.type not in READERS]
    learns = [
        config
        for name, config in inputs.items()
        if ((config.encoder and config.encoder.checkpoint) or "backbone" in (known or {}).get(name, {}))
        and not (config.freeze or config.lora)
    ]
    if layer_decay != 1 and not learns and not own:
        raise ConfigError("'layer_decay' is for layers of a pretrained encoder that learn: there are none")


def check_checkpointing(
    inputs: Mapping[str, InputConfig], known: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Refuse to compute layers again where there are none; encoders without such layers stay as they are.

    ``known`` has the settings of encoders that come from a run.

    Raises:
        ConfigError: If no encoder of ``inputs`` has layers that Transformers can compute again.
    """
    kinds = []
    for name, config in inputs.items():
        given = config.encoder
        if not ENCODERS[config.modality].takes_backbone or (given and given.type in ENCODERS):
            continue
        sizes = given.sizes if given else {}
        kind: Any = (known or {}).get(name, {}).get("backbone") or (given and given.type)
        if given and given.checkpoint and not isinstance(kind, dict):
            kind = load_pretrained(AutoConfig, given.checkpoint).to_dict()
        with torch.device("meta"):
            encoder: Any = ENCODERS[config.modality](kind, **sizes)
        if encoder.backbone.supports_gradient_checkpointing:
            return
        kinds.append(f"'{name}' is read by {encoder.config.model_type}")
    reason = "; ".join(kinds) or "no input is read by one"
    fix = "Leave it out, or choose an encoder of Transformer layers, such as vit"
    raise ConfigError(f"gradient checkpointing computes Transformer layers again: {reason}. {fix}")


def _check_sizes(given: EncoderConfig, modality: str) -> None:
    """Refuse what is no size of a backbone but a setting of the input, or our own affair."""
    own = ["self", *inspect.signature(ENCODERS[modality]).parameters]
    for size in given.sizes:
        if size in own and size not in FREE_SIZES:
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
            fix = did_you_mean(option, own)
            raise ConfigError(f"the encoder '{given.type}' has no option '{option}'. {fix}")
