"""Contrastive objectives over pairs of inputs: InfoNCE (CLIP) and the sigmoid loss (SigLIP)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from polymodal.errors import ConfigError, did_you_mean
from polymodal.models.encoders import ImageEncoder
from polymodal.models.objectives.base import OBJECTIVES, Loss, Objective, at_least_two
from polymodal.models.objectives.batch_view import ObjectiveModel, View, by_pieces
from polymodal.models.objectives.cutmix import cut_and_mixed
from polymodal.models.objectives.pairs import equal_contents, gathered, info_nce, sigmoid_pairs
from polymodal.models.objectives.row_rng import mixed, salt, uniform
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    from polymodal.models.outputs import EmbeddedInput

SHARPEST = 100.0
"""Upper bound of the similarities' scale, as in CLIP."""
PARTS = ("one part, fused", "the other part, fused")
"""Names of the fused vectors of a row's two parts among the vectors."""
IS_THERE, HOLDS = " is there", " holds"
"""Suffixes beside each vector's name: which rows have it, and a number for their content."""


class PairObjective(Objective):
    """Base of the objectives that compare vectors of one row with those of all rows.

    The pairs are all combinations of two inputs of a row. With ``fused`` the fusion is trained too: a
    row's inputs are split into two parts at random, each part is fused as if the other were missing, and the
    two fused vectors are a pair as well.

    Args:
        fused: Whether the fusion is trained.
        temperature: Initial temperature of the similarities; it is learned.
        cutmix: An image input whose images are mixed with those of other rows in training (CutMix); the
            partners of both rows are then positives, weighted by area: see
            :mod:`polymodal.models.objectives.cutmix`. Each process mixes the rows of its own batch.
        options: See :class:`Objective`.
    """

    compares = True
    spans_space = True

    def __init__(
        self, *, fused: bool = True, temperature: float = 0.07, cutmix: str | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        if not 0.01 <= temperature <= 10:
            raise ValueError(f"temperature is {temperature}, expected between 0.01 and 10")
        if cutmix and fused:
            raise ValueError(
                "a fused vector of mixed pictures belongs to no row: with cutmix set fused to false"
            )
        self.fused, self.temperature, self.cutmix = fused, temperature, cutmix
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.project: nn.Linear | None = None

    @property
    def reads_fusion(self) -> bool:
        """Whether it trains the fusion."""
        return self.fused

    def bind(self, model: ObjectiveModel) -> Objective:
        """Build the projection of the fused vectors: see :meth:`Objective.bind`."""
        super().bind(model)
        assert model.space is not None
        if self.cutmix:
            self._check_cutmix(model, self.cutmix)
        if self.fused and self.project is None:
            self.project = nn.Linear(model.config.fusion["width"], model.config.space, bias=False)
        return self

    def _choose(self, model: ObjectiveModel, names: Sequence[str]) -> list[str]:
        return at_least_two(self.name, names)

    def _check_cutmix(self, model: ObjectiveModel, name: str) -> None:
        """Check that the images of an input can be mixed.

        Raises:
            ConfigError: If it is no image input, or its encoder is frozen.
        """
        encoder: Any = model.encoders[model.encoder_of[name]] if name in self.taking else None
        if encoder is None:
            reason = f"no input of it. {did_you_mean(name, self.taking)}"
        elif encoder.modality != ImageEncoder.modality:
            reason = f"{encoder.modality}, expected pictures"
        elif encoder.frozen:
            reason = "frozen and learns nothing from mixed pictures. Leave cutmix or freeze out"
        else:
            return
        raise ConfigError(f"cutmix of the objective '{self.name}' names '{name}', which is {reason}")

    @property
    def scale(self) -> Tensor:
        """The inverse temperature."""
        return self.log_scale.exp().clamp(max=SHARPEST)

    def loss(self, model: ObjectiveModel, view: View) -> Loss:
        """The mean of the losses of all pairs: see :meth:`Objective.loss`."""
        shares = None
        if self.training and self.cutmix:
            view, shares = cut_and_mixed(view, self.cutmix)
        made = by_pieces(view, partial(self.vectors, model))
        if self.training:
            made = {name: gathered(value) for name, value in made.items()}
        parts = {
            f"{first}+{second}": self._pairs(made, first, second, shares)
            for first, second in combinations(self.taking, 2)
        }
        if self.fused:
            parts["fused"] = self._pairs(made, *PARTS)
        losses = torch.stack(list(parts.values()))
        return losses.mean() if self.training else losses.nanmean(), parts if len(parts) > 1 else {}

    def _pairs(
        self, made: dict[str, Tensor], first: str, second: str, shares: Tensor | None = None
    ) -> Tensor:
        same = [equal_contents(made[name + HOLDS]) for name in (first, second) if name + HOLDS in made]
        alike = torch.stack(same).any(dim=0) if same else None
        valid = made[first + IS_THERE] & made[second + IS_THERE]
        if self.cutmix not in (first, second):
            shares = None
        elif shares is not None and self.cutmix == second:
            shares = shares.T
        # In 16 bits a similarity times a scale of 100 loses its decimals.
        with torch.autocast(valid.device.type, enabled=False):
            vectors = made[first].float(), made[second].float()
            loss = self.compare(*vectors, same=alike, valid=valid, shares=shares)
        # Without two pairs there is nothing to compare, and a loss of 0 would select this epoch as the best.
        return loss if self.training or valid.sum() > 1 else loss.new_tensor(torch.nan)

    def compare(self, first: Tensor, second: Tensor, **rows: Tensor | None) -> Tensor:
        """The loss of vector pairs ``(rows, space)``; ``rows`` holds ``same``, ``valid`` and ``shares``."""
        raise TypeError(f"{type(self).__name__} has no way to compare")

    def vectors(self, model: ObjectiveModel, view: View) -> dict[str, Tensor]:
        """Unit vectors ``(batch, space)`` per input, and per part with ``fused``; see :data:`IS_THERE`."""
        embedded = view.embedded(model)
        assert model.space is not None
        spaced = model.space(embedded)
        made: dict[str, Tensor] = {}
        for name in self.taking:
            made |= {name: spaced[name], name + IS_THERE: embedded[name].present}
            if name in view.contents:
                made[name + HOLDS] = view.contents[name]
        if self.project is not None:
            takes = self.parts_of(embedded, view.draws)
            nothing = torch.ones_like(view.draws, dtype=torch.bool)
            for name, part in zip(PARTS, takes, strict=True):
                lacks = {other: ~part[other] if other in part else nothing for other in embedded}
                state = model.fusion(model.embedding.lacking(embedded, lacks))
                made |= {name: F.normalize(self.project(state.pooled), dim=-1)}
                made[name + IS_THERE] = torch.stack(list(part.values())).any(dim=0)
                if view.contents:
                    made[name + HOLDS] = sum_of_contents(part, view.contents)
        return made

    def parts_of(
        self, embedded: Mapping[str, EmbeddedInput], draws: Tensor
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Split the inputs of each row into two parts at random.

        A row's first input is in the first part, at least one of the others in the second.

        Returns:
            By input ``(batch,)`` bool, which rows have it in the first part; the same of the second part.
        """
        present = torch.stack([embedded[name].present for name in self.taking], dim=1)
        first = (present.cumsum(dim=1) == 1) & present
        free = present & ~first
        chance = uniform(draws, salt(self.name, "parts"), len(self.taking)).masked_fill(~free, -1.0)
        second = free & ((chance >= 0.5) | (chance == chance.amax(dim=1, keepdim=True)))
        halves = (present & ~second, second)
        one, other = ({name: half[:, index] for index, name in enumerate(self.taking)} for half in halves)
        return one, other

    def settings(self) -> Settings:
        """The keyword arguments that rebuild this objective."""
        return super().settings() | {
            "fused": self.fused, "temperature": self.temperature, "cutmix": self.cutmix,
        }  # fmt: skip


@OBJECTIVES.register("contrastive")
class ContrastiveObjective(PairObjective):
    """Contrastive learning with InfoNCE (van den Oord et al. 2018), as in CLIP (Radford et al. 2021).

    For the arguments see :class:`PairObjective`, for the formula :func:`info_nce`.
    """

    name = "contrastive"

    def compare(self, first: Tensor, second: Tensor, **rows: Tensor | None) -> Tensor:
        """InfoNCE of vector pairs ``(rows, space)``."""
        return info_nce(first, second, self.scale, **rows)


@OBJECTIVES.register("sigmoid")
class SigmoidObjective(PairObjective):
    """Contrastive learning with the pairwise sigmoid loss (SigLIP; Zhai et al. 2023).

    The bias starts where the many negative pairs of a batch weigh little, as in the paper. For the formula
    see :func:`sigmoid_pairs`.

    Args:
        bias: Initial bias of the logits; it is learned.
        options: See :class:`PairObjective`.
    """

    name = "sigmoid"

    def __init__(self, *, bias: float = -10.0, temperature: float = 0.1, **options: Any) -> None:
        super().__init__(temperature=temperature, **options)
        self.start = bias
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def compare(self, first: Tensor, second: Tensor, **rows: Tensor | None) -> Tensor:
        """The sigmoid loss of vector pairs ``(rows, space)``."""
        return sigmoid_pairs(first, second, self.scale, self.bias, **rows)

    def settings(self) -> Settings:
        """The keyword arguments that rebuild this objective."""
        return super().settings() | {"bias": self.start}


def sum_of_contents(takes: Mapping[str, Tensor], contents: Mapping[str, Tensor]) -> Tensor:
    """A hash ``(batch,)`` of the contents of the inputs that a part of a row ``takes``."""
    total = torch.zeros_like(next(iter(contents.values())))
    for name, taken in takes.items():
        total = total + torch.where(taken, mixed(contents[name] + salt(name)), 0)
    return total
