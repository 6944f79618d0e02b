"""Masked patches of images, video, audio and sequences, and masked cells, predicted (SimMIM)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from polymodal.models.encoders import TextEncoder
from polymodal.models.objectives.base import OBJECTIVES, Objective
from polymodal.models.objectives.batch_view import ObjectiveModel, View
from polymodal.models.objectives.masked import MaskedObjective, SumAndCount, item_tokens, prediction_head
from polymodal.models.objectives.patches import HIDDEN_CELLS, PATCHES, HiddenCells, Patches
from polymodal.models.objectives.row_rng import item_draws, salt, uniform
from polymodal.models.outputs import FusedState, TokenSequence


@dataclass
class Hidden:
    """What was masked of an input.

    Attributes:
        answers: Ground truth ``(items, patches, outputs)``; of cells ``(cells, …)``.
        where: Masked patches ``(items, patches)`` bool; of cells ``(cells,)`` the row of each.
    """

    answers: Tensor
    where: Tensor


@OBJECTIVES.register("masked_patch")
class MaskedPatchObjective(MaskedObjective):
    """Masked modelling of everything but text (SimMIM; Xie et al. 2022, section 3).

    Patches are masked before the encoder, so that any backbone can be trained, and predicted from the fused
    tokens nearest to them; the loss is the mean squared error on the masked patches only: pixels of images
    and video, log-mel of audio, features of sequences. A masked number or category is missing from its row
    and predicted from its missing token: a number by the squared error of its standardized value, a category
    by cross-entropy.

    Args:
        share: Share of the patches, and of the cells of each column, that are masked.
        options: See :class:`Objective`.
    """

    name = "masked_patch"
    variance_factor = 0.5

    def __init__(self, *, share: float = 0.5, **options: Any) -> None:
        super().__init__(share=share, **options)
        self.telling = nn.ModuleList()
        self.patches: dict[str, Patches] = {}
        self.cells: dict[str, HiddenCells] = {}

    def bind(self, model: ObjectiveModel) -> Objective:
        """Build a prediction head per input: see :meth:`Objective.bind`."""
        super().bind(model)
        width = model.config.fusion["width"]
        for name in self.taking:
            encoder = cast(Any, model.encoders[model.encoder_of[name]])
            made: Patches | HiddenCells
            if encoder.modality in HIDDEN_CELLS:
                made = self.cells[name] = HIDDEN_CELLS[encoder.modality](encoder)
            else:
                made = self.patches[name] = PATCHES[encoder.modality](encoder)
            outputs, count = made.outputs, made.count
            if len(self.telling) < len(self.taking):
                self.telling.append(
                    nn.ModuleDict(
                        {"place": nn.Embedding(count, width), "head": prediction_head(width, outputs)}
                    )
                )
        return self

    def refusal(self, model: ObjectiveModel, name: str) -> str | None:
        """The reason why an input cannot be masked; None if it can."""
        encoder = cast(Any, model.encoders[model.encoder_of[name]])
        if encoder.modality == TextEncoder.modality:
            return f"{encoder.modality} is masked by masked_text"
        if encoder.modality in HIDDEN_CELLS:
            return None
        if encoder.modality not in PATCHES:
            return f"masking is not supported for {encoder.modality}"
        return "its encoder is frozen" if encoder.frozen else PATCHES[encoder.modality].refusal(encoder)

    def hide(self, model: ObjectiveModel, view: View) -> tuple[dict[str, dict[str, Tensor]], Any]:
        """Mask patches, and remove cells: see :meth:`MaskedObjective.hide`."""
        inputs = {name: dict(values) for name, values in view.inputs.items()}
        hidden: dict[str, Hidden] = {}
        there = torch.zeros_like(view.draws)
        for values in inputs.values():
            there = there + torch.bincount(values["row"].unique(), minlength=len(there))
        for name in self.taking:
            if name not in inputs or not len(inputs[name]["row"]):
                continue
            values = inputs[name]
            patches = self.patches.get(name)
            if patches is None:
                inputs[name], hidden[name] = self._take_cells(name, values, view.draws, there)
                continue
            where = self._where(name, item_draws(view.draws, values["row"]), patches.count)
            hidden[name] = Hidden(patches.answers(values), where)
            inputs[name] = patches.hide(values, where)
        return {
            name: values for name, values in inputs.items() if len(values["row"]) or has_blank(values)
        }, hidden

    def _where(self, name: str, draws: Tensor, count: int) -> Tensor:
        """The masked patches ``(items, count)``: equally many of every item, at least one and not all."""
        number = min(max(1, round(self.share * count)), count - 1)
        rank = uniform(draws, salt(self.name, name), count).argsort(dim=1).argsort(dim=1)
        return rank < number

    def _take_cells(
        self, name: str, values: dict[str, Tensor], draws: Tensor, there: Tensor
    ) -> tuple[dict[str, Tensor], Hidden]:
        """Remove cells of some rows, never a row's last input; ``there`` counts the inputs left per row."""
        row = values["row"]
        gone = (uniform(draws, salt(self.name, name), 1)[:, 0] < self.share)[row] & (there[row] > 1)
        there.index_add_(0, row[gone], -torch.ones_like(row[gone]))
        answers = self.cells[name].answers(values["value"][gone])
        return {key: tensor[~gone] for key, tensor in values.items()}, Hidden(answers, row[gone])

    def part_names(self) -> list[str]:
        """The parts of the loss: one per input."""
        return self.taking

    def predict(
        self, sequences: Mapping[str, TokenSequence], state: FusedState, hidden: Any
    ) -> dict[str, SumAndCount]:
        """Sums of squared errors or cross-entropies per input: see :meth:`MaskedObjective.predict`."""
        result = {}
        for name, made in hidden.items():
            head = cast(Any, self.telling[self.taking.index(name)])
            if name not in self.patches:
                result[name] = self._predict_cells(name, head, state, made)
                continue
            tokens, indices = (
                item_tokens(state, name, sequences[name]),
                self.patches[name].nearest_tokens(sequences[name]),
            )
            near = tokens.gather(1, indices.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
            predicted = head["head"](near[made.where] + head["place"].weight.expand_as(near)[made.where])
            error = F.mse_loss(predicted.float(), made.answers[made.where].float(), reduction="none")
            result[name] = error.mean(dim=-1).sum(), made.where.sum()
        return result

    def _predict_cells(self, name: str, head: Any, state: FusedState, made: Hidden) -> SumAndCount:
        assert state.tokens is not None and state.spans is not None
        missing = state.tokens[made.where, state.spans[name].start]
        predicted = head["head"](missing + head["place"].weight).float()
        return self.cells[name].loss(predicted, made.answers), made.where.new_tensor(len(predicted))


def has_blank(values: Mapping[str, Tensor]) -> bool:
    """Whether an input without rows holds the blank item by which its encoder has gradients."""
    return any(len(tensor) for key, tensor in values.items() if key != "row")
