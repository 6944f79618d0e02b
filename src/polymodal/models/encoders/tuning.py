"""Fine-tuning of a backbone: all weights, none, the last layers, or low-rank adapters (LoRA)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from polymodal.errors import ConfigError, did_you_mean
from polymodal.utils.records import Settings

E = TypeVar("E", bound=nn.Module)
LORA_DEFAULTS: dict[str, Any] = {
    "rank": 8, "alpha": 16.0, "dropout": 0.0, "targets": None, "dora": False, "last": None,
}  # fmt: skip
"""The update is ``alpha / rank`` times the product of an adapter's two matrices."""
LINEAR = (nn.Linear, Conv1D)
"""What an adapter goes beside; GPT-2 calls its linear layers ``Conv1D``."""
BEFORE, AFTER = "project", "norm"
"""What our encoders call what they learn before a backbone and after it."""


def tune(
    backbone: PreTrainedModel,
    *,
    freeze: bool = False,
    lora: bool | Mapping[str, Any] | None = None,
    unfreeze_last: int | None = None,
) -> Settings | None:
    """Freeze the weights that are not trained, and add adapters.

    Returns:
        The settings of the adapters with every default, or None without adapters.

    Raises:
        ConfigError: If two ways are requested at once, or the backbone has no such layers.
    """
    adapts = lora is True or isinstance(lora, Mapping)
    requested = {"freeze": freeze, "lora": adapts, "unfreeze_last": unfreeze_last}
    both = [name for name, value in requested.items() if value]
    if len(both) > 1:
        raise ConfigError(f"'{both[0]}' and '{both[1]}' exclude each other: each names what is frozen")
    if freeze:
        backbone.requires_grad_(False)
    if unfreeze_last:
        freeze_but_last(backbone, unfreeze_last)
    return add_lora(backbone, lora if isinstance(lora, Mapping) else {}) if adapts else None


def add_lora(backbone: PreTrainedModel, settings: Mapping[str, Any]) -> Settings:
    """Put a low-rank adapter beside linear layers and fix everything else (LoRA; Hu et al. 2021, section 4).

    By default beside every linear layer that learns, which is worth more than a higher rank beside a few
    (Dettmers et al. 2023, section 4). At the start the adapters add nothing.

    Args:
        backbone: A Transformers model; changed in place.
        settings: Of :data:`LORA_DEFAULTS`: ``rank``; ``alpha``; ``dropout`` before the adapters; ``targets``,
            ends of the names of the layers, such as ``query`` or ``attention.dense``; ``dora``, to learn the
            length of each weight's columns apart from their direction (DoRA; Liu et al. 2024, equation 5);
            ``last``, to adapt so many last layers alone.

    Returns:
        The settings with every default, as earlier versions wrote them: ``last`` only if it is given.

    Raises:
        ConfigError: If a setting is unknown, or the backbone has no linear layer of such a name.
    """
    from peft import LoraConfig, inject_adapter_in_model

    for name in settings:
        if name not in LORA_DEFAULTS:
            raise ConfigError(f"lora has no option '{name}'. {did_you_mean(name, LORA_DEFAULTS)}")
    whole = LORA_DEFAULTS | dict(settings)
    config = LoraConfig(
        r=whole["rank"], lora_alpha=whole["alpha"], lora_dropout=whole["dropout"],
        target_modules=_linear_layers(backbone, whole["targets"], whole["last"]), use_dora=whole["dora"],
    )  # fmt: skip
    inject_adapter_in_model(config, backbone)
    return {name: value for name, value in whole.items() if name != "last" or value is not None}


def hold_around(encoder: E) -> E:
    """Fix what lies around a backbone that is tuned in part, as what it came with; returns ``encoder``.

    All of it under ``freeze`` and ``lora``, what comes before the backbone under ``unfreeze_last``. The
    encoder of a checkpoint has nothing around it.
    """
    whole = getattr(encoder, "frozen", False) or getattr(encoder, "lora", None)
    for name, part in encoder.named_children():
        below = name == BEFORE and getattr(encoder, "unfreeze_last", None)
        if below or (whole and name in (BEFORE, AFTER)):
            part.requires_grad_(False)
    return encoder


def _linear_layers(backbone: PreTrainedModel, targets: list[str] | None, last: int | None) -> list[str]:
    """Names of the linear layers that learn, in the ``last`` layers and ending as ``targets`` do."""
    inside = None if last is None else _inside_last(backbone, last, "lora.last")
    known = [
        name
        for name, module in backbone.named_modules()
        # Its own type alone: what PyTorch's attention keeps as its last layer is never called.
        if type(module) in LINEAR
        and (inside is None or id(module) in inside)
        and all(p.requires_grad for p in module.parameters())
    ]
    kind = backbone.config.model_type
    if not known:
        raise ConfigError(f"a model of type '{kind}' has no linear layer that lora could adapt")
    if targets is None:
        return known
    for target in targets:
        if not any(f".{name}".endswith(f".{target}") for name in known):
            ends = dict.fromkeys(name.rpartition(".")[2] for name in known)
            fix = did_you_mean(target, ends)
            raise ConfigError(f"a model of type '{kind}' has no linear layer '{target}' for lora. {fix}")
    return [name for name in known if any(f".{name}".endswith(f".{target}") for target in targets)]


def freeze_but_last(backbone: PreTrainedModel, count: int) -> None:
    """Fix all but the last ``count`` layers and what comes after them, such as a last norm.

    Raises:
        ConfigError: If the backbone has fewer layers.
    """
    layers, after = layers_of(backbone)
    _require_layers(backbone, layers, count, "unfreeze_last")
    learning = [*layers[-count:], *after]
    kept = {id(p) for module in learning for p in module.parameters() if p.requires_grad}
    for parameter in backbone.parameters():
        parameter.requires_grad_(id(parameter) in kept)


def _require_layers(backbone: PreTrainedModel, layers: Sequence[nn.Module], count: int, setting: str) -> None:
    if count > len(layers):
        kind, has = backbone.config.model_type, f"{len(layers)} layers" if layers else "no layers"
        raise ConfigError(f"'{setting}' is {count}, but this model of type '{kind}' has {has}")


def _inside_last(backbone: PreTrainedModel, count: int, setting: str) -> set[int]:
    """Identities of the modules inside the last ``count`` layers."""
    layers, _ = layers_of(backbone)
    _require_layers(backbone, layers, count, setting)
    return {id(module) for layer in layers[-count:] for module in layer.modules()}


def layers_of(backbone: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """The layers of a Transformers backbone from first to last, and the modules that come after them.

    The layers are the outermost list of modules of one type that holds most of the weights: blocks of a
    Transformer, stages of a network that has stages. What comes after is what is declared after them; the
    norm of wav2vec 2.0's stable variant is declared before and applied after.
    """
    lists = [(name, list(module)) for name, module in backbone.named_modules() if _is_stack(module)]
    outermost = [
        (name, layers)
        for name, layers in lists
        if not any(name.startswith(f"{other}.") for other, _ in lists)
    ]
    if not outermost:
        return [], []
    name, layers = max(outermost, key=lambda entry: sum(p.numel() for m in entry[1] for p in m.parameters()))
    after: list[nn.Module] = []
    path = name.split(".")
    for depth in range(len(path)):
        parent = backbone.get_submodule(".".join(path[:depth]))
        children = dict(parent.named_children())
        after += [children[key] for key in list(children)[list(children).index(path[depth]) + 1 :]]
        if "StableLayerNorm" in type(parent).__name__:
            after.append(children["layer_norm"])
    return layers, after


def _is_stack(module: nn.Module) -> bool:
    return isinstance(module, nn.ModuleList) and len({type(child) for child in module}) == 1


def fixed_parts(backbone: nn.Module) -> list[nn.Module]:
    """The modules of which no weight learns."""
    parts = []
    for module in backbone.modules():
        weights = list(module.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            parts.append(module)
    return parts
