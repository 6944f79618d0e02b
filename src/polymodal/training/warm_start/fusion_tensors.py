"""Match fusion parameters when the set of inputs differs.

Two fusions that agree in name, width, options, and in their inputs and order, agree in every tensor. Where
inputs were added or removed, two tensors correspond if they have the same :class:`Meaning`:

- the same name, once the indices of inputs in it are replaced by the inputs' names;
- and, where a dimension has one block per input, the blocks of the inputs that both fusions have; blocks of
  other inputs have no counterpart.

The rules are the fusion's own (:attr:`polymodal.models.fusion.Fusion.tensor_rules`). A tensor without a rule
depends on all inputs at once (the weights over the product of ``tensor``) and has no counterpart, and neither
has any tensor of a fusion without rules. Nothing is matched by shape.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polymodal.models.fusion import FeatureFusion, Fusion
from polymodal.utils.records import JsonObject


@dataclass(frozen=True)
class Meaning:
    """What identifies a tensor across fusions of different inputs.

    Attributes:
        name: The pattern of its name, and what its wildcards match, with inputs by name.
        blocks: By dimension the inputs of its blocks, in order; empty where it has none.
    """

    name: tuple[str, ...]
    blocks: Mapping[int, Sequence[str]]


def meanings(fusion: FeatureFusion) -> dict[str, Meaning]:
    """The meaning of each tensor of ``fusion`` that its rules know, by the tensor's name."""
    inner = fusion.fusion
    assert inner is not None
    result = {}
    for tensor in inner.state_dict():
        for pattern, dimensions in inner.tensor_rules.items():
            match = re.fullmatch(_regex(pattern), tensor)
            if match:
                result[f"fusion.{tensor}"] = _meaning(inner, pattern, dimensions, match)
                break
    return result


def _meaning(fusion: Fusion, pattern: str, dimensions: Sequence[int], match: re.Match[str]) -> Meaning:
    parts, where = list(match.groups()), match.re.groupindex
    inputs: Sequence[str] = fusion.inputs
    if "input" in where:
        own = parts[where["input"] - 1] = fusion.inputs[int(match["input"])]
        read = getattr(fusion, "sources", {}).get(own, [])
        inputs = [group[0] if len(group) == 1 else "all others" for group in read]
        if "source" in where:
            parts[where["source"] - 1] = inputs[int(match["source"])]
    return Meaning((pattern, *parts), dict.fromkeys(dimensions, tuple(inputs)))


def _regex(pattern: str) -> str:
    text = re.escape(pattern).replace(re.escape("<input>"), r"(?P<input>\d+)")
    text = text.replace(re.escape("<source>"), r"(?P<source>\d+)")
    return text.replace(re.escape("#"), r"(\d+)").replace(re.escape("*"), r"(.*)")


def is_like(one: FeatureFusion, other: FeatureFusion) -> bool:
    """Whether two fusions are equal but for their inputs and their dropout, defaults included."""
    return (one.name, one.width) == (other.name, other.width) and _options(one) == _options(other)


def _options(fusion: FeatureFusion) -> JsonObject:
    parameters = inspect.signature(type(fusion.fusion)).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "width"}
    return {**defaults, **fusion.options, "dropout": None}
