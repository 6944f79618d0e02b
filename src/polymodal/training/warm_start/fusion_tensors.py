"""Which tensor of one fusion means the same as which of another that has other inputs.

Of two fusions alike in name, width and options every tensor means the same where their inputs are the same,
in the same order. Where inputs were added or dropped, a tensor means the same that has the same
:class:`Meaning`:

- its name, once the places of inputs in it are replaced by their names;
- and, where a dimension has one stretch an input (a *block*), the inputs of these stretches: then the
  stretches of those inputs that both have are the same, and the others have no counterpart.

A tensor that :data:`RULES` does not name hangs on all inputs at once (the weights over the product of
``tensor``) and has no counterpart. Nothing is ever matched by its shape.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polymodal.models.fusion import FeatureFusion, Fusion

RULES: dict[str, dict[str, tuple[int, ...]]] = {
    "concat": {"net.0.weight": (1,), "net.0.bias": (), "net.3.*": ()},
    "sum": {"project.<input>.weight": (), "project.0.bias": ()},  # one bias of the sum
    "gated": {"value.<input>.*": (), "gate.weight": (0, 1), "gate.bias": (0,)},
    "tensor": {"reduce.<input>.*": ()},
    "low_rank": {"factors.<input>.*": (), "norm.*": ()},
    "transformer": {"*": ()},
    "bottleneck": {"query": (0,), "bottleneck": (), "layers.#.<input>.*": (), "norm.*": ()},
    "cross_attention": {
        "streams.<input>.cross.<source>.*": (),
        "streams.<input>.combine.weight": (1,),
        "streams.<input>.combine.bias": (),
        "streams.<input>.own.*": (),
        "norm.*": (),
        "out.weight": (1,),
        "out.bias": (),
    },
    "perceiver": {"*": ()},
}
"""By fusion the names of its tensors and the dimensions that have a block an input.

``<input>`` is the place of an input, ``<source>`` that of what it reads, ``#`` any number, ``*`` any rest.
Blocks within the stream of an input are those of its sources.
"""


@dataclass(frozen=True)
class Meaning:
    """What a tensor stands for.

    Attributes:
        name: Its own, with inputs by name.
        blocks: By dimension the inputs of its stretches, in order; empty where it has none.
    """

    name: tuple[str, ...]
    blocks: Mapping[int, Sequence[str]]


def meanings(fusion: FeatureFusion) -> dict[str, Meaning]:
    """What each tensor of ``fusion`` stands for, by its name there; of those that :data:`RULES` knows."""
    inner = fusion.fusion
    assert inner is not None
    found = {}
    for tensor in inner.state_dict():
        for pattern, dimensions in RULES.get(fusion.name, {}).items():
            match = re.fullmatch(_regex(pattern), tensor)
            if match:
                found[f"fusion.{tensor}"] = _meaning(inner, pattern, dimensions, match)
                break
    return found


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
    """Whether two fusions differ in nothing but their inputs and their dropout, defaults filled in."""
    return (one.name, one.width) == (other.name, other.width) and _options(one) == _options(other)


def _options(fusion: FeatureFusion) -> dict[str, Any]:
    parameters = inspect.signature(type(fusion.fusion)).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "width"}
    return {**defaults, **fusion.options, "dropout": None}
