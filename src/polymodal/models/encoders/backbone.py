"""The one road to every Transformers backbone: from a checkpoint, or from scratch by type and sizes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from polymodal.errors import ConfigError, did_you_mean
from polymodal.hub import load_pretrained
from polymodal.models.encoders.base import Encoder

TOWERS = {"text": "text_model", "image": "vision_model", "audio": "audio_model"}
"""Where a model of several towers (CLIP, SigLIP, CLAP) keeps the one for a modality."""


class BackboneEncoder(Encoder):
    """Base of the encoders that hold a Transformers model.

    Args:
        backbone: A checkpoint (hub name or local folder), or a model type such as ``bert`` to build
            from scratch, or the dictionary of a backbone's configuration.
        tokens: Most tokens an item gives.
        freeze: Leave the backbone as it is, in evaluation mode.
        scratch: Whether a backbone given as a dictionary was first built from scratch.
        sizes: Sizes of a backbone from scratch, under their Transformers names.

    Raises:
        ConfigError: If the checkpoint cannot be read or a size is unknown to the model type.
    """

    DEFAULT_TYPE: str
    DEFAULT_SIZES: dict[str, Any]

    def __init__(
        self,
        backbone: str | dict[str, Any] | None = None,
        *,
        tokens: int = 64,
        freeze: bool = False,
        scratch: bool = False,
        **sizes: Any,
    ) -> None:
        super().__init__()
        self.tokens, self.frozen = tokens, freeze
        self.checkpoint: str | None = None
        if isinstance(backbone, dict):
            self.pretrained = not scratch
            config = AutoConfig.for_model(**backbone)
            model = AutoModel.from_config(config)
        elif backbone is not None and is_checkpoint(backbone):
            if sizes:
                raise ConfigError(f"{backbone} is a checkpoint: it has its own sizes, '{next(iter(sizes))}' cannot be set")
            self.pretrained, self.checkpoint = True, backbone
            model = load_pretrained(AutoModel, backbone)
            config = model.config
        else:
            self.pretrained = False
            kind = backbone or self.DEFAULT_TYPE
            sizes = (self.DEFAULT_SIZES if kind == self.DEFAULT_TYPE else {}) | sizes
            config = scratch_config(kind, sizes)
            model = AutoModel.from_config(config)
        self.config = config
        self.backbone = tower(model, self.modality)
        if not self.pretrained:
            replace_batch_norm(self.backbone)
        drop_summary(self.backbone)
        if freeze:
            self.backbone.requires_grad_(False)

    def settings(self) -> dict[str, Any]:
        """See :meth:`Encoder.settings`."""
        config = {key: value for key, value in self.config.to_dict().items() if key != "dtype"}
        return {"backbone": config, "tokens": self.tokens, "freeze": self.frozen, "scratch": not self.pretrained}


def is_checkpoint(name: str) -> bool:
    """Whether ``name`` is a hub name or a folder, and no model type."""
    return name not in CONFIG_MAPPING or Path(name, "config.json").exists()


def scratch_config(model_type: str, sizes: dict[str, Any]) -> PreTrainedConfig:
    """The configuration of a backbone from scratch.

    Raises:
        ConfigError: If a size is unknown to the model type or of a wrong type.
    """
    known = CONFIG_MAPPING[model_type]().to_dict()
    for key in sizes:
        if key not in known:
            raise ConfigError(f"the model type '{model_type}' has no size '{key}'. {did_you_mean(key, known)}")
    try:
        return AutoConfig.for_model(model_type, **sizes)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the model type '{model_type}' refuses {sizes}: {str(error).splitlines()[0]}") from None


def tower(model: PreTrainedModel, modality: str) -> PreTrainedModel:
    """The part of ``model`` that encodes ``modality``: one of several towers, or the encoder before a decoder."""
    if hasattr(model, TOWERS[modality]):
        return getattr(model, TOWERS[modality])
    if model.config.is_encoder_decoder:
        return model.get_encoder()
    return model


def drop_summary(model: PreTrainedModel) -> None:
    """Leave out the layers that sum a whole item up in one vector: only tokens are read, they would learn nothing."""
    pooler = getattr(model, "pooler", None)
    if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
        model.pooler = None
    if getattr(model, "use_head", False):
        model.use_head, model.head = False, None
    if type(model).__name__.startswith("CLIPVision") and hasattr(model, "post_layernorm"):
        model.post_layernorm.requires_grad_(False)  # CLIP applies it to the class token's summary alone


def replace_batch_norm(module: nn.Module) -> None:
    """Put GroupNorm (Wu & He 2018) where a from-scratch backbone has BatchNorm.

    Statistics over the batch would let rows change each other, and fail on a batch of one.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(math.gcd(8, child.num_features), child.num_features))
        else:
            replace_batch_norm(child)
