"""Projection of each input to one unit vector of a space shared by all inputs (as in CLIP)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from polymodal.models.fusion.base import masked_mean
from polymodal.models.outputs import EmbeddedInput


class SharedSpace(nn.Module):
    """The mean of an input's tokens, projected and normalized (CLIP; Radford et al. 2021, figure 3).

    The embedding has already projected the tokens. With few rows a second linear layer overfits; without it
    the vector is the normalized mean of the embedded tokens.

    Args:
        inputs: Names of the inputs, in declared order.
        width: Width of the embedded tokens.
        space: Width of the vectors.
        projection: Whether each input is projected here; otherwise ``space`` equals ``width``.
    """

    def __init__(self, inputs: Sequence[str], *, width: int, space: int, projection: bool = True) -> None:
        super().__init__()
        self.inputs = list(inputs)
        self.project = nn.ModuleList(
            nn.Linear(width, space, bias=False) if projection else nn.Identity() for _ in self.inputs
        )

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> dict[str, Tensor]:
        """Unit vectors ``(batch, space)`` per input; undefined for rows without the input."""
        return {
            name: F.normalize(project(masked_mean(embedded[name].tokens, embedded[name].mask)), dim=-1)
            for name, project in zip(self.inputs, self.project, strict=True)
        }
