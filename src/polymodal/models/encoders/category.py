"""Categories: one token per cell; a column has its own encoder."""

from __future__ import annotations

from torch import Tensor, nn

from polymodal.data.readers import CategoryReader, Reader
from polymodal.models.encoders.base import ENCODERS, Encoder, EncoderRequest, single_tokens
from polymodal.models.outputs import TokenSequence
from polymodal.utils.records import Settings


@ENCODERS.register("category")
class CategoryEncoder(Encoder):
    """One learned vector per category; zero for categories that training never saw.

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

    @classmethod
    def from_reader(cls, reader: Reader, request: EncoderRequest) -> CategoryEncoder:
        """See :class:`Encoder`."""
        assert isinstance(reader, CategoryReader)
        return cls(categories=len(reader.categories), **request.options)

    def settings(self) -> Settings:
        """See :meth:`Encoder.settings`."""
        return {"categories": self.categories, "width": self.width}

    def forward(self, *, row: Tensor, value: Tensor) -> TokenSequence:
        """Encode ``value`` ``(items,)``: 0 for an unknown category, else its index from 1."""
        return single_tokens(self.embed(value), row)
