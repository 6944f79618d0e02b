"""Copy the weights of one model to another where they correspond, and nothing else.

- An encoder is copied whole. Equal adapters of both are copied; others are merged first. The table of a
  category encoder is copied by row: known categories keep their row.
- The embedding is copied if the shared width is the same: projection and positions with their encoder,
  segment and missing token by the name of the input.
- The shared space is copied by input, if both models have one of the same width.
- The fusion is copied if the embedding is, and it is the same but for its dropout; see
  :mod:`polymodal.training.warm_start.fusion_tensors` for its tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from polymodal.errors import RunError
from polymodal.models.encoders.adapters import fold_adapters
from polymodal.models.fusion import FeatureFusion
from polymodal.models.language.language_modeling import PolymodalForConditionalGeneration
from polymodal.models.modeling import PolymodalModel
from polymodal.training.warm_start.fusion_tensors import Meaning, is_like, meanings

TABLE = "embed.weight"
"""The weight of an encoder of categories that has a row per category."""
BASE = ".base_layer"
"""Part of the name of a weight that has an adapter."""


@dataclass
class Continued:
    """The result of a transfer.

    Attributes:
        loaded: Parts with copied weights.
        new: Parts with new weights.
        whole: Names of the parameters that were copied whole.
    """

    loaded: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    whole: set[str] = field(default_factory=set)


def continue_from(old: PolymodalModel, model: PolymodalModel) -> Continued:
    """Copy the weights of ``old``, which is changed (its adapters may be merged), to ``model``.

    Inputs are matched by name; inputs of one name must have the same encoder.

    Raises:
        RunError: If an encoder is another one.
    """
    done = Continued()
    pairs: dict[int, int] = {}  # indices of encoders in the model, and in the old one
    for name, index in model.encoder_of.items():
        if name in old.encoder_of:
            pairs[index] = old.encoder_of[name]
        else:
            done.new.append(f"input {name}")
    with torch.no_grad():
        for index, before in pairs.items():
            names = ", ".join(name for name, own in model.encoder_of.items() if own == index)
            _encoder(old, before, model, index, names, done)
        same_width = old.config.fusion["width"] == model.config.fusion["width"]
        if same_width:
            _embedding(old, model, pairs, done)
            _fusion(old, model, done)
            _space(old, model, done)
        else:
            widths = f"width {model.config.fusion['width']}, before {old.config.fusion['width']}"
            done.new += [f"embedding ({widths})", f"fusion '{model.fusion.name}'"]
    model.continued = frozenset(done.whole)
    return done


def continue_words(
    start: PolymodalModel | PolymodalForConditionalGeneration,
    model: PolymodalForConditionalGeneration,
    *,
    speaks: bool,
) -> Continued:
    """Give a model of answers in words the weights of a run, whose adapters may be folded in.

    Args:
        start: The model of the run.
        model: Changed in place: its encoders by the names of inputs, and of another such model connectors
            that are built alike.
        speaks: Whether the language model goes on too; tokens that it did not know are new.

    Raises:
        RunError: If an encoder is another one.
    """
    done = Continued()
    known = [name for name in model.encoder_of if name in start.encoder_of]
    done.new += [f"input {name}" for name in model.encoder_of if name not in known]
    pairs = {model.encoder_of[name]: start.encoder_of[name] for name in known}
    with torch.no_grad():
        for index, before in pairs.items():
            names = ", ".join(name for name, own in model.encoder_of.items() if own == index)
            _encoder(start, before, model, index, names, done)
        for name in known:
            _connector(start, model, name, done)
        if speaks and isinstance(start, PolymodalForConditionalGeneration):
            _language_model(start, model, done)
        else:
            done.new.append("language model")
    return done


def _connector(
    start: PolymodalModel | PolymodalForConditionalGeneration,
    model: PolymodalForConditionalGeneration,
    name: str,
    done: Continued,
) -> None:
    """Copy the connector of an input, where both models have one of the same tensors."""
    connector = model.connector(name)
    source = (
        start.connector(name).state_dict() if isinstance(start, PolymodalForConditionalGeneration) else {}
    )
    own = connector.state_dict()
    if {key: value.shape for key, value in source.items()} == {key: v.shape for key, v in own.items()}:
        connector.load_state_dict(source)
        done.loaded.append(f"connector of {name}")
    else:
        done.new.append(f"connector of {name}")


def _language_model(
    start: PolymodalForConditionalGeneration, model: PolymodalForConditionalGeneration, done: Continued
) -> None:
    """Copy the language model; rows of tokens that the run did not know stay as they are.

    Raises:
        RunError: If it is another one.
    """
    source = start.language_model.state_dict()
    for name, tensor in model.language_model.state_dict().items():
        value = source.get(name)
        if value is None or value.shape[1:] != tensor.shape[1:] or len(value) > len(tensor):
            raise RunError(f"the language model is another than in the run that is started from ({name})")
        tensor[: len(value)].copy_(value)
    done.loaded.append("language model")


def _encoder(
    old: PolymodalModel | PolymodalForConditionalGeneration,
    before: int,
    model: PolymodalModel | PolymodalForConditionalGeneration,
    place: int,
    names: str,
    done: Continued,
) -> None:
    """Copy an encoder."""
    source, encoder = old.encoders[before], model.encoders[place]
    label, lora, wanted = f"encoder of {names}", getattr(source, "lora", None), getattr(encoder, "lora", None)
    if lora and wanted and _alike(lora, wanted):
        label += " with its adapters"
    elif lora:
        fold_adapters(source)  # type: ignore[arg-type]
        lora, label = None, f"{label}, its adapters folded in"
    if wanted and not lora:
        done.new.append(f"adapters of {names}")
    weights, rows = source.state_dict(), 0
    if encoder.categories and source.categories:
        rows = encoder.categories - source.categories
    for name, tensor in encoder.state_dict().items():
        if (".lora_" in name and not lora) or name == "marks":  # those depend on the tokenizer only
            continue
        value = weights.get(name if lora else name.replace(BASE, ""))
        has_new = bool(rows) and name == TABLE
        known = tensor[: len(tensor) - rows] if has_new else tensor
        if value is None or value.shape != known.shape:
            raise RunError(f"the encoder of {names} is another than in the run that is started from ({name})")
        known.copy_(value)
        if not has_new:
            done.whole.add(f"encoders.{place}.{name}")
    done.loaded.append(label)


def _space(old: PolymodalModel, model: PolymodalModel, done: Continued) -> None:
    """Copy the projections of common inputs, if both models have a space of the same width."""
    before, space = old.space, model.space
    if before is None or space is None:
        return
    known = [name for name in space.inputs if name in before.inputs]
    kinds = [(config.space, config.space_projection) for config in (old.config, model.config)]
    if kinds[0] != kinds[1] or not known:
        done.new.append("space")
        return
    for name in known:
        index = space.inputs.index(name)
        source = before.project[before.inputs.index(name)]
        space.project[index].load_state_dict(source.state_dict())
        done.whole.update(f"space.project.{index}.{key}" for key in source.state_dict())
    done.loaded.append("space")


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[key] == other[key] for key in ("rank", "alpha", "targets"))


def _embedding(old: PolymodalModel, model: PolymodalModel, pairs: dict[int, int], done: Continued) -> None:
    """Copy projection and positions of copied encoders, and the table rows of common inputs."""
    source, embedding = old.embedding, model.embedding
    for index, before in pairs.items():
        for kind in ("project", "position"):
            part = cast(nn.ModuleDict, getattr(embedding, kind))[str(index)]
            part.load_state_dict(cast(nn.ModuleDict, getattr(source, kind))[str(before)].state_dict())
            done.whole |= {f"embedding.{kind}.{index}.{name}" for name, _ in part.named_parameters()}
    embedding.norm.load_state_dict(source.norm.state_dict())
    done.whole |= {"embedding.norm.weight", "embedding.norm.bias"}
    names, known = list(model.encoder_of), list(old.encoder_of)
    for table in ("segment", "missing"):
        rows, values = getattr(embedding, table).weight, getattr(source, table).weight
        for index, name in enumerate(names):
            if name in known:
                rows[index] = values[known.index(name)]
        if set(names) <= set(known):
            done.whole.add(f"embedding.{table}.weight")
    done.loaded.append("embedding")


def _fusion(old: PolymodalModel, model: PolymodalModel, done: Continued) -> None:
    """Copy the corresponding tensors of the fusion."""
    fusion, name = model.fusion, f"fusion '{model.fusion.name}'"
    if not is_like(old.fusion, fusion):
        other = old.fusion.name != fusion.name
        done.new.append(f"{name} (before '{old.fusion.name}')" if other else f"{name} (other options)")
        return
    if list(old.encoder_of) == list(model.encoder_of):
        fusion.load_state_dict(old.fusion.state_dict())
        whole = list(fusion.state_dict())
    else:
        whole = copy_fusion(old.fusion, fusion)
    done.whole |= {f"fusion.{tensor}" for tensor in whole}
    count = len(fusion.state_dict())
    if len(whole) == count:
        done.loaded.append(name)
    else:
        part = f"{count - len(whole)} of {count} tensors of {name}, wholly or for new inputs"
        done.loaded += [f"{name} in part"] * bool(whole)
        done.new.append(part if whole else f"{name} (other inputs)")


def copy_fusion(source: FeatureFusion, fusion: FeatureFusion) -> list[str]:
    """Copy corresponding tensors; returns the names of those that were copied whole."""
    before = {meaning.name: (name, meaning) for name, meaning in meanings(source).items()}
    weights, tensors, whole = source.state_dict(), fusion.state_dict(), []
    for name, meaning in meanings(fusion).items():
        if meaning.name not in before:
            continue
        other, known = before[meaning.name]
        tensor, value = tensors[name], weights[other]
        if not meaning.blocks:
            if tensor.shape == value.shape:  # some are smaller the more inputs there are
                tensor.copy_(value)
                whole.append(name)
            continue
        both = {dim: [n for n in meaning.blocks[dim] if n in known.blocks[dim]] for dim in meaning.blocks}
        if all(both.values()):
            tensor[_places(tensor, meaning, both)] = value[_places(value, known, both)]
        if all(len(both[dim]) == len(meaning.blocks[dim]) for dim in both):
            whole.append(name)
    return whole


def _places(tensor: Tensor, meaning: Meaning, names: dict[int, list[str]]) -> tuple[Tensor, ...]:
    """The index of a tensor's blocks of ``names``, by dimension."""
    axes = [torch.arange(length) for length in tensor.shape]
    for dim, chosen in names.items():
        blocks = axes[dim].chunk(len(meaning.blocks[dim]))
        axes[dim] = torch.cat([blocks[meaning.blocks[dim].index(name)] for name in chosen])
    return torch.meshgrid(*axes, indexing="ij")
