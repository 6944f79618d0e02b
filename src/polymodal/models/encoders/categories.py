"""Sets of categories: one token per cell; a column has its own encoder."""

from __future__ import annotations

from torch import Tensor, nn

from polymodal.models.encoders.base import ENCODERS, Encoder, single_tokens
from polymodal.models.outputs import TokenSequence
from polymodal.utils.records import Settings


@ENCODERS.register("categories")
class CategoriesEncoder(Encoder):
    """The sum of a learned vector per label (a bag of embeddings), and how many labels there are.

    A label that training never saw counts, and adds nothing else; a cell without labels has a token too.

    Args:
        categories: Number of known labels.
        width: Width of the token.
    """

    modality = "categories"
    even = True

    def __init__(self, *, categories: int, width: int = 32) -> None:
        super().__init__()
        self.categories, self.width = categories, width
        self.embed = nn.Embedding(categories, width)
        self.total = nn.Linear(1, width)

    def settings(self) -> Settings:
        """See :meth:`Encoder.settings`."""
        return {"categories": self.categories, "width": self.width}

    def forward(self, *, row: Tensor, value: Tensor) -> TokenSequence:
        """Encode ``value`` ``(items, categories + 1)``: the number of unknown labels, then 1 per label."""
        value = value.to(self.embed.weight.dtype)
        labels = value.sum(dim=1, keepdim=True)
        return single_tokens(value[:, 1:] @ self.embed.weight + self.total(labels.log1p()), row)
