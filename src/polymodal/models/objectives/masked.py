"""Base of masked modelling: mask parts of the inputs, encode and fuse the rest, predict what was masked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from polymodal.errors import ConfigError
from polymodal.models.encoders import no_augmentation
from polymodal.models.objectives.base import Loss, Objective
from polymodal.models.objectives.batch_view import ObjectiveModel, View, by_pieces
from polymodal.models.objectives.pairs import processes
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    from polymodal.models.outputs import FusedState, TokenSequence

SumAndCount = tuple[Tensor, Tensor]
"""A sum of losses, and the number of positions in it."""
SUM, COUNT = " sum", " count"


class MaskedObjective(Objective):
    """Base of the objectives that mask a part of the inputs and predict it from the rest.

    Args:
        share: Share of an input's positions that are masked, above 0 and below 1.
        options: See :class:`Objective`.
    """

    needs_tokens = True

    def __init__(self, *, share: float, **options: Any) -> None:
        super().__init__(**options)
        if not 0 < share < 1:
            raise ValueError(f"share is {share}, expected between 0 and 1")
        self.share = share

    def _choose(self, model: ObjectiveModel, names: Sequence[str]) -> list[str]:
        """The inputs that can be masked.

        Raises:
            ConfigError: If one of ``inputs`` cannot, or none can.
        """
        why = {name: self.refusal(model, name) for name in names}
        able = [name for name in names if why[name] is None]
        if self.inputs is not None and len(able) < len(names):
            name = next(name for name in names if why[name])
            raise ConfigError(f"the objective '{self.name}' cannot mask '{name}': {why[name]}")
        if not able:
            reasons = "; ".join(f"'{name}': {reason}" for name, reason in why.items())
            raise ConfigError(f"the objective '{self.name}' finds nothing to mask ({reasons})")
        return able

    @abstractmethod
    def refusal(self, model: ObjectiveModel, name: str) -> str | None:
        """The reason why an input cannot be masked; None if it can."""

    @abstractmethod
    def hide(self, model: ObjectiveModel, view: View) -> tuple[dict[str, dict[str, Tensor]], Any]:
        """Mask the inputs; returns them, and by input what the loss must know of the masked positions."""

    @abstractmethod
    def predict(
        self, sequences: Mapping[str, TokenSequence], state: FusedState, hidden: Any
    ) -> dict[str, SumAndCount]:
        """Predict what was masked; returns by part of the loss its sum and its number of positions."""

    @abstractmethod
    def part_names(self) -> list[str]:
        """The parts of the loss, in order."""

    def loss(self, model: ObjectiveModel, view: View) -> Loss:
        """The mean over all masked positions, per part: see :meth:`Objective.loss`."""
        sums = by_pieces(view, partial(self._sums, model))
        totals = {name: sums[name].sum() for name in sums}
        counts = torch.stack([totals[name + COUNT] for name in self.part_names()])
        share = torch.ones((), device=counts.device)
        if self.training and processes() > 1:
            dist.all_reduce(counts)
            share = share * processes()  # the mean over processes is then the sum over the count of all
        parts = {
            name: share * totals[name + SUM] / count.clamp(min=1)
            for name, count in zip(self.part_names(), counts.unbind(), strict=True)
        }
        known = (counts > 0).sum().clamp(min=1)
        return torch.stack(list(parts.values())).sum() / known, parts if len(parts) > 1 else {}

    def _sums(self, model: ObjectiveModel, view: View) -> dict[str, Tensor]:
        """The sums and counts ``(1,)`` of a piece of the batch, for every part of the loss."""
        inputs, hidden = self.hide(model, view)
        with no_augmentation(model.encoders):  # what is reconstructed must keep its position
            sequences, idle = model.encode(view.index, inputs)
        embedded = model.embedding(sequences, len(view.index), idle)
        result = self.predict(sequences, model.fusion(embedded), hidden)
        # Parts without masked positions in this batch have zero gradients: all processes must step together.
        learning: list[nn.Module | ObjectiveModel] = [self, model] if processes() > 1 else [self]
        weights = [p for part in learning for p in part.parameters() if p.requires_grad]
        nothing = torch.stack([weight.sum() for weight in weights]).sum() * 0
        made: dict[str, Tensor] = {}
        for name in self.part_names():
            total, count = result.get(name, (nothing, nothing.detach()))
            made |= {name + SUM: (total + nothing).view(1), name + COUNT: count.detach().float().view(1)}
        return made

    def settings(self) -> Settings:
        """The keyword arguments that rebuild this objective."""
        return super().settings() | {"share": self.share}


def item_tokens(state: FusedState, name: str, sequence: TokenSequence) -> Tensor:
    """The fused tokens of an input, per item: ``(items, length, width)``."""
    assert state.tokens is not None and state.spans is not None
    laid = state.tokens[:, state.spans[name]]
    length = sequence.tokens.shape[1]
    count = torch.bincount(sequence.row, minlength=len(laid))
    first = count.cumsum(0) - count
    slot = torch.arange(len(sequence.row), device=laid.device) - first[sequence.row]
    return laid.unflatten(1, (-1, length))[sequence.row, slot]


def prediction_head(width: int, outputs: int) -> nn.Sequential:
    """A network of one hidden layer from fused tokens to what was masked, in the form of BERT's head."""
    return nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, outputs))
