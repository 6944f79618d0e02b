"""The one road to every Transformers backbone: from a checkpoint, or from scratch by type and sizes."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from polymodal.errors import ConfigError, did_you_mean
from polymodal.models.encoders.base import Encoder
from polymodal.models.encoders.tuning import fixed_parts, tune
from polymodal.utils.hub import load_pretrained
from polymodal.utils.records import Settings

REFUSED = (
    TypeError, ValueError, AssertionError, RuntimeError, ArithmeticError, IndexError, StrictDataclassError,
)  # fmt: skip
"""What Transformers raises at sizes of a wrong type, or that do not fit each other."""

UNREAD = ("mask_token", "masked_spec_embed", "query_global", "key_global", "value_global")
"""Weights that only pre-training or other calls use: the tokens of hidden patches and hidden sound, and
Longformer's attention of chosen tokens to all."""
UNREAD_OF = {"XLNet": ("mask_emb", "r_s_bias", "seg_embed")}
"""The same of one kind, by the start of a model's class name, where others use weights of that name."""

ASKING = "SqueezeBert"
"""Calls its pooler whether or not it is there, so that it is kept, among ``SUMMARIES``."""
SUMMARIES = {
    ASKING: "pooler",
    "SiglipText": "head",
    "CLIPVision": "post_layernorm",
    "ConvNext": "layernorm",
    "Wav2Vec2Conformer": "encoder.pos_conv_embed",
}
"""By the start of a model's class name, the part that no token comes from: what is applied to the sum of a
whole item alone, or not at all."""

SMALL_RESNET: dict[str, Any] = {
    "embedding_size": 16,
    "hidden_sizes": [32, 64, 128],
    "depths": [1, 1, 1],
    "layer_type": "basic",
}
"""A residual network that learns on a CPU, in place of ResNet-50."""

SMALL_BERT: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 256,
}
"""A bidirectional Transformer that learns on a CPU, in place of BERT-base."""


class BackboneEncoder(Encoder):
    """Base of the encoders that hold a Transformers model.

    Args:
        backbone: A checkpoint (hub name or local folder), or a model type such as ``bert`` to build
            from scratch, or the dictionary of a backbone's configuration.
        tokens: Most tokens an item gives.
        freeze: Leave the backbone as it is, in evaluation mode.
        lora: Low-rank adapters learn in the backbone's place; true, or their settings
            (see :func:`polymodal.models.encoders.tuning.add_lora`).
        unfreeze_last: So many last layers of the backbone learn; the others stay as they are.
        scratch: Whether a backbone given as a dictionary was first built from scratch.
        sizes: Sizes of a backbone from scratch, under their Transformers names.

    Raises:
        ConfigError: If the checkpoint cannot be read, is of another modality, or a size is unknown to
            the model type, or the backbone has no layers of the kind that is to learn.
    """

    DEFAULT_TYPE: str
    DEFAULT_SIZES: dict[str, Any]
    TOWER: ClassVar[str] = "text_model"
    """Where a model of several towers (CLIP, SigLIP, CLAP) keeps the one for the modality."""
    READS: ClassVar[tuple[str, ...]] = ()
    """The tensors that a backbone may take as its first."""
    takes_backbone = reads_checkpoints = True

    def __init__(
        self,
        backbone: str | os.PathLike[str] | dict[str, Any] | None = None,
        *,
        tokens: int = 64,
        freeze: bool = False,
        lora: bool | Mapping[str, Any] | None = None,
        unfreeze_last: int | None = None,
        scratch: bool = False,
        **sizes: Any,
    ) -> None:
        super().__init__()
        self.tokens, self.frozen = tokens, freeze
        self.checkpoint: str | None = None
        name = os.fspath(backbone) if isinstance(backbone, os.PathLike) else backbone
        if isinstance(name, dict):
            self.pretrained = not scratch
            model = AutoModel.from_config(AutoConfig.for_model(**name))
        elif name is not None and is_checkpoint(name):
            if sizes:
                size = next(iter(sizes))
                raise ConfigError(f"{name} is a checkpoint: it has its own sizes, '{size}' cannot be set")
            self.pretrained, self.checkpoint = True, name
            model = load_pretrained(AutoModel, name).float()
            own_memory(model)
            with torch.device("meta"):
                hold_fixed(model, fixed_weights(type(model)(model.config)))
        else:
            self.pretrained = False
            kind = name or self.DEFAULT_TYPE
            model = from_scratch(kind, (self.DEFAULT_SIZES if kind == self.DEFAULT_TYPE else {}) | sizes)
        self.config: PreTrainedConfig = model.config
        self.backbone = self._tower(model)
        if not self.pretrained:
            replace_batch_norm(self.backbone)
        leave_out_unread(self.backbone)
        leave_out_chance(self.backbone)
        self.never_learn = fixed_weights(self.backbone)
        self.unfreeze_last = unfreeze_last
        self.lora = tune(self.backbone, freeze=freeze, lora=lora, unfreeze_last=unfreeze_last)

    @classmethod
    def _tower(cls, model: PreTrainedModel) -> PreTrainedModel:
        """The part of a model that encodes the modality: one of its towers, or the encoder of two halves.

        Raises:
            ConfigError: If the model reads another modality, or wants more than one tensor.
        """
        part = model
        if hasattr(model, cls.TOWER):
            part = getattr(model, cls.TOWER)
        elif model.config.is_encoder_decoder:
            part = model.get_encoder()
        kind = model.config.model_type
        if part.main_input_name not in cls.READS:
            raise ConfigError(f"a model of type '{kind}' reads {part.main_input_name}, no {cls.modality}")
        wanted = inspect.signature(part.forward).parameters.values()
        more = [p.name for p in wanted if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
        if set(more) - {part.main_input_name}:
            extra = ", ".join(more)
            raise ConfigError(f"a model of type '{kind}' wants {extra}: more than {cls.modality} gives")
        return part

    @classmethod
    def scratch_type(cls, backbone: str | os.PathLike[str] | dict[str, Any] | None) -> str | None:
        """The model type that is built from scratch; None for a checkpoint or a configuration.

        The default is a type always: no folder of its name is looked for.
        """
        if backbone is None:
            return cls.DEFAULT_TYPE
        return backbone if isinstance(backbone, str) and not is_checkpoint(backbone) else None

    def settings(self) -> Settings:
        """See :meth:`Encoder.settings`."""
        left_out = ("dtype", "_name_or_path")
        config = {key: value for key, value in self.config.to_dict().items() if key not in left_out}
        settings: Settings = {"backbone": config, "tokens": self.tokens, "freeze": self.frozen}
        settings |= {"lora": self.lora, "unfreeze_last": self.unfreeze_last}
        return settings | {"scratch": not self.pretrained}

    @property
    def dtype(self) -> torch.dtype:
        """Type of the backbone's weights."""
        return next(self.backbone.parameters()).dtype

    def train(self, mode: bool = True) -> BackboneEncoder:
        """See :meth:`Encoder.train`; layers below those that ``unfreeze_last`` names are frozen too."""
        super().train(mode)
        if self.unfreeze_last:
            for part in fixed_parts(self.backbone):
                part.eval()
        return self


def is_checkpoint(name: str) -> bool:
    """Whether ``name`` is a hub name or a folder, and no model type."""
    return name not in CONFIG_MAPPING or os.path.exists(os.path.join(name, "config.json"))


def known_sizes(model_type: str) -> Settings:
    """The sizes of a model type, by all their names, with Transformers' own values."""
    config = CONFIG_MAPPING[model_type]()
    every = PreTrainedConfig().to_dict()
    known = {name: value for name, value in config.to_dict().items() if name not in every}
    return known | {alias: known.get(name) for alias, name in config.attribute_map.items()}


def from_scratch(
    model_type: str, sizes: dict[str, Any], auto: Any = AutoModel, more: Mapping[str, Any] | None = None
) -> PreTrainedModel:
    """A backbone with fresh weights.

    Args:
        model_type: Of Transformers.
        sizes: Under their Transformers names.
        auto: The Auto class that builds it.
        more: What its configuration holds besides.

    Raises:
        ConfigError: If a size is unknown to the model type, of a wrong type, or does not fit the others.
    """
    known = known_sizes(model_type)
    for key in sizes:
        if key not in known:
            raise ConfigError(
                f"the model type '{model_type}' has no size '{key}'. {did_you_mean(key, known)}"
            )
    try:
        return auto.from_config(AutoConfig.for_model(model_type, **sizes, **(more or {})))
    except REFUSED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"the model type '{model_type}' refuses {sizes}: {reason}") from None


def fixed_weights(model: nn.Module) -> list[str]:
    """Names of the weights that do not learn."""
    return [name for name, parameter in model.named_parameters() if not parameter.requires_grad]


def hold_fixed(model: nn.Module, names: Sequence[str]) -> None:
    """Fix these weights again: Transformers' ``from_pretrained`` lets all learn, frozen ones too."""
    for name in names:
        model.get_parameter(name).requires_grad_(False)


def own_memory(model: nn.Module) -> None:
    """Move what lies in a mapped file to memory of its own, aligned as fresh weights are.

    MKL sums in another order where a matrix starts off a multiple of 16 bytes, so that a loaded model
    would differ from the saved one in the last bits; and a file that is written
    again would change the loaded weights.
    """
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.device.type == "cpu" and tensor.data_ptr() % 64:
            tensor.data = tensor.data.clone()


def leave_out_unread(model: PreTrainedModel) -> None:
    """Leave out what no token comes from, for it would never learn: poolers, ``SUMMARIES`` and ``UNREAD``."""
    pooler = getattr(model, "pooler", None)
    learns = isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters())
    if learns and not type(model).__name__.startswith(ASKING):
        model.pooler = None  # type: ignore[assignment]
    if getattr(model, "use_head", False):  # SigLIP's pictures
        model.use_head, model.head = False, None  # type: ignore[assignment]
    for kind, part in SUMMARIES.items():
        if type(model).__name__.startswith(kind):
            model.get_submodule(part).requires_grad_(False)
    own = [parts for kind, parts in UNREAD_OF.items() if type(model).__name__.startswith(kind)]
    unread = set(UNREAD).union(*own)
    for name, parameter in model.named_parameters():
        if not unread.isdisjoint(name.split(".")):
            parameter.requires_grad_(False)


def leave_out_chance(model: PreTrainedModel) -> None:
    """Switch off what hides sound and skips layers by NumPy's and Python's own chance in training.

    It fails on recordings shorter than one hidden stretch, and leaves processes with different layers.

    Raises:
        ConfigError: If the model hides parts at random in use too.
    """
    if model.config.model_type == "vit_mae":
        raise ConfigError(
            "a model of type 'vit_mae' hides patches at random, in use too. Take another, such as vit"
        )
    for name, value in {"apply_spec_augment": False, "layerdrop": 0.0}.items():
        if hasattr(model.config, name):
            setattr(model.config, name, value)


def replace_batch_norm(module: nn.Module) -> None:
    """Put GroupNorm (Wu & He 2018) where a from-scratch backbone has BatchNorm.

    Statistics over the batch would let rows change each other, and fail on a batch of one.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            setattr(module, name, nn.GroupNorm(math.gcd(8, child.num_features), child.num_features))
        else:
            replace_batch_norm(child)


def require_channels(config: Any, *read: int) -> None:
    """See that a vision backbone takes as many channels as it will be given.

    Raises:
        ConfigError: If it takes another number than one of ``read``.
    """
    channels = getattr(config, "num_channels", read[0])
    if channels not in read:
        expected = " or ".join(map(str, read))
        raise ConfigError(f"'num_channels' is {channels}, and what is read has {expected}. Leave it out")


def hidden_shape(backbone: PreTrainedModel, pixels: tuple[int, ...]) -> torch.Size:
    """The shape of a vision backbone's output for pictures of shape ``(1, channels, height, width)``.

    The backbone runs once to find it, which takes as long as building an encoder: it is kept for the process.

    Args:
        backbone: It stays as it is.
        pixels: The shape of the pictures.

    Raises:
        ConfigError: If it cannot read them.
    """
    key = (type(backbone).__name__, backbone.config.to_json_string(), pixels)
    if key not in _SHAPES:
        _SHAPES[key] = _run_once(backbone, pixels).shape
    return _SHAPES[key]


_SHAPES: dict[tuple[str, str, tuple[int, ...]], torch.Size] = {}
"""What :func:`hidden_shape` found, by class, configuration and pictures."""


def _run_once(backbone: PreTrainedModel, pixels: tuple[int, ...]) -> Tensor:
    """The output of a backbone for black pictures of shape ``pixels``."""
    training = backbone.training
    backbone.eval()  # statistics that came with a checkpoint stay as they are
    weight = next(backbone.parameters())
    try:
        with torch.no_grad():
            hidden = backbone(pixel_values=torch.zeros(pixels, device=weight.device, dtype=weight.dtype))
    except (RuntimeError, ValueError) as error:
        shape, reason = " x ".join(map(str, pixels[1:])), str(error).splitlines()[0]
        kind = backbone.config.model_type
        raise ConfigError(f"a model of type '{kind}' cannot read pictures of {shape}: {reason}") from None
    backbone.train(training)
    return hidden.last_hidden_state
