"""The members of a blend: each a candidate, one model or several that share their reading."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from polymodal.answers.plain_answers import PlainAnswers
from polymodal.models.base import encode
from polymodal.models.encoders import Encoder, encoder_settings
from polymodal.models.fusion.base import masked_mean
from polymodal.models.heads import Head
from polymodal.models.modeling import PolymodalForPrediction, PolymodalModel
from polymodal.models.predictor import EmbeddedCells
from polymodal.plain.blocks import Blocks, join_rows
from polymodal.plain.features import VectorFeaturizer
from polymodal.plain.model import PlainModel

Answers = dict[str, dict[str, Tensor]]
"""By target and by model: probabilities ``(batch, classes)`` or numbers ``(batch,)``, on the CPU."""


class Member(nn.Module, ABC):
    """A candidate in a blend: one model, or several that share their reading."""

    @abstractmethod
    def embed(self, index: Tensor, inputs: Mapping[str, Any]) -> Mapping[str, EmbeddedCells]:
        """Every input of the rows ``index`` ``(batch,)``; one that ``inputs`` lacks is missing.

        There is one at least: analyses pick, replace and exchange rows of them before they are answered, so
        that :meth:`answers` learns the number of rows from ``present``.
        """

    @abstractmethod
    def answers(self, embedded: Mapping[str, Any]) -> Answers:
        """The answers of its models for what :meth:`embed` returned, or for other rows of it."""

    @abstractmethod
    def model_names(self, target: str) -> list[str]:
        """The names of its models of a target."""

    def encoder(self, name: str) -> Encoder | None:
        """The encoder that reads an input, for which :meth:`embed` may be given its ``tokens`` instead (see
        :func:`polymodal.models.base.encode`); None where there is none."""
        return None

    def disagrees(self, heads: Mapping[str, Head]) -> str:
        """What its models answer otherwise than the heads of a blend expect, as a predicate; else empty."""
        return ""


class FusedMember(Member):
    """The neural model as a member of a blend.

    Args:
        name: Of the candidate, and of its only model.
        model: Trained, its heads calibrated.
    """

    def __init__(self, name: str, model: PolymodalForPrediction) -> None:
        super().__init__()
        self.name, self.model = name, model

    def embed(self, index: Tensor, inputs: Mapping[str, Any]) -> Mapping[str, EmbeddedCells]:
        """See :class:`Member`."""
        return self.model.embed(index, inputs)

    def answers(self, embedded: Mapping[str, Any]) -> Answers:
        """See :class:`Member`."""
        logits = self.model.predict_embedded(embedded)
        return {
            target: {self.name: head.answer(logits[target]).cpu()}
            for target, head in self.model.named_heads()
        }

    def model_names(self, target: str) -> list[str]:
        """See :class:`Member`."""
        return [self.name] if target in self.model.config.head_names else []

    def encoder(self, name: str) -> Encoder | None:
        """See :class:`Member`."""
        return encoder_of(self.model.model, name)

    def disagrees(self, heads: Mapping[str, Head]) -> str:
        """See :class:`Member`."""
        for target, head in self.model.named_heads():
            if target in heads and head.settings().get("classes") != heads[target].settings().get("classes"):
                return f"has other classes of '{target}'"
        return ""


@dataclass
class PlainInput:
    """One input of a batch as features: see :class:`polymodal.models.predictor.EmbeddedCells`.

    Attributes:
        blocks: The features of some rows; those of the last one are of a row that lacks the input.
        rows: ``(batch,)`` which of them each row has.
        present: ``(batch,)`` bool.
    """

    blocks: Blocks
    rows: np.ndarray
    present: Tensor

    def pick(self, rows: Tensor) -> PlainInput:
        """See :class:`EmbeddedCells`."""
        return PlainInput(self.blocks, self.rows[rows.cpu().numpy()], self.present[rows.cpu()])

    def replaced(self, where: Tensor, by: PlainInput) -> PlainInput:
        """See :class:`EmbeddedCells`."""
        taken, (blocks, rows) = where.cpu(), self._with(by)
        chosen = np.where(taken.numpy(), rows, self.rows)
        return PlainInput(blocks, chosen, torch.where(taken, by.present, self.present))

    def beside(self, other: PlainInput) -> PlainInput:
        """See :class:`EmbeddedCells`."""
        if other.blocks is not self.blocks:  # the features of a part may be those of many more rows
            self, other = self._own(), other._own()
        blocks, rows = self._with(other)
        return PlainInput(blocks, np.r_[self.rows, rows], torch.cat([self.present, other.present]))

    def _own(self) -> PlainInput:
        """The same with the features of its rows alone."""
        return PlainInput(self.features(), np.arange(len(self.rows)), self.present)

    def _with(self, other: PlainInput) -> tuple[Blocks, np.ndarray]:
        """The features of both, and which of them each row of ``other`` has."""
        if other.blocks is self.blocks:
            return self.blocks, other.rows
        first = len(next(iter(self.blocks.values()))) if self.blocks else 0
        blocks = {name: join_rows([block, other.blocks[name]]) for name, block in self.blocks.items()}
        return blocks, other.rows + first

    @property
    def nbytes(self) -> int:
        """See :class:`EmbeddedCells`."""
        return sum(block.values.nbytes for block in self.blocks.values())

    def features(self) -> Blocks:
        """The features of the batch."""
        return {name: block.rows(self.rows) for name, block in self.blocks.items()}


class PlainMember(Member):
    """Plain models as members of a blend; they compute on the CPU.

    Args:
        name: Of the candidate.
        model: Fitted.
    """

    def __init__(self, name: str, model: PlainModel) -> None:
        super().__init__()
        self.name, self.model, self.plain = name, model, PlainAnswers(name, model)

    def embed(self, index: Tensor, inputs: Mapping[str, Any]) -> Mapping[str, EmbeddedCells]:
        """See :class:`Member`; of the inputs that it has features of."""
        return {name: self._input(name, len(index), inputs.get(name)) for name in self.model.featurizers}

    def _input(self, name: str, rows: int, values: Mapping[str, Any] | None) -> PlainInput:
        items: list[list[Any]] = [[] for _ in range(rows + 1)]
        if values is not None:
            for row, item in zip(values["row"].tolist(), self._kept(name, values), strict=True):
                items[row].append(item)
        present = torch.tensor([bool(kept) for kept in items[:-1]])
        return PlainInput(self.model.input_blocks(name, items), np.arange(rows), present)

    def _kept(self, name: str, values: Mapping[str, Any]) -> Sequence[Any]:
        """What the features of an input are computed from, one entry per item of a batch."""
        kept: Sequence[Any] = values["kept"]
        return kept

    def answers(self, embedded: Mapping[str, Any]) -> Answers:
        """See :class:`Member`."""
        features: Blocks = {}
        for entry in embedded.values():
            features |= entry.features()
        return {
            target: {name: torch.from_numpy(answer) for name, answer in each.items()}
            for target, each in self.plain.answers(features).items()
        }

    def model_names(self, target: str) -> list[str]:
        """See :class:`Member`."""
        return self.plain.model_names(target)

    def disagrees(self, heads: Mapping[str, Head]) -> str:
        """See :class:`Member`."""
        return self.plain.disagrees({target: head.outputs for target, head in heads.items()})


class FrozenMember(PlainMember):
    """Plain models on the outputs of frozen encoders, which it runs itself.

    Args:
        name: Of the candidate.
        model: Fitted; what it reads by ``encoders`` has features of vectors.
        encoders: A model whose encoders alone are used, maybe not all; None where no input has one.
    """

    def __init__(self, name: str, model: PlainModel, encoders: PolymodalModel | None) -> None:
        super().__init__(name, model)
        self.encoders = encoders

    def _kept(self, name: str, values: Mapping[str, Any]) -> Sequence[Any]:
        """See :class:`PlainMember`; of inputs with an encoder the mean of its tokens."""
        encoder = self.encoder(name)
        if encoder is None or self.encoders is None:
            return super()._kept(name, values)
        tensors = {key: tensor.to(self.encoders.device) for key, tensor in values.items()}
        with torch.no_grad():
            sequence = encode(encoder, tensors)
        return list(masked_mean(sequence.tokens.float(), sequence.mask).detach().cpu().numpy())

    def encoder(self, name: str) -> Encoder | None:
        """See :class:`Member`; only of inputs whose features are vectors."""
        is_vector = isinstance(self.model.featurizers.get(name), VectorFeaturizer)
        return encoder_of(self.encoders, name) if is_vector and self.encoders is not None else None


def encoder_of(model: PolymodalModel, name: str) -> Encoder | None:
    """The encoder of an input of a model; None where the model does not read it."""
    return model.encoders[model.encoder_of[name]] if name in model.encoder_of else None


def are_equal(one: Encoder, other: Encoder) -> bool:
    """Whether two encoders give the same tokens: kind, settings and weights are equal."""
    if one is other:
        return True
    if type(one) is not type(other) or encoder_settings(one) != encoder_settings(other):
        return False
    weights, others = one.state_dict(), other.state_dict()
    return weights.keys() == others.keys() and all(
        torch.equal(weight, others[key].to(weight.device)) for key, weight in weights.items()
    )
