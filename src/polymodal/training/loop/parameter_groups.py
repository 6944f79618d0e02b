"""Parameter groups of the optimizer: learning rates and weight decay."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

from polymodal.models.encoders.tuning import BEFORE, layers_of
from polymodal.models.modeling import LearningModel
from polymodal.models.weighting import LEARNING_RATE


def parameter_groups(
    model: LearningModel,
    decayed: Collection[str],
    *,
    learning_rate: float,
    pretrained_learning_rate: float,
    layer_decay: float,
    weight_decay: float,
) -> list[dict[str, Any]]:
    """The trainable parameters by learning rate and weight decay, for PyTorch's optimizers.

    Args:
        model: The model.
        decayed: Names of the parameters with weight decay.
        learning_rate: Learning rate of new parameters (heads, fusion, encoders from scratch) and of adapters.
        pretrained_learning_rate: Learning rate of pretrained parameters, of an encoder of its last layer and
            what follows it.
        layer_decay: Factor on the learning rate from each layer to the one below it.
        weight_decay: Weight decay of ``decayed``.
    """
    slower = pretrained_rates(model, pretrained_learning_rate, layer_decay)
    weights = {id(parameter) for parameter in model.weighting.parameters()}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = slower.get(id(parameter), learning_rate)
            rate *= LEARNING_RATE if id(parameter) in weights else 1
            groups.setdefault((rate, name in decayed), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": weight_decay if decays else 0.0}
        for (rate, decays), parameters in groups.items()
    ]


def pretrained_rates(model: LearningModel, rate: float, layer_decay: float) -> dict[int, float]:
    """The learning rate of each pretrained parameter, by its ``id``.

    Pretrained parameters come from a checkpoint, or were copied whole from a run (``model.model.continued``:
    encoders, embedding, fusion). A tensor with a new part has the learning rate of new parameters.

    Layer k of n has ``rate · layer_decay^(n − k)``; everything below the layers is layer 0, as in ELECTRA
    (Clark et al. 2020) and BEiT (Bao et al. 2021). Adapters are not included.
    """
    rates, continued = {}, model.model.continued
    for name, parameter in model.model.named_parameters():
        if name in continued and ".lora_" not in name:
            rates[id(parameter)] = rate
    for encoder in model.model.encoders:
        known = encoder.pretrained or any(id(parameter) in rates for parameter in encoder.parameters())
        if not known or not isinstance(getattr(encoder, "backbone", None), nn.Module):
            continue
        layers, after = layers_of(encoder.backbone)
        index = {id(p): number for number, layer in enumerate(layers, 1) for p in layer.parameters()}
        index |= {id(p): len(layers) for module in after for p in module.parameters()}
        for name, parameter in encoder.backbone.named_parameters():
            if ".lora_" not in name:
                below = len(layers) - index.get(id(parameter), 0)
                rates[id(parameter)] = rate * layer_decay**below
        for name, part in encoder.named_children():
            if name == BEFORE:
                low = rate * layer_decay ** len(layers)
                rates |= {id(parameter): low for parameter in part.parameters()}
    return rates
