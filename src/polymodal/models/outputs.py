"""What the rooms of a model hand to each other."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from transformers.utils import ModelOutput


@dataclass
class TokenSequence:
    """What an encoder returns: one entry an item, and an item is a picture, a text, a cell.

    Attributes:
        tokens: ``(items, length, width)``.
        mask: ``(items, length)`` bool, true on content.
        row: ``(items,)`` the row of the batch that each item belongs to, in ascending order.
        grid: The shape the tokens lie in: ``(length,)``, ``(rows, columns)`` or ``(frames, rows, columns)``.
        present: ``(batch, slots)`` bool, where every row has so many items and some are blank; None where
            only items that are there were encoded.
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


@dataclass
class FusedState:
    """What a fusion returns.

    Attributes:
        pooled: ``(batch, width)`` one vector a row.
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
        loss: The targets' losses together, a scalar; None without targets.
        logits: What each head says, by target: ``(batch, classes)``, or ``(batch, 1)`` for a number.
        embeddings: Each input's mean vector in the shared width, ``(batch, width)``; of a model that learned
            to compare inputs its unit vector in the shared space, ``(batch, space)``.
        fused: ``(batch, width)`` the fused vector.
        losses: Each target's and each objective's own loss, by name, and the objectives' parts.
        parts: In evaluation each objective's loss and its parts, repeated for every row ``(batch,)``; NaN
            where the batch says nothing of it.
        present: ``(batch, inputs)`` bool, which inputs each row has.
    """

    loss: Tensor | None = None
    logits: dict[str, Tensor] | None = None
    embeddings: dict[str, Tensor] | None = None
    fused: Tensor | None = None
    losses: dict[str, Tensor] | None = None
    parts: dict[str, Tensor] | None = None
    present: Tensor | None = None
