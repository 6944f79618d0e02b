"""Numbers and categories: one token a cell."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polymodal.models.encoders.base import ENCODERS, Encoder
from polymodal.models.outputs import TokenSequence
from polymodal.utils.records import Settings


class TableEncoder(Encoder):
    """Base of the encoders of a table's cells; a column has its own, for three rooms are not three metres."""

    def sequence(self, tokens: Tensor, row: Tensor) -> TokenSequence:
        """``tokens`` ``(items, width)`` as sequences of length one."""
        mask = torch.ones(len(tokens), 1, dtype=torch.bool, device=tokens.device)
        return TokenSequence(tokens.unsqueeze(1), mask, row, (1,))


@ENCODERS.register("number")
class NumberEncoder(TableEncoder):
    """A number as a piecewise linear code and its own value, then a small network.

    The code of a number in the t-th of T quantile bins is 1 for the bins below, the share of the way
    through for its own, 0 above (PLE; Gorishniy et al. 2022, equation 1). The processor makes it.

    Args:
        features: Length of the code: the bins and one for the standardized value.
        width: Width of the token.
    """

    modality = "number"
    even = True

    def __init__(self, *, features: int = 9, width: int = 32) -> None:
        super().__init__()
        self.features, self.width = features, width
        self.net = nn.Sequential(
            nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.LayerNorm(width)
        )

    def settings(self) -> Settings:
        """See :meth:`Encoder.settings`."""
        return {"features": self.features, "width": self.width}

    def forward(self, *, row: Tensor, value: Tensor) -> TokenSequence:  # type: ignore[override]
        """Encode ``value`` ``(items, features)``."""
        return self.sequence(self.net(value.to(next(self.net.parameters()).dtype)), row)


@ENCODERS.register("category")
class CategoryEncoder(TableEncoder):
    """A learned vector for each category; zero for categories that training never saw.

    Args:
        categories: Number of known categories.
        width: Width of the token.
    """

    modality = "category"
    even = True

    def __init__(self, *, categories: int, width: int = 32) -> None:
        super().__init__()
        self.categories, self.width = categories, width
        # Training never sees an unknown category: its vector stays zero, neither noise nor another's.
        self.embed = nn.Embedding(categories + 1, width, padding_idx=0)

    def settings(self) -> Settings:
        """See :meth:`Encoder.settings`."""
        return {"categories": self.categories, "width": self.width}

    def forward(self, *, row: Tensor, value: Tensor) -> TokenSequence:  # type: ignore[override]
        """Encode ``value`` ``(items,)``: 0 for an unknown category, else its place from 1."""
        return self.sequence(self.embed(value), row)
