"""Dates: one token per cell; a column has its own encoder."""

from __future__ import annotations

from torch import Tensor, nn

from polymodal.models.encoders.base import ENCODERS, Encoder, single_tokens
from polymodal.models.outputs import TokenSequence
from polymodal.utils.records import Settings


@ENCODERS.register("date")
class DateEncoder(Encoder):
    """A small network over the calendar numbers of a date, standardized and on circles.

    A cyclic number, such as the month, is given as its sine and cosine too, so that December is next to
    January. The processor makes the numbers.

    Args:
        features: How many there are.
        width: Width of the token.
    """

    modality = "date"
    even = True

    def __init__(self, *, features: int = 11, width: int = 32) -> None:
        super().__init__()
        self.features, self.width = features, width
        self.net = nn.Sequential(
            nn.Linear(features, width), nn.ReLU(), nn.Linear(width, width), nn.LayerNorm(width)
        )

    def settings(self) -> Settings:
        """See :meth:`Encoder.settings`."""
        return {"features": self.features, "width": self.width}

    def forward(self, *, row: Tensor, value: Tensor) -> TokenSequence:
        """Encode ``value`` ``(items, features)``."""
        return single_tokens(self.net(value.to(next(self.net.parameters()).dtype)), row)
