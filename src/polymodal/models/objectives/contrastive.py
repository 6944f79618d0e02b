"""Every two inputs of a row nearer to each other than to those of other rows."""

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
"""Beyond it the scale of similarities is cut, as in CLIP."""
PARTS = ("one part, fused", "the other part, fused")
"""What the fused vectors of a row's two parts are called among the vectors."""
IS_THERE, HOLDS = " is there", " holds"
"""Beside each vector: which rows have it, and a number for what these hold."""


class PairObjective(Objective):
    """Base of what compares vectors of one row with those of all rows.

    Pairs are every two inputs that a row has. With ``fused`` the fusion learns too: a row's inputs are parted
    in two, each part is fused as if the other were missing, and the two fused vectors are a pair as well.

    Args:
        fused: Whether the fusion learns.
        temperature: Of the similarities at the start; it is learned.
        cutmix: An input whose pictures show in training a part of another row's each, and are to find both
            rows' partners, by how much of each they show: see :mod:`polymodal.models.objectives.cutmix`. Each
            of several processes mixes what it has.
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
                "a fused vector of mixed pictures is of no row: beside cutmix set fused to false"
            )
        self.fused, self.temperature, self.cutmix = fused, temperature, cutmix
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.project: nn.Linear | None = None

    @property
    def reads_fusion(self) -> bool:
        """See :class:`Objective`."""
        return self.fused

    def bind(self, model: ObjectiveModel) -> Objective:
        """See :meth:`Objective.bind`."""
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
        """See that an input has pictures that can be mixed.

        Raises:
            ConfigError: If it has not.
        """
        encoder: Any = model.encoders[model.encoder_of[name]] if name in self.taking else None
        if encoder is None:
            found = f"no input of it. {did_you_mean(name, self.taking)}"
        elif encoder.modality != ImageEncoder.modality:
            found = f"{encoder.modality}, expected pictures"
        elif encoder.frozen:
            found = "frozen and learns nothing from mixed pictures. Leave cutmix or freeze out"
        else:
            return
        raise ConfigError(f"cutmix of the objective '{self.name}' names '{name}', which is {found}")

    @property
    def scale(self) -> Tensor:
        """The inverse temperature."""
        return self.log_scale.exp().clamp(max=SHARPEST)

    def loss(self, model: ObjectiveModel, view: View) -> Loss:
        """See :meth:`Objective.loss`."""
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
        told = torch.stack(list(parts.values()))
        return told.mean() if self.training else told.nanmean(), parts if len(parts) > 1 else {}

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
        # In 16 bits a similarity times a scale of 100 has no digits left.
        with torch.autocast(valid.device.type, enabled=False):
            vectors = made[first].float(), made[second].float()
            loss = self.compare(*vectors, same=alike, valid=valid, shares=shares)
        # Without two pairs nothing is told apart, and a loss of 0 would be the best epoch's.
        return loss if self.training or valid.sum() > 1 else loss.new_tensor(torch.nan)

    def compare(self, first: Tensor, second: Tensor, **rows: Tensor | None) -> Tensor:
        """The loss of pairs ``(rows, space)``; ``rows``: ``same``, ``valid``, ``shares`` of the formulas."""
        raise TypeError(f"{type(self).__name__} has no way to compare")

    def vectors(self, model: ObjectiveModel, view: View) -> dict[str, Tensor]:
        """By input, and by part where the fusion learns: ``(batch, space)``; see :data:`IS_THERE` too."""
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
        """What each of a row's two parts takes, by input ``(batch,)``.

        A row's first input is in the first part, at least one of the others in the second.
        """
        present = torch.stack([embedded[name].present for name in self.taking], dim=1)
        first = (present.cumsum(dim=1) == 1) & present
        free = present & ~first
        chance = uniform(draws, salt(self.name, "parts"), len(self.taking)).masked_fill(~free, -1.0)
        second = free & ((chance >= 0.5) | (chance == chance.amax(dim=1, keepdim=True)))
        halves = (present & ~second, second)
        one, other = ({name: half[:, place] for place, name in enumerate(self.taking)} for half in halves)
        return one, other

    def settings(self) -> Settings:
        """See :meth:`Objective.settings`."""
        return super().settings() | {
            "fused": self.fused, "temperature": self.temperature, "cutmix": self.cutmix,
        }  # fmt: skip


@OBJECTIVES.register("contrastive")
class ContrastiveObjective(PairObjective):
    """A row's inputs find each other among those of all rows: see :func:`info_nce`."""

    name = "contrastive"

    def compare(self, first: Tensor, second: Tensor, **rows: Tensor | None) -> Tensor:
        """See :meth:`PairObjective.compare`."""
        return info_nce(first, second, self.scale, **rows)


@OBJECTIVES.register("sigmoid")
class SigmoidObjective(PairObjective):
    """Each pair by itself: see :func:`sigmoid_pairs`.

    The bias begins where a batch's many wrong pairs weigh little, as Zhai et al. set it.

    Args:
        bias: At the start; it is learned.
        options: See :class:`PairObjective`.
    """

    name = "sigmoid"

    def __init__(self, *, bias: float = -10.0, temperature: float = 0.1, **options: Any) -> None:
        super().__init__(temperature=temperature, **options)
        self.start = bias
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def compare(self, first: Tensor, second: Tensor, **rows: Tensor | None) -> Tensor:
        """See :meth:`PairObjective.compare`."""
        return sigmoid_pairs(first, second, self.scale, self.bias, **rows)

    def settings(self) -> Settings:
        """See :meth:`Objective.settings`."""
        return super().settings() | {"bias": self.start}


def sum_of_contents(takes: Mapping[str, Tensor], contents: Mapping[str, Tensor]) -> Tensor:
    """``(batch,)`` a number for all that a part of a row holds, of the inputs that it ``takes``."""
    total = torch.zeros_like(next(iter(contents.values())))
    for name, taken in takes.items():
        total = total + torch.where(taken, mixed(contents[name] + salt(name)), 0)
    return total
