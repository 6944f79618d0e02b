"""Parameter groups of the optimizer: learning rates and weight decay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypedDict

from torch import nn

from polymodal.models.encoders.tuning import BEFORE, layers_of
from polymodal.models.modeling import LearningModel
from polymodal.models.weighting import LEARNING_RATE


class ParameterGroup(TypedDict):
    """A group of an optimizer's parameters.

    Attributes:
        params: The parameters.
        lr: Their learning rate.
        weight_decay: Their weight decay.
    """

    params: list[nn.Parameter]
    lr: float
    weight_decay: float


def grouped(
    model: nn.Module, rate_of: Callable[[str, nn.Parameter], float], decayed: Collection[str], decay: float
) -> list[ParameterGroup]:
    """The trainable parameters by learning rate and weight decay, in the order of the model.

    Args:
        model: Whose parameters are trained.
        rate_of: The learning rate of a parameter, from its name and itself.
        decayed: Names of parameters with weight decay.
        decay: The weight decay of these.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((rate_of(name, parameter), name in decayed), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay if decays else 0.0}
        for (rate, decays), parameters in groups.items()
    ]


def parameter_groups(
    model: LearningModel,
    decayed: Collection[str],
    *,
    learning_rate: float,
    pretrained_learning_rate: float,
    continued_learning_rate: float | None = None,
    layer_decay: float,
    weight_decay: float,
) -> list[ParameterGroup]:
    """The trainable parameters by learning rate and weight decay, as PyTorch's optimizers take them.

    Args:
        model: Whose parameters are trained.
        decayed: Names of parameters with weight decay.
        learning_rate: Of new parameters: heads, fusion, encoders from scratch, adapters.
        pretrained_learning_rate: Of pretrained parameters; in an encoder, of the last layer and what follows.
        continued_learning_rate: Of parameters that come from a run which trained them from scratch; by
            default that of pretrained ones.
        layer_decay: The factor from the learning rate of each layer to that of the layer below it.
        weight_decay: Of the parameters in ``decayed``.
    """
    slower = pretrained_rates(model, pretrained_learning_rate, layer_decay, continued_learning_rate)
    weights = {id(parameter) for parameter in model.weighting.parameters()}

    def rate_of(_: str, parameter: nn.Parameter) -> float:
        rate = slower.get(id(parameter), learning_rate)
        return rate * (LEARNING_RATE if id(parameter) in weights else 1)

    return grouped(model, rate_of, decayed, weight_decay)


def pretrained_rates(
    model: LearningModel, rate: float, layer_decay: float, continued_rate: float | None = None
) -> dict[int, float]:
    """The learning rate of each pretrained parameter, by its ``id``.

    Pretrained parameters come from a checkpoint, or were copied whole from a run (``model.model.continued``:
    encoders, embedding, fusion). A tensor with a new part has the learning rate of new parameters. Of what
    was copied, all but encoders with a checkpoint have ``continued_rate`` where it is given: they have seen
    the rows of one table, and hold less to lose.

    Layer k of n has ``rate · layer_decay^(n − k)``; everything below the layers is layer 0, as in ELECTRA
    (Clark et al. 2020) and BEiT (Bao et al. 2021). Adapters are not included.
    """
    rates, continued = {}, model.model.continued
    own = rate if continued_rate is None else continued_rate
    checkpointed = {id(p) for e in model.model.encoders if e.pretrained for p in e.parameters()}
    for name, parameter in model.model.named_parameters():
        if name in continued and ".lora_" not in name:
            rates[id(parameter)] = rate if id(parameter) in checkpointed else own
    for encoder in model.model.encoders:
        known = encoder.pretrained or any(id(parameter) in rates for parameter in encoder.parameters())
        if not known or not isinstance(getattr(encoder, "backbone", None), nn.Module):
            continue
        top = rate if encoder.pretrained else own
        layers, after = layers_of(encoder.backbone)
        index = {id(p): number for number, layer in enumerate(layers, 1) for p in layer.parameters()}
        index |= {id(p): len(layers) for module in after for p in module.parameters()}
        for name, parameter in encoder.backbone.named_parameters():
            if ".lora_" not in name:
                below = len(layers) - index.get(id(parameter), 0)
                rates[id(parameter)] = top * layer_decay**below
        for name, part in encoder.named_children():
            if name == BEFORE:
                low = top * layer_decay ** len(layers)
                rates |= {id(parameter): low for parameter in part.parameters()}
    return rates


def parameters_in_words(model: nn.Module) -> str:
    """``1.2 M parameters, 0.3 M trained``."""
    every, trained = _count(model.parameters()), _count(p for p in model.parameters() if p.requires_grad)
    return f"{_rounded(every)} parameters, {'all' if trained == every else _rounded(trained)} trained"


def _count(parameters: Iterable[nn.Parameter]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def _rounded(count: int) -> str:
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)
