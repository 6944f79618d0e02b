"""BERT's embedding (Devlin et al. 2019) for every modality: content + position + segment, then LayerNorm.

BERT adds word, position and segment embeddings. Here the tokens of any encoder, projected to the shared
width, replace the word embedding; the position has one table per axis (one for text and audio, two for
images, three for video); the segment encodes which input a token came from; and an input that a row does not
have is one learned token. With BERT's own tables this is exactly BERT's sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from polymodal.models.outputs import EmbeddedInput, TokenSequence


@dataclass(frozen=True)
class EmbeddingInput:
    """What the embedding needs to know about an input.

    Attributes:
        name: Name of the input.
        encoder: Index of its encoder; inputs of one encoder share projection and positions.
        width: Width of that encoder's tokens.
        axes: Number of dimensions of that encoder's grid.
        tokens: Largest number of tokens per item.
    """

    name: str
    encoder: int
    width: int
    axes: int = 1
    tokens: int = 64


class MultimodalEmbedding(nn.Module):
    """``LayerNorm(projection(content) + Σ_axis position[axis] + segment[input])``, then dropout.

    Args:
        inputs: In declared order; equal ``encoder`` numbers share projection and positions.
        width: The shared width. Encoder tokens that already have this width are not projected.
        dropout: Applied to the normalized sum.
        eps: Epsilon of the LayerNorm.
    """

    def __init__(
        self, inputs: Sequence[EmbeddingInput], *, width: int, dropout: float = 0.1, eps: float = 1e-12
    ) -> None:
        super().__init__()
        self.inputs, self.width = list(inputs), width
        encoders = {entry.encoder: entry for entry in inputs}
        self.project = nn.ModuleDict(
            {str(key): self._projection(entry.width) for key, entry in encoders.items()}
        )
        self.position = nn.ModuleDict(
            {
                str(key): nn.ModuleList(nn.Embedding(entry.tokens, width) for _ in range(entry.axes))
                for key, entry in encoders.items()
            }
        )
        self.segment = nn.Embedding(len(self.inputs), width)
        self.missing = nn.Embedding(len(self.inputs), width)
        self.norm = nn.LayerNorm(width, eps=eps)
        self.dropout = nn.Dropout(dropout)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize all tables from a normal distribution of standard deviation 0.02, as in BERT."""
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)

    def forward(
        self,
        sequences: Mapping[str, TokenSequence],
        rows: int,
        idle: Mapping[str, TokenSequence] | None = None,
    ) -> dict[str, EmbeddedInput]:
        """Embed the token sequences of a batch.

        Args:
            sequences: By input; an input that no row has may be absent.
            rows: Number of rows of the batch.
            idle: Sequences of blank items of no row: they do not change the result, but give their encoders
                gradients of zero, so that all processes can step together.

        Returns:
            By input, in declared order: tokens ``(rows, length, width)``, mask and presence.
        """
        embedded = {}
        for index, entry in enumerate(self.inputs):
            segment = self.segment.weight[index]
            empty = self._empty(index)
            sequence = sequences.get(entry.name)
            if sequence is not None:
                tokens, mask, present = self._lay(entry, sequence, segment, rows)
            else:
                tokens, mask, present = self._nothing(rows)
                if idle and entry.name in idle:
                    content = self._content(entry, idle[entry.name], segment)
                    tokens = content.mean(dim=(0, 1)).expand_as(tokens)  # replaced by the missing token below
            made = fill_missing(empty, EmbeddedInput(tokens, mask, present))
            embedded[entry.name] = EmbeddedInput(self.dropout(made.tokens), made.mask, present)
        return embedded

    def lacking(
        self, embedded: Mapping[str, EmbeddedInput], lacks: Mapping[str, Tensor]
    ) -> dict[str, EmbeddedInput]:
        """Replace inputs by their missing token: those in ``lacks``, where ``(batch,)`` is true."""
        made = dict(embedded)
        for index, entry in enumerate(self.inputs):
            if entry.name in lacks:
                whole, stays = embedded[entry.name], ~lacks[entry.name]
                there = EmbeddedInput(whole.tokens, whole.mask & stays.unsqueeze(1), whole.present & stays)
                made[entry.name] = fill_missing(self._empty(index), there)
        return made

    def _empty(self, index: int) -> Tensor:
        """The embedded missing token ``(width,)`` of an input."""
        return self.norm(self.missing.weight[index] + self.segment.weight[index])

    def _content(self, entry: EmbeddingInput, sequence: TokenSequence, segment: Tensor) -> Tensor:
        """The embedded items of an input, ``(items, length, width)``."""
        content = self.project[str(entry.encoder)](sequence.tokens)
        return self.norm(content + self._positions(entry, sequence.grid) + segment)

    def _lay(
        self, entry: EmbeddingInput, sequence: TokenSequence, segment: Tensor, rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The embedded items of an input, laid out by row, with mask and presence."""
        content = self._content(entry, sequence, segment)
        if sequence.present is None:
            return lay_out(content, sequence.mask, sequence.row, rows)
        mask = sequence.mask.view(rows, -1, content.shape[1]) & sequence.present.unsqueeze(2)
        return content.view(rows, -1, self.width), mask.flatten(1), sequence.present.any(dim=1)

    def _projection(self, width: int) -> nn.Module:
        return nn.Identity() if width == self.width else nn.Linear(width, self.width)

    def _positions(self, entry: EmbeddingInput, grid: tuple[int, ...]) -> Tensor:
        """The sum of the position tables of all axes over ``grid``, ``(length, width)``."""
        tables: Any = self.position[str(entry.encoder)]  # one nn.Embedding per axis
        total = self.segment.weight.new_zeros(*grid, self.width)
        for axis, (table, size) in enumerate(zip(tables, grid, strict=True)):
            shape = [1] * len(grid) + [self.width]
            shape[axis] = size
            total = total + table.weight[:size].view(shape)
        return total.flatten(0, -2)

    def _nothing(self, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        weight = self.segment.weight
        mask = torch.zeros(rows, 1, dtype=torch.bool, device=weight.device)
        return weight.new_zeros(rows, 1, self.width), mask, mask[:, 0]


def lay_out(tokens: Tensor, mask: Tensor, row: Tensor, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Lay out items by row; the items of one row are concatenated.

    Args:
        tokens: ``(items, length, width)``.
        mask: ``(items, length)``.
        row: ``(items,)`` ascending.
        rows: Number of rows of the batch.

    Returns:
        tokens ``(rows, slots · length, width)``, mask ``(rows, slots · length)``, present ``(rows,)``.
    """
    items, length, width = tokens.shape
    count = torch.bincount(row, minlength=rows)
    slots = int(count.max()) if items else 1
    if items == rows and slots == 1:  # every row has exactly one item
        return tokens, mask, count > 0
    first = count.cumsum(0) - count
    slot = torch.arange(items, device=row.device) - first[row]
    laid = tokens.new_zeros(rows, slots, length, width).index_put((row, slot), tokens)
    laid_mask = mask.new_zeros(rows, slots, length).index_put((row, slot), mask)
    return laid.flatten(1, 2), laid_mask.flatten(1, 2), count > 0


def fill_missing(empty: Tensor, entry: EmbeddedInput) -> EmbeddedInput:
    """Put the learned missing token at position 0 of rows without this input, and unmask it.

    Args:
        empty: ``(width,)`` the missing token.
        entry: The embedded input of all rows.
    """
    is_first = torch.arange(entry.mask.shape[1], device=entry.mask.device) == 0
    first = is_first & ~entry.present.unsqueeze(1)  # (rows, length)
    tokens = torch.where(first.unsqueeze(-1), empty.to(entry.tokens.dtype), entry.tokens)
    return EmbeddedInput(tokens, entry.mask | first, entry.present)
