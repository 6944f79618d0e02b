"""Numbers: one token per cell; a column has its own encoder, since equal values mean different things."""

from __future__ import annotations

from torch import Tensor, nn

from polymodal.data.readers import NumberReader, Reader
from polymodal.models.encoders.base import ENCODERS, Encoder, EncoderRequest, single_tokens
from polymodal.models.outputs import TokenSequence
from polymodal.utils.records import Settings


@ENCODERS.register("number")
class NumberEncoder(Encoder):
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

    @classmethod
    def from_reader(cls, reader: Reader, request: EncoderRequest) -> NumberEncoder:
        """See :class:`Encoder`."""
        assert isinstance(reader, NumberReader)
        return cls(features=reader.features, **request.options)

    def settings(self) -> Settings:
        """See :meth:`Encoder.settings`."""
        return {"features": self.features, "width": self.width}

    def forward(self, *, row: Tensor, value: Tensor) -> TokenSequence:
        """Encode ``value`` ``(items, features)``."""
        return single_tokens(self.net(value.to(next(self.net.parameters()).dtype)), row)
