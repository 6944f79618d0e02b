"""Late fusions: each input is pooled to one vector first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from polymodal.models.fusion.base import FUSIONS, Fusion, masked_mean
from polymodal.models.outputs import EmbeddedInput, FusedState


@FUSIONS.register("concat")
class ConcatFusion(Fusion):
    """Late fusion by concatenation: the inputs' mean vectors, then a network of one hidden layer.

    Args:
        dropout: Before the last layer.
    """

    tensor_rules = {"net.0.weight": (1,), "net.0.bias": (), "net.3.*": ()}

    def __init__(self, inputs: Sequence[str], *, width: int, dropout: float = 0.1) -> None:
        super().__init__(inputs, width=width)
        self.net = nn.Sequential(
            nn.Linear(len(self.inputs) * width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
        )

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> FusedState:
        """Fuse the embedded inputs to a pooled state without tokens: see :meth:`Fusion.forward`."""
        vectors = [masked_mean(embedded[name].tokens, embedded[name].mask) for name in self.inputs]
        return FusedState(self.net(torch.cat(vectors, dim=-1)))


@FUSIONS.register("sum")
class SumFusion(Fusion):
    """Additive fusion ``h = b + Σ_i W_i x_i`` of the inputs' mean vectors (Liang et al. 2024, section 3.1).

    The inputs do not interact: under a linear head their contributions to each logit add up.

    Args:
        dropout: On the inputs' vectors.
    """

    tensor_rules = {"project.<input>.weight": (), "project.0.bias": ()}  # the sum has one bias

    def __init__(self, inputs: Sequence[str], *, width: int, dropout: float = 0.1) -> None:
        super().__init__(inputs, width=width)
        self.project = nn.ModuleList(
            nn.Linear(width, width, bias=index == 0) for index, _ in enumerate(self.inputs)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> FusedState:
        """Fuse the embedded inputs to a pooled state without tokens: see :meth:`Fusion.forward`."""
        vectors = [masked_mean(embedded[name].tokens, embedded[name].mask) for name in self.inputs]
        votes = [project(self.dropout(x)) for project, x in zip(self.project, vectors, strict=True)]
        return FusedState(torch.stack(votes).sum(dim=0))


@FUSIONS.register("gated")
class GatedFusion(Fusion):
    """Gated multimodal unit: ``h = Σ_i σ(W_i [x_1 … x_n]) · tanh(V_i x_i)`` (Arevalo et al. 2017, sec. 3.1).

    Args:
        dropout: Before the gates.
    """

    tensor_rules = {"value.<input>.*": (), "gate.weight": (0, 1), "gate.bias": (0,)}

    def __init__(self, inputs: Sequence[str], *, width: int, dropout: float = 0.1) -> None:
        super().__init__(inputs, width=width)
        self.value = nn.ModuleList(nn.Linear(width, width) for _ in self.inputs)
        self.gate = nn.Linear(len(self.inputs) * width, len(self.inputs) * width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> FusedState:
        """Fuse the embedded inputs to a pooled state without tokens: see :meth:`Fusion.forward`."""
        vectors = [masked_mean(embedded[name].tokens, embedded[name].mask) for name in self.inputs]
        values = torch.stack([value(x).tanh() for value, x in zip(self.value, vectors, strict=True)], dim=1)
        gates = self.gate(self.dropout(torch.cat(vectors, dim=-1))).sigmoid().view_as(values)
        return FusedState((gates * values).sum(dim=1))
