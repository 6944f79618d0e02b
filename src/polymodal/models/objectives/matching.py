"""Matching: classify whether the inputs of a row belong together (ALBEF)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from polymodal.errors import ConfigError
from polymodal.models.objectives.base import OBJECTIVES, Loss, Objective, ObjectiveFacts, at_least_two
from polymodal.models.objectives.batch_view import ObjectiveModel, View
from polymodal.models.objectives.pairs import gathered, processes
from polymodal.models.objectives.row_rng import gumbel_pairs, salt, uniform
from polymodal.models.outputs import EmbeddedInput
from polymodal.utils.records import Settings


@dataclass
class Drawn:
    """The negatives: which input of a row is replaced, and from which row.

    Attributes:
        exchanged: ``(rows,)`` the index of the input that is replaced.
        partner: ``(rows,)`` the row that it is taken from, among those of all processes.
        valid: ``(rows,)`` bool, whether there was a row to take it from.
    """

    exchanged: Tensor
    partner: Tensor
    valid: Tensor


@OBJECTIVES.register("matching")
class MatchingObjective(Objective):
    """Image-text matching of ALBEF (Li et al. 2021, section 3.2), for any inputs.

    Binary classification of each row (positive) and of the row with one input taken from another row
    (negative). Negatives are hard: the more similar a candidate is to one of the row's other inputs, by the
    vectors of the shared space where another objective trains one, the likelier it is drawn. The replaced
    input is drawn for each row.

    Args:
        temperature: Of these similarities, above 0.
        options: See :class:`Objective`.
    """

    name = "matching"
    compares = True
    whole = True

    def __init__(self, *, temperature: float = 0.07, **options: Any) -> None:
        super().__init__(**options)
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature}, expected more than 0")
        self.temperature = temperature
        self.judge: nn.Linear | None = None

    @property
    def reads_fusion(self) -> bool:
        """Whether it trains the fusion."""
        return True

    def check(self, facts: ObjectiveFacts) -> None:
        """Check the objective against a declaration: see :meth:`Objective.check`.

        Raises:
            ConfigError: If the batch is to be encoded in pieces.
        """
        super().check(facts)
        if facts.piece:
            raise ConfigError("'train.piece' cannot be set here: matching compares rows whole. Leave it out")

    def bind(self, model: ObjectiveModel) -> Objective:
        """Build the classifier: see :meth:`Objective.bind`."""
        super().bind(model)
        self.judge = self.judge or nn.Linear(model.config.fusion["width"], 1)
        return self

    def _choose(self, model: ObjectiveModel, names: Sequence[str]) -> list[str]:
        return at_least_two(self.name, names)

    def loss(self, model: ObjectiveModel, view: View) -> Loss:
        """Binary cross-entropy of positives and negatives, equally many: see :meth:`Objective.loss`."""
        assert self.judge is not None
        embedded = view.embedded(model)
        drawn = self._draw(embedded, self._near(model, embedded), view)
        other = dict(embedded)
        for index, name in enumerate(self.taking):
            taken = self._of_all(embedded[name]).pick(drawn.partner)
            other[name] = embedded[name].replaced(drawn.exchanged == index, taken)
        right = self.judge(view.state(model).pooled)[:, 0]
        wrong = self.judge(model.fusion(other).pooled)[:, 0]
        losses = (F.softplus(-right) + F.softplus(wrong)) / 2
        count = self._every(drawn.valid).sum()
        many = (
            processes() if self.training else 1
        )  # the mean over processes is then the sum over the count of all
        return many * (losses * drawn.valid).sum() / count.clamp(min=1), {}

    @torch.no_grad()
    def _near(self, model: ObjectiveModel, embedded: Mapping[str, EmbeddedInput]) -> Tensor:
        """The unit vectors ``(rows, inputs, space)`` for the similarity of two inputs."""
        vectors = model.vectors(embedded)
        return torch.stack([F.normalize(vectors[name], dim=-1) for name in self.taking], dim=1)

    def _draw(self, embedded: Mapping[str, EmbeddedInput], near: Tensor, view: View) -> Drawn:
        """Draw the negatives."""
        present = torch.stack([embedded[name].present for name in self.taking], dim=1)
        order = uniform(view.draws, salt(self.name), len(self.taking)).masked_fill(~present, -1.0)
        exchanged, anchor = order.topk(2, dim=1).indices.unbind(dim=1)
        rows = torch.arange(len(present), device=present.device)
        mine, theirs = near[rows, anchor], self._every(near)
        similar = torch.stack([mine @ theirs[:, index].T for index in range(len(self.taking))], dim=1)
        same = self._same(view)  # (rows, inputs, all rows)
        free = self._every(present).T[exchanged] & ~same[rows, exchanged] & ~same[rows, anchor]
        noise = gumbel_pairs(view.draws, self._every(view.draws), salt(self.name, "partner"))
        score = (similar[rows, exchanged] / self.temperature + noise).masked_fill(~free, -torch.inf)
        return Drawn(exchanged, score.argmax(dim=1), free.any(dim=1) & (present.sum(dim=1) > 1))

    def _same(self, view: View) -> Tensor:
        """``(rows, inputs, all rows)`` bool: whether it is the same row, or one with the same content."""
        own = torch.arange(len(view.draws), device=view.draws.device)
        if self.training and processes() > 1:
            own = own + len(own) * dist.get_rank()
        equal = own.unsqueeze(1) == self._every(own)
        alike = []
        for name in self.taking:
            held = view.contents.get(name)
            alike.append(equal if held is None else equal | (held.unsqueeze(1) == self._every(held)))
        return torch.stack(alike, dim=1)

    def _every(self, rows: Tensor) -> Tensor:
        """``rows`` of all processes in training."""
        return gathered(rows) if self.training else rows

    def _of_all(self, entry: EmbeddedInput) -> EmbeddedInput:
        """An input of the rows of all processes, padded to one length."""
        if not self.training or processes() == 1:
            return entry
        length = torch.tensor(entry.tokens.shape[1], device=entry.tokens.device)
        dist.all_reduce(length, dist.ReduceOp.MAX)
        tokens, mask = entry.padded(int(length))
        return EmbeddedInput(gathered(tokens), gathered(mask), gathered(entry.present))

    def settings(self) -> Settings:
        """The keyword arguments that rebuild this objective."""
        return super().settings() | {"temperature": self.temperature}
