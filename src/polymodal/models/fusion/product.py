"""Fusions by outer products of the inputs' vectors: in full (TFN), or factorized (LMF)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from polymodal.models.fusion.base import FUSIONS, Fusion, masked_mean, require_positive
from polymodal.models.outputs import EmbeddedInput, FusedState


@FUSIONS.register("tensor")
class TensorFusion(Fusion):
    """Tensor fusion: the outer product ``⊗_m [1; z_m]`` (TFN; Zadeh et al. 2017, equation 4), then a network.

    The product of n inputs of ``size`` entries has ``(size + 1)^n`` features. To keep it below ``limit`` for
    any number of inputs, each mean vector is first reduced, ``z_m = tanh(V_m norm(x_m))``, to the largest
    size that allows it: with 4096, 63 entries of each of two inputs, 15 of three, 3 of six. The ``tanh``
    (in the paper: a ReLU network) bounds the products of many entries by one.

    Args:
        limit: Largest number of features of the product.
        dropout: On the product.

    Raises:
        ValueError: If the limit leaves no entry for each input (4096 does for twelve of them).
    """

    tensor_rules = {"reduce.<input>.*": ()}

    def __init__(self, inputs: Sequence[str], *, width: int, limit: int = 4096, dropout: float = 0.1) -> None:
        super().__init__(inputs, width=width)
        self.size = bounded_size(limit, len(self.inputs), width)
        self.reduce = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, self.size), nn.Tanh()) for _ in self.inputs
        )
        self.net = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear((self.size + 1) ** len(self.inputs), width),
            nn.GELU(),
            nn.Linear(width, width),
        )

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> FusedState:
        """Fuse the embedded inputs to a pooled state without tokens: see :meth:`Fusion.forward`."""
        vectors = [masked_mean(embedded[name].tokens, embedded[name].mask) for name in self.inputs]
        small = [layer(x) for layer, x in zip(self.reduce, vectors, strict=True)]
        return FusedState(self.net(outer_product([F.pad(z, (1, 0), value=1.0) for z in small])))


@FUSIONS.register("low_rank")
class LowRankFusion(Fusion):
    """Low-rank tensor fusion: ``h = Σ_r Π_m W_m^(r) [1; x_m]`` (LMF; Liu et al. 2018, section 3.2).

    The outer product is never computed, so the cost is linear in the number of inputs. The weights of the
    ones start at one and the others with variance ``1 / (n · width)``: for unit vectors the expected square
    of the product is then ``(1 + 1/n)^n``, below e, so that it neither vanishes nor explodes with many
    inputs. A LayerNorm (not in the paper) follows the sum, which otherwise starts near ``rank``.

    Args:
        rank: Number of terms of the sum.
        dropout: On the inputs' vectors.
    """

    tensor_rules = {"factors.<input>.*": (), "norm.*": ()}

    def __init__(self, inputs: Sequence[str], *, width: int, rank: int = 8, dropout: float = 0.1) -> None:
        super().__init__(inputs, width=width)
        require_positive(rank=rank)
        self.rank = rank
        # A bias is the weight of the one that is prepended to each vector.
        factors = [nn.Linear(width, rank * width) for _ in self.inputs]
        for factor in factors:
            nn.init.normal_(factor.weight, std=(len(self.inputs) * width) ** -0.5)
            nn.init.ones_(factor.bias)
        self.factors = nn.ModuleList(factors)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> FusedState:
        """Fuse the embedded inputs to a pooled state without tokens: see :meth:`Fusion.forward`."""
        vectors = [masked_mean(embedded[name].tokens, embedded[name].mask) for name in self.inputs]
        return FusedState(self.norm(self.contract([self.dropout(x) for x in vectors])))

    def contract(self, vectors: Sequence[Tensor]) -> Tensor:
        """The sum of products ``(batch, width)`` of the inputs' vectors, ``(batch, width)`` each."""
        factors = [factor(x) for factor, x in zip(self.factors, vectors, strict=True)]
        return reduce(torch.mul, factors).unflatten(-1, (self.rank, self.width)).sum(dim=1)


def bounded_size(limit: int, inputs: int, most: int) -> int:
    """The largest ``size`` up to ``most`` with ``(size + 1)^inputs ≤ limit``.

    Raises:
        ValueError: If there is none.
    """
    fitting = [size for size in range(1, most + 1) if (size + 1) ** inputs <= limit]
    if not fitting:
        raise ValueError(f"the product of {inputs} inputs has {2**inputs} features or more, limit is {limit}")
    return fitting[-1]


def outer_product(vectors: Sequence[Tensor]) -> Tensor:
    """The flattened outer product of vectors ``(batch, size_m)``: ``(batch, Π size_m)``."""
    return reduce(lambda product, x: (product.unsqueeze(-1) * x.unsqueeze(1)).flatten(1), vectors)
