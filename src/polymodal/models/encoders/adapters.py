"""Merge LoRA adapters into the weights of the layers beside them."""

from __future__ import annotations

from typing import Any, cast

from torch import nn

from polymodal.models.encoders.backbone import BackboneEncoder, fixed_weights
from polymodal.models.encoders.base import encoder_settings


def merge_lora(model: nn.Module) -> nn.Module:
    """Fold the adapters of all encoders into the weights beside them; returns ``model``.

    The answers stay the same but for rounding, and are had at the speed of the backbone alone. Saved then,
    the encoders are like any other: all of their weights learn when they are trained on.
    """
    for encoder in model.modules():
        if isinstance(encoder, BackboneEncoder):
            fold_adapters(encoder)
    for module in model.modules():
        if hasattr(module, "fixed"):
            module.fixed = fixed_weights(module)  # type: ignore[assignment]
    owners: list[Any] = [m for m in model.modules() if hasattr(m, "encoders") and hasattr(m, "config")]
    for owner in owners:  # the model, or that of a blend
        owner.config.encoders = [encoder_settings(encoder) for encoder in owner.encoders]
    return model


def fold_adapters(encoder: BackboneEncoder) -> None:
    """Fold the adapters of one encoder, if it has any, into the weights beside them; all then learn."""
    if encoder.lora is None:
        return
    fold_layers(encoder.backbone)
    encoder.lora = None
    for part in encoder.children():
        part.requires_grad_(True)
    for name, parameter in encoder.backbone.named_parameters():
        parameter.requires_grad_(name not in encoder.never_learn)


def fold_layers(backbone: nn.Module) -> None:
    """Fold every adapter in ``backbone`` into the layer that it lies beside."""
    from peft.tuners.lora import LoraLayer

    for name, module in list(backbone.named_modules()):
        if isinstance(module, LoraLayer):
            cast(Any, module).merge(safe_merge=True)
            backbone.set_submodule(name, module.get_base_layer())
    vars(backbone).pop("peft_config", None)
