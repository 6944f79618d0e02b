"""From a declaration and its processor to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polymodal.config import Declaration, FusionConfig, InputConfig, ObjectiveConfig, TargetConfig
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import READERS, Reader
from polymodal.data.row_processor import RowProcessor
from polymodal.data.targets import TargetReader
from polymodal.errors import ConfigError
from polymodal.models.encoders import ENCODERS, Encoder, build_encoder
from polymodal.models.encoders.base import EncoderRequest, tuning
from polymodal.models.encoders.tuning import hold_around
from polymodal.models.fusion import FUSIONS, FeatureFusion
from polymodal.models.fusion.base import check_options, keyword_options
from polymodal.models.heads import HEADS, Head
from polymodal.models.modeling import LearningModel, PolymodalModel
from polymodal.models.objectives.base import build_objective
from polymodal.utils.module_lists import ModuleListOf
from polymodal.utils.records import Settings
from polymodal.utils.registry import accepted


def build_model(
    declaration: Declaration,
    processor: PolymodalProcessor,
    answers: Mapping[str, np.ndarray],
    known: Mapping[str, Mapping[str, Any]] | None = None,
    weights: np.ndarray | None = None,
) -> LearningModel:
    """The untrained model of a declaration.

    Args:
        declaration: Complete.
        processor: Its own.
        answers: The training targets as the processor reads them.
        known: By input the settings of an encoder that a run has, to be built again without its checkpoint.
        weights: ``(rows,)`` how much each training row counts; by default all the same.

    Raises:
        ConfigError: If an encoder, the fusion or one of their options does not exist, or an objective finds
            nothing to learn from.
    """
    encoders = build_encoders(declaration, processor, known)
    fusion = declaration.fusion
    heads = build_heads(declaration, processor, answers, weights)
    return PolymodalModel.from_parts(  # type: ignore[return-value]
        encoders,
        build_fusion(fusion),
        heads,
        [build_objective(name, given_objective(config)) for name, config in declaration.objectives.items()],
        embedding_dropout=fusion.dropout,
        weighting=declaration.train.weighting,
        space=fusion.space,
        space_projection=fusion.space_projection,
    )


def build_heads(
    declaration: Declaration,
    processor: RowProcessor,
    answers: Mapping[str, np.ndarray],
    weights: np.ndarray | None = None,
) -> dict[str, Head]:
    """The head of each target, not yet bound to a width; for the arguments see :func:`build_model`."""
    return {
        name: _head(config, processor.targets[name], answers[name], weights, declaration.fusion.dropout)
        for name, config in declaration.targets.items()
    }


def build_encoders(
    declaration: Declaration,
    processor: PolymodalProcessor,
    known: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Encoder]:
    """The encoder of each input; for the arguments see :func:`build_model`."""
    encoders: dict[str, Encoder] = {}
    for name, config in declaration.inputs.items():
        first = processor.groups[name]
        if first not in encoders:
            requested = config if declaration.train.augment else config.unchanged()
            encoders[first] = _encoder(requested, processor.readers[name], (known or {}).get(name))
        encoders[name] = encoders[first]
    return {name: encoders[name] for name in declaration.inputs}


def reader_settings(
    encoders: ModuleListOf[Encoder], encoder_of: Mapping[str, int]
) -> dict[str, dict[str, Any]]:
    """By input, what its encoder requests of its reader; for :meth:`PolymodalProcessor.change_readers`.

    Args:
        encoders: Of a model.
        encoder_of: The index of the encoder of each input.
    """
    return {name: encoders[index].reader_settings for name, index in encoder_of.items()}


def given_objective(config: ObjectiveConfig) -> Settings:
    """The constructor arguments of a declared objective."""
    return {"weight": config.weight, "inputs": config.inputs, **config.options}


def build_fusion(config: FusionConfig, inputs: Sequence[str] = ()) -> FeatureFusion:
    """The fusion of a declaration; ``dropout`` goes to it if it has such an option.

    Raises:
        ConfigError: If there is no such fusion, or it refuses an option.
    """
    check_options(config.name, config.options)  # a name such as 'inputs' would not get as far as the fusion
    shared = {"dropout": config.dropout} if "dropout" in keyword_options(FUSIONS[config.name]) else {}
    return FeatureFusion(config.name, width=config.width, inputs=inputs, **shared, **config.options)


def _encoder(config: InputConfig, reader: Reader, known: Mapping[str, Any] | None = None) -> Encoder:
    """The encoder of an input; ``known`` are the settings of the one in a run, which is to be built again."""
    given = config.encoder
    backbone: Any = (given.checkpoint or given.type) if given else None
    options: dict[str, Any] = dict(given.sizes) if given else {}
    if known and (known["kind"] not in READERS or "backbone" not in known):
        return built_again(config, reader, known)
    if backbone in ENCODERS and backbone not in READERS:
        return _registered(str(backbone), config, reader, options)
    pretrained = bool(given and given.checkpoint)
    if known:
        backbone, pretrained = known["backbone"], not known["scratch"]
        options |= {"scratch": known["scratch"]}
    request = EncoderRequest(config, backbone, options, pretrained)
    return hold_around(ENCODERS[config.modality].from_reader(reader, request))


def built_again(config: InputConfig, reader: Reader, known: Mapping[str, Any]) -> Encoder:
    """An encoder that is no backbone of ours, by the settings that it had in a run."""
    settings = dict(known)
    kind = ENCODERS[settings["kind"]]
    if reader.vocabulary is not None and "categories" in settings:
        settings["categories"] = len(reader.vocabulary.names)
    wanted = accepted(kind)
    encoder = build_encoder(settings | {k: v for k, v in tuning(config).items() if k in wanted})
    if config.freeze:
        encoder.requires_grad_(False)
    return encoder


def _registered(name: str, config: InputConfig, reader: Reader, options: dict[str, Any]) -> Encoder:
    """An encoder that the declaration names, in place of the default of the modality."""
    kind = ENCODERS[name]
    if kind.modality != config.modality:
        raise ConfigError(f"the encoder '{name}' reads {kind.modality}, the input is {config.modality}")
    # An encoder derived from one of ours may have a constructor of its own.
    build = kind.from_reader if "from_reader" in vars(kind) else kind.by_arguments
    return build(reader, EncoderRequest(config, options=options))


def _head(
    config: TargetConfig,
    target: TargetReader,
    answers: np.ndarray,
    weights: np.ndarray | None,
    dropout: float,
) -> Head:
    """The head of a task, by what it wants to know of the settings and of the training answers."""
    known: dict[str, Any] = {"weight": config.weight, "dropout": dropout}
    kind = HEADS[config.task]
    known |= kind.configured(config, target, answers, weights)
    wanted = accepted(kind)
    try:
        return kind(**{name: value for name, value in known.items() if name in wanted} | config.options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the head '{config.task}' refuses {config.options}: {error}") from None
