"""A batch for the objectives, whole or in pieces; they share one forward pass of the encoders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedConfig

from polymodal.models.base import Inputs
from polymodal.models.embedding import MultimodalEmbedding
from polymodal.models.encoders import Encoder
from polymodal.models.fusion import FeatureFusion
from polymodal.models.outputs import EmbeddedInput, FusedState, TokenSequence
from polymodal.models.projection import SharedSpace
from polymodal.utils.module_lists import ModuleListOf


class ObjectiveModel(Protocol):
    """What objectives use of a model: encoders, embedding, shared space and fusion (no heads).

    Attributes:
        config: The model's configuration.
        training: Whether it is in training mode.
        encoders: Its encoders, in order.
        encoder_of: By input the index of its encoder.
        embedding: From token sequences to embedded inputs.
        fusion: From embedded inputs to the fused state.
        space: The projections to the shared space, if it has one.
    """

    training: bool
    encoders: ModuleListOf[Encoder]
    encoder_of: dict[str, int]
    embedding: MultimodalEmbedding
    fusion: FeatureFusion
    space: SharedSpace | None

    @property
    def config(self) -> PreTrainedConfig: ...

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """All weights of the model."""

    def embed(self, index: Tensor, inputs: Inputs) -> dict[str, EmbeddedInput]:
        """Encode and embed a batch."""

    def encode(
        self, index: Tensor, inputs: Inputs
    ) -> tuple[dict[str, TokenSequence], dict[str, TokenSequence]]:
        """Encode a batch: token sequences of the items, and of blank items of no row."""

    def vectors(self, embedded: Mapping[str, EmbeddedInput]) -> dict[str, Tensor]:
        """One vector ``(batch, space)`` per input."""


@dataclass
class View:
    """The rows of a batch.

    Attributes:
        index: ``(batch,)`` numbers of the rows.
        inputs: See :data:`polymodal.models.base.Inputs`.
        contents: By input ``(batch,)`` int64, equal where two rows have the same content.
        draws: ``(batch,)`` int64, the seed of each row: see :mod:`polymodal.models.objectives.row_rng`.
        piece: Rows that may go through the encoders at once; None for all.
    """

    index: Tensor
    inputs: Inputs
    contents: Mapping[str, Tensor]
    draws: Tensor
    piece: int | None = None
    _embedded: dict[str, EmbeddedInput] | None = field(default=None, repr=False)
    _state: FusedState | None = field(default=None, repr=False)

    def embedded(self, model: ObjectiveModel) -> dict[str, EmbeddedInput]:
        """The embedded inputs, computed once."""
        if self._embedded is None:
            self._embedded = model.embed(self.index, self.inputs)
        return self._embedded

    def state(self, model: ObjectiveModel) -> FusedState:
        """The fused state, computed once."""
        if self._state is None:
            self._state = model.fusion(self.embedded(model))
        return self._state

    def pieces(self) -> list[View]:
        """The same rows, ``piece`` at a time."""
        rows = len(self.index)
        size = self.piece or rows
        if size >= rows:
            return [self]
        return [self._part(start, min(start + size, rows)) for start in range(0, rows, size)]

    def _part(self, start: int, stop: int) -> View:
        rows = slice(start, stop)
        return View(
            self.index[rows],
            {name: some_rows(values, start, stop) for name, values in self.inputs.items()},
            {name: numbers[rows] for name, numbers in self.contents.items()},
            self.draws[rows],
        )


def some_rows(values: Mapping[str, Tensor], start: int, stop: int) -> dict[str, Tensor]:
    """One input's tensors of the rows from ``start`` to ``stop``, renumbered from 0."""
    if "present" in values:
        slots = values["present"].shape[1]
        items = slice(start * slots, stop * slots)
        return {
            key: tensor[start:stop] if key == "present" else tensor[items] for key, tensor in values.items()
        }
    row = values["row"]
    if not len(row):  # a blank item of no row stays one
        return dict(values)
    inside = (row >= start) & (row < stop)
    return {key: tensor[inside] - start if key == "row" else tensor[inside] for key, tensor in values.items()}


def by_pieces(view: View, work: Callable[[View], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Apply ``work`` to each piece of a batch, and concatenate the results along the first dimension.

    With several pieces the activations of a piece are not kept but recomputed in the backward pass, so that
    memory grows with the piece and not with the batch. Loss and gradients are those of the whole batch
    (GradCache; Gao et al. 2021), by PyTorch's checkpointing, which restores the random state of each piece.
    """
    pieces = view.pieces()
    if len(pieces) == 1:
        return work(view)

    def recompute(piece: View) -> dict[str, Tensor]:
        return work(replace(piece))  # a copy, for a view caches its results

    keep = torch.is_grad_enabled()
    made = [
        checkpoint(recompute, piece, use_reentrant=False) if keep else recompute(piece) for piece in pieces
    ]
    return {name: torch.cat([part[name] for part in made]) for name in made[0]}
