"""Hidden patches of pictures, clips, recordings, sequences, and hidden cells, rebuilt from what is left."""

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
from polymodal.models.objectives.masked import Found, MaskedObjective, item_tokens, teller
from polymodal.models.objectives.patches import HIDDEN_CELLS, PATCHES, HiddenCells, Patches
from polymodal.models.objectives.row_rng import item_draws, salt, uniform
from polymodal.models.outputs import FusedState, TokenSequence


@dataclass
class Hidden:
    """What was hidden of an input.

    Attributes:
        answers: ``(items, patches, outputs)``; of cells ``(cells, …)``.
        where: ``(items, patches)`` bool; of cells ``(cells,)`` the row of each.
    """

    answers: Tensor
    where: Tensor


@OBJECTIVES.register("masked_patch")
class MaskedPatchObjective(MaskedObjective):
    """Masked modelling of what is not text (SimMIM; Xie et al. 2022, section 3): a linear way back to pixels.

    Patches are hidden before the encoder, so that any backbone can take part, and told from the fused tokens
    nearest to them, by their mean squared error on the hidden ones alone: pictures and clips by their pixels,
    recordings by their log-mel, sequences by their features. A number or a category is hidden whole, as if
    the row lacked it, and told from the token that stands for it: a number by its standardized value, a
    category by its cross-entropy.

    Args:
        share: Of the patches, and of the cells of each column, that are hidden.
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
        """See :meth:`Objective.bind`."""
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
                    nn.ModuleDict({"place": nn.Embedding(count, width), "head": teller(width, outputs)})
                )
        return self

    def refusal(self, model: ObjectiveModel, name: str) -> str | None:
        """See :meth:`MaskedObjective.refusal`."""
        encoder = cast(Any, model.encoders[model.encoder_of[name]])
        if encoder.modality == TextEncoder.modality:
            return f"{encoder.modality} is masked by masked_text"
        if encoder.modality in HIDDEN_CELLS:
            return None
        if encoder.modality not in PATCHES:
            return f"masking is not supported for {encoder.modality}"
        return "its encoder is frozen" if encoder.frozen else PATCHES[encoder.modality].refusal(encoder)

    def hide(self, model: ObjectiveModel, view: View) -> tuple[dict[str, dict[str, Tensor]], Any]:
        """See :meth:`MaskedObjective.hide`."""
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
        """The same number of patches of every item: at least one, and not all."""
        number = min(max(1, round(self.share * count)), count - 1)
        rank = uniform(draws, salt(self.name, name), count).argsort(dim=1).argsort(dim=1)
        return rank < number

    def _take_cells(
        self, name: str, values: dict[str, Tensor], draws: Tensor, there: Tensor
    ) -> tuple[dict[str, Tensor], Hidden]:
        """Some rows without their cell, unless it is all they have; ``there`` counts what rows still have."""
        row = values["row"]
        gone = (uniform(draws, salt(self.name, name), 1)[:, 0] < self.share)[row] & (there[row] > 1)
        there.index_add_(0, row[gone], -torch.ones_like(row[gone]))
        answers = self.cells[name].answers(values["value"][gone])
        return {key: tensor[~gone] for key, tensor in values.items()}, Hidden(answers, row[gone])

    def part_names(self) -> list[str]:
        """See :meth:`MaskedObjective.part_names`."""
        return self.taking

    def tell(
        self, sequences: Mapping[str, TokenSequence], state: FusedState, hidden: Any
    ) -> dict[str, Found]:
        """See :meth:`MaskedObjective.tell`."""
        found = {}
        for name, made in hidden.items():
            telling = cast(Any, self.telling[self.taking.index(name)])
            if name not in self.patches:
                found[name] = self._tell_cells(name, telling, state, made)
                continue
            tokens, places = (
                item_tokens(state, name, sequences[name]),
                self.patches[name].places(sequences[name]),
            )
            near = tokens.gather(1, places.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
            predicted = telling["head"](
                near[made.where] + telling["place"].weight.expand_as(near)[made.where]
            )
            error = F.mse_loss(predicted.float(), made.answers[made.where].float(), reduction="none")
            found[name] = error.mean(dim=-1).sum(), made.where.sum()
        return found

    def _tell_cells(self, name: str, telling: Any, state: FusedState, made: Hidden) -> Found:
        assert state.tokens is not None and state.spans is not None
        missing = state.tokens[made.where, state.spans[name].start]
        predicted = telling["head"](missing + telling["place"].weight).float()
        return self.cells[name].loss(predicted, made.answers), made.where.new_tensor(len(predicted))


def has_blank(values: Mapping[str, Tensor]) -> bool:
    """Whether an input that no row has holds the blank item that gives its encoder gradients."""
    return any(len(tensor) for key, tensor in values.items() if key != "row")
