"""The shared space: each input as one unit vector that may be compared with those of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from polymodal.models.fusion.base import masked_mean
from polymodal.models.outputs import EmbeddedInput


class SharedSpace(nn.Module):
    """The mean of an input's tokens, projected and brought to length 1 (CLIP; Radford et al. 2021, figure 3).

    The embedding has projected the tokens before. From few rows two such layers one behind the other learn
    what holds for these alone; without a second the mean of the embedded tokens is the vector.

    Args:
        inputs: Their names, in declared order.
        width: Of the embedded tokens.
        space: Of the vectors.
        projection: Whether each input has one here; else ``space`` is ``width``.
    """

    def __init__(self, inputs: Sequence[str], *, width: int, space: int, projection: bool = True) -> None:
        super().__init__()
        self.inputs = list(inputs)
        self.project = nn.ModuleList(
            nn.Linear(width, space, bias=False) if projection else nn.Identity() for _ in self.inputs
        )

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> dict[str, Tensor]:
        """``(batch, space)`` by input; that of a row without the input means nothing."""
        return {
            name: F.normalize(project(masked_mean(embedded[name].tokens, embedded[name].mask)), dim=-1)
            for name, project in zip(self.inputs, self.project, strict=True)
        }
