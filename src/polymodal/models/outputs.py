"""The data passed between the parts of a model: token sequences, embedded inputs, fused state, output."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.utils import ModelOutput


@dataclass
class TokenSequence:
    """What an encoder returns: one entry per item (an image, a text, a cell).

    Attributes:
        tokens: ``(items, length, width)``.
        mask: ``(items, length)`` bool, true on content.
        row: ``(items,)`` the row of the batch that each item belongs to, in ascending order.
        grid: The shape the tokens lie in: ``(length,)``, ``(rows, columns)`` or ``(frames, rows, columns)``.
        present: ``(batch, slots)`` bool, where every row has equally many items, some blank; None where
            only existing items were encoded.
    """

    tokens: Tensor
    mask: Tensor
    row: Tensor
    grid: tuple[int, ...]
    present: Tensor | None = None


@dataclass
class EmbeddedInput:
    """One input of the whole batch in the shared space.

    Attributes:
        tokens: ``(batch, length, width)``; a row without the input holds one learned token.
        mask: ``(batch, length)`` bool, true on content and on the learned token.
        present: ``(batch,)`` bool, true where the row has the input.
    """

    tokens: Tensor
    mask: Tensor
    present: Tensor

    def pick(self, rows: Tensor) -> EmbeddedInput:
        """Some rows ``(picked,)`` of the input."""
        rows = rows.to(self.tokens.device)
        return EmbeddedInput(self.tokens[rows], self.mask[rows], self.present[rows])

    def replaced(self, where: Tensor, by: EmbeddedInput) -> EmbeddedInput:
        """The rows of ``by`` where ``where`` ``(batch,)`` is true, else its own; padded to one length."""
        length = max(self.tokens.shape[1], by.tokens.shape[1])
        (tokens, mask), (other, other_mask) = by.padded(length), self.padded(length)
        where = where.to(tokens.device)
        return EmbeddedInput(
            torch.where(where[:, None, None], tokens, other),
            torch.where(where[:, None], mask, other_mask),
            torch.where(where, by.present, self.present),
        )

    def beside(self, other: EmbeddedInput) -> EmbeddedInput:
        """These rows, then those of ``other``; padded to one length."""
        length = max(self.tokens.shape[1], other.tokens.shape[1])
        (tokens, mask), (more, its_mask) = self.padded(length), other.padded(length)
        present = torch.cat([self.present, other.present])
        return EmbeddedInput(torch.cat([tokens, more]), torch.cat([mask, its_mask]), present)

    @property
    def nbytes(self) -> int:
        """Bytes of the tokens."""
        return self.tokens.nbytes

    def padded(self, length: int) -> tuple[Tensor, Tensor]:
        """Tokens and mask, padded to ``length``."""
        behind = length - self.tokens.shape[1]
        return F.pad(self.tokens, (0, 0, 0, behind)), F.pad(self.mask, (0, behind))


@dataclass
class FusedState:
    """What a fusion returns.

    Attributes:
        pooled: ``(batch, width)`` one vector per row.
        tokens: ``(batch, length, width)``, or None where the fusion keeps no tokens.
        mask: ``(batch, length)`` bool, true on content, or None.
        spans: The slice of ``tokens`` that came from each input.
    """

    pooled: Tensor
    tokens: Tensor | None = None
    mask: Tensor | None = None
    spans: dict[str, slice] | None = None


@dataclass
class PolymodalOutput(ModelOutput):
    """What a model returns.

    Attributes:
        loss: The joint loss of targets and objectives, a scalar; None without either.
        logits: By target: ``(batch, classes)``, or ``(batch, 1)`` for a number.
        embeddings: By input its mean vector in the shared width, ``(batch, width)``; of a model with a shared
            space its unit vector there, ``(batch, space)``.
        fused: ``(batch, width)`` the fused vector.
        losses: By name the loss of each target and each objective, and the parts of the objectives.
        parts: In evaluation each objective's loss and its parts, repeated for every row ``(batch,)``; NaN
            where the batch does not define it.
        present: ``(batch, inputs)`` bool, which inputs each row has.
    """

    loss: Tensor | None = None
    logits: dict[str, Tensor] | None = None
    embeddings: dict[str, Tensor] | None = None
    fused: Tensor | None = None
    losses: dict[str, Tensor] | None = None
    parts: dict[str, Tensor] | None = None
    present: Tensor | None = None
