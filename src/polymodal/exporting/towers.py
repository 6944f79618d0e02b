"""The towers of a run: encoder, embedding and projection of some inputs, without fusion."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from polymodal.models import PolymodalConfig, PolymodalModel
from polymodal.models.base import Inputs
from polymodal.models.encoders import Encoder, encoder_settings
from polymodal.models.outputs import EmbeddedInput
from polymodal.models.projection import SharedSpace


class TowerModel(PolymodalModel):
    """From rows of one input each to tokens in the shared space.

    The normalized mean of a row's tokens is the vector of the run: the projection is linear without a bias,
    so that it commutes with the mean.

    Args:
        config: The configuration, with a ``space``.
        encoders: The encoders, in the order of ``config.encoders``; by default built from it.
    """

    space: SharedSpace

    def __init__(self, config: PolymodalConfig, encoders: list[Encoder] | None = None) -> None:
        super().__init__(config, encoders)
        del self.fusion  # not used

    @classmethod
    def taken_from(cls, model: PolymodalModel, names: Sequence[str]) -> TowerModel:
        """The towers of the inputs ``names`` of ``model``, with shared weights where possible."""
        assert model.space is not None
        indices = list(dict.fromkeys(model.encoder_of[name] for name in names))
        encoders = [model.encoders[index] for index in indices]
        towers = cls(_config(model, names, indices, encoders), encoders)
        rows = [model.config.input_names.index(name) for name in names]
        own, given = towers.embedding, model.embedding
        for new, old in enumerate(indices):
            own.project[str(new)] = given.project[str(old)]
            own.position[str(new)] = given.position[str(old)]
        own.norm = given.norm
        own.segment.weight.data = given.segment.weight.data[rows].clone()
        own.missing.weight.data = given.missing.weight.data[rows].clone()
        towers.space.project = nn.ModuleList(model.space.project[row] for row in rows)
        return towers.eval()

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Encode, embed and project.

        Args:
            inputs: By input its tensors, with ``row`` (see :data:`polymodal.models.base.Inputs`); every row
                has one input.

        Returns:
            tokens ``(rows, length, space)`` and mask ``(rows, length)``, true on content.
        """
        rows = 1 + max(int(values["row"].max()) for values in inputs.values())
        embedded = self.embed(torch.arange(rows, device=self.device), inputs)
        projected = [
            EmbeddedInput(project(embedded[name].tokens), embedded[name].mask, embedded[name].present)
            for name, project in zip(self.space.inputs, self.space.project, strict=True)
        ]
        whole = reduce(lambda seen, other: other.replaced(seen.present, seen), projected)
        return whole.tokens, whole.mask


def _config(
    model: PolymodalModel, names: Sequence[str], places: Sequence[int], encoders: Sequence[Encoder]
) -> PolymodalConfig:
    return PolymodalConfig(
        inputs=[{"name": name, "encoder": places.index(model.encoder_of[name])} for name in names],
        encoders=[encoder_settings(encoder) for encoder in encoders],
        fusion={"name": "sum", "width": model.config.fusion["width"]},  # only the width is used
        space=model.config.space,
        space_projection=model.config.space_projection,
        embedding_dropout=model.config.embedding_dropout,
    )
