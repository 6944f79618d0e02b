"""A blend: several models, the weighted mean of whose answers is predicted (Caruana et al. 2004)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from polymodal.models.base import encode
from polymodal.models.fusion.base import masked_mean
from polymodal.models.heads import Head, build_head
from polymodal.models.modeling import PolymodalForPrediction, PolymodalModel
from polymodal.models.outputs import PolymodalOutput
from polymodal.models.predictor import EmbeddedCells
from polymodal.plain.blocks import Blocks, join_rows
from polymodal.plain.model import PlainModel
from polymodal.utils.records import JsonObject

Answers = dict[str, dict[str, Tensor]]
"""By target and by model: probabilities ``(batch, classes)`` or numbers ``(batch,)``, on the CPU."""
Weights = Mapping[str, Mapping[str, float]]
"""By target and by model: the share of its answers in the blend; those of a target sum to 1."""
JointInputs = Mapping[str, Mapping[str, Any]]
"""By input ``row`` ``(items,)``, and by candidate what its reader makes of the items."""


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
        taken, blocks, rows = where.cpu(), self.blocks, by.rows
        if by.blocks is not self.blocks:
            first = len(next(iter(blocks.values()))) if blocks else 0
            blocks = {name: join_rows([block, by.blocks[name]]) for name, block in blocks.items()}
            rows = rows + first
        chosen = np.where(taken.numpy(), rows, self.rows)
        return PlainInput(blocks, chosen, torch.where(taken, by.present, self.present))

    def features(self) -> Blocks:
        """The features of the batch."""
        return {name: block.rows(self.rows) for name, block in self.blocks.items()}


def model_name(candidate: str, learner: str) -> str:
    """The name of a plain model: ``<candidate>.<learner>``, or that of both where it is the same."""
    return candidate if learner == candidate else f"{candidate}.{learner}"


class PlainMember(Member):
    """Plain models as members of a blend; they compute on the CPU.

    Args:
        name: Of the candidate; those of the models: see :func:`model_name`.
        model: Fitted.
    """

    def __init__(self, name: str, model: PlainModel) -> None:
        super().__init__()
        self.name, self.model = name, model

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
            target: {
                model_name(self.name, learner): torch.from_numpy(answer) for learner, answer in each.items()
            }
            for target, each in self.model.predict_blocks(features).items()
        }

    def model_names(self, target: str) -> list[str]:
        """See :class:`Member`."""
        return [model_name(self.name, learner) for learner in self.model.members.get(target, ())]

    def disagrees(self, heads: Mapping[str, Head]) -> str:
        """See :class:`Member`."""
        for target, members in self.model.members.items():
            for learner, member in members.items():
                fitted = member.learner.fitted
                if target in heads and (fitted is None or fitted.outputs != heads[target].outputs):
                    return f"has another number of classes of '{target}' ({learner})"
        return ""


class FrozenMember(PlainMember):
    """Plain models on the outputs of frozen encoders, which it runs itself.

    Args:
        name: Of the candidate.
        model: Fitted; its features of the inputs of ``encoders`` are those of vectors.
        encoders: A model whose encoders alone are used; None where no input has one.
    """

    def __init__(self, name: str, model: PlainModel, encoders: PolymodalModel | None) -> None:
        super().__init__(name, model)
        self.encoders = encoders

    def _kept(self, name: str, values: Mapping[str, Any]) -> Sequence[Any]:
        """See :class:`PlainMember`; of inputs with an encoder the mean of its tokens."""
        encoders = self.encoders
        if encoders is None or name not in encoders.encoder_of:
            return super()._kept(name, values)
        tensors = {key: tensor.to(encoders.device) for key, tensor in values.items()}
        with torch.no_grad():
            sequence = encode(encoders.encoders[encoders.encoder_of[name]], tensors)
        return list(masked_mean(sequence.tokens.float(), sequence.mask).cpu().numpy())


@dataclass
class JointInput:
    """One input of a batch, for each candidate: see :class:`polymodal.models.predictor.EmbeddedCells`.

    Attributes:
        parts: By candidate.
        present: ``(batch,)`` bool.
    """

    parts: dict[str, EmbeddedCells]
    present: Tensor

    def pick(self, rows: Tensor) -> JointInput:
        """See :class:`EmbeddedCells`."""
        return JointInput({name: part.pick(rows) for name, part in self.parts.items()}, self.present[rows])

    def replaced(self, where: Tensor, by: JointInput) -> JointInput:
        """See :class:`EmbeddedCells`."""
        parts = {name: part.replaced(where, by.parts[name]) for name, part in self.parts.items()}
        return JointInput(parts, torch.where(where.cpu(), by.present, self.present))


@dataclass(frozen=True)
class BlendConfig:
    """What a blend reads and predicts.

    Attributes:
        input_names: In declared order.
        head_names: Targets, in declared order.
        space: None: candidates have no space in common.
    """

    input_names: list[str]
    head_names: list[str]
    space: None = None


class BlendedModel(nn.Module):
    """Predicts the weighted mean of what several models predict; a :class:`Predictor`.

    Probabilities are averaged as they are, numbers after the transform of their head (so that of amounts that
    are learned as logarithms the mean is geometric). The heads here have no weights: they hold what follows
    from an answer: temperature, thresholds, interval.

    Args:
        config: Names of inputs and targets.
        members: By candidate; those that no weight needs may be absent.
        weights: Of each model.
        heads: By target, without weights of their own.
    """

    def __init__(
        self,
        config: BlendConfig,
        members: Mapping[str, Member],
        weights: Weights,
        heads: Mapping[str, Head],
    ) -> None:
        super().__init__()
        self.config, self.weights = config, weights
        self.members = nn.ModuleDict(members)
        self.heads = nn.ModuleDict(
            {f"head {index}": heads[name] for index, name in enumerate(config.head_names)}
        )

    @property
    def device(self) -> torch.device:
        """Where its neural members compute."""
        weight = next(self.members.parameters(), None)
        return torch.device("cpu") if weight is None else weight.device

    def num_parameters(self) -> int:
        """The number of weights of its neural members."""
        return sum(weight.numel() for weight in self.members.parameters())

    def head(self, target: str) -> Head:
        """The head of ``target``."""
        return cast(Head, self.heads[f"head {self.config.head_names.index(target)}"])

    def named_heads(self) -> list[tuple[str, Any]]:
        """Targets and their heads, in declared order."""
        return [(name, self.head(name)) for name in self.config.head_names]

    def model_names(self, target: str) -> list[str]:
        """The models that answer a target."""
        return [name for _, member in self.named_members() for name in member.model_names(target)]

    def named_members(self) -> list[tuple[str, Member]]:
        """Candidates by name."""
        return [(name, cast(Member, member)) for name, member in self.members.items()]

    def embed(self, index: Tensor, inputs: JointInputs) -> dict[str, JointInput]:
        """Every input of a batch, as each candidate reads it."""
        embedded = {name: member.embed(index, _part(inputs, name)) for name, member in self.named_members()}
        return {
            name: JointInput(
                {member: entry[name] for member, entry in embedded.items() if name in entry},
                _present(len(index), inputs.get(name)),
            )
            for name in self.config.input_names
        }

    def predict_embedded(self, embedded: Mapping[str, JointInput]) -> dict[str, Tensor]:
        """Logits of the blended answers, by target, from what :meth:`embed` returned."""
        return self.blended(self.answers(embedded))

    def answers(self, embedded: Mapping[str, JointInput]) -> Answers:
        """The answers of every model, by target."""
        result: Answers = {name: {} for name in self.config.head_names}
        for name, member in self.named_members():
            own = {key: entry.parts[name] for key, entry in embedded.items() if name in entry.parts}
            for target, answers in member.answers(own).items():
                result[target] |= answers
        return result

    def blended(self, answers: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Logits of the weighted means of ``answers``, by target."""
        return {
            target: blend_logits(self.head(target), answers[target], self.weights[target])
            for target in self.config.head_names
        }

    def forward(self, index: Tensor, inputs: JointInputs) -> PolymodalOutput:
        """``logits`` of the blended answers, and ``present``; the candidates have no vectors in common."""
        embedded = self.embed(index, inputs)
        present = torch.stack([entry.present for entry in embedded.values()], dim=1)
        return PolymodalOutput(logits=self.predict_embedded(embedded), present=present)

    def __call__(self, index: Tensor, inputs: JointInputs) -> PolymodalOutput:
        """See :meth:`forward`."""
        return cast(PolymodalOutput, super().__call__(index, inputs))

    def eval(self) -> Self:
        """Set evaluation mode."""
        return super().eval()


def blend_logits(head: Head, answers: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Logits ``(batch, outputs)`` whose answer, not calibrated, is the weighted mean of ``answers``.

    Args:
        head: Of the target.
        answers: By model ``(batch, classes)`` probabilities or ``(batch,)`` numbers.
        weights: By model, above 0, with sum 1.
    """
    used = [(answers[name].double(), weight) for name, weight in weights.items()]
    if used[0][0].ndim > 1:
        return head.as_logits(torch.stack([weight * answer for answer, weight in used]).sum(dim=0)).float()
    return torch.stack([weight * head.as_logits(answer) for answer, weight in used]).sum(dim=0).float()


def as_model(blend: BlendedModel) -> PolymodalForPrediction:
    """A blend in the place of the model of a run, which uses it as a predictor alone."""
    return cast(PolymodalForPrediction, blend)


def head_state(head: Head) -> JsonObject:
    """A head without weights as JSON: its task, settings and temperature."""
    temperature = getattr(head, "temperature", None)
    own = {} if temperature is None else {"temperature": float(temperature)}
    return {"task": head.task, **head.settings(), **own}


def head_of_state(state: Mapping[str, Any]) -> Head:
    """The head that :func:`head_state` describes.

    Raises:
        ValueError: If a setting is none.
    """
    settings = dict(state)
    temperature = settings.pop("temperature", None)
    head = build_head(settings)
    if temperature is not None:
        if not (isinstance(temperature, float) and 0 < temperature < float("inf")):
            raise ValueError(f"a temperature is {temperature!r}, expected a number above 0")
        cast(Tensor, head.temperature).fill_(temperature)
    return head


def _part(inputs: JointInputs, member: str) -> dict[str, dict[str, Any]]:
    """What one candidate's readers made of the inputs."""
    return {
        name: {"row": values["row"], **values[member]} for name, values in inputs.items() if member in values
    }


def _present(rows: int, values: Mapping[str, Any] | None) -> Tensor:
    present = torch.zeros(rows, dtype=torch.bool)
    if values is not None:
        present[values["row"].cpu()] = True
    return present
