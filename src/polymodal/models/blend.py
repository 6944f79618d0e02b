"""A blend: several models, the weighted mean of whose answers is predicted (Caruana et al. 2004)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from polymodal.answers.base import (
    DECODERS,
    Decoder,
    SavedDecoder,
    check_temperature,
    decoder_of_state,
)
from polymodal.answers.plain_answers import Weights, blend_logits
from polymodal.answers.plain_blend import PlainBlend
from polymodal.models.base import encode
from polymodal.models.blend_members import Answers, Member, PlainMember, are_equal
from polymodal.models.heads import Head, HeadDecoder, build_head
from polymodal.models.modeling import PolymodalForPrediction
from polymodal.models.outputs import PolymodalOutput
from polymodal.models.predictor import EmbeddedCells
from polymodal.utils.records import JsonObject

JointInputs = Mapping[str, Mapping[str, Any]]
"""By input ``row`` ``(items,)``, and by candidate what its reader makes of the items."""


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

    def beside(self, other: JointInput) -> JointInput:
        """See :class:`EmbeddedCells`."""
        parts = {name: part.beside(other.parts[name]) for name, part in self.parts.items()}
        return JointInput(parts, torch.cat([self.present, other.present]))

    @property
    def nbytes(self) -> int:
        """See :class:`EmbeddedCells`."""
        return sum(part.nbytes for part in self.parts.values())


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

    Probabilities and numbers are averaged as they are, whatever a model learns them as. The heads here have
    no weights: they hold what follows
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
        self.shared = {name: _sharing(members, name) for name in config.input_names}

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

    @property
    def reads_pretrained(self) -> bool:
        """Whether a candidate reads an input by a pretrained encoder."""
        members = [member for _, member in self.named_members()]
        encoders = [member.encoder(name) for member in members for name in self.config.input_names]
        return any(encoder is not None and encoder.pretrained for encoder in encoders)

    def model_names(self, target: str) -> list[str]:
        """The models that answer a target."""
        return [name for _, member in self.named_members() for name in member.model_names(target)]

    def named_members(self) -> list[tuple[str, Member]]:
        """Candidates by name."""
        return [(name, cast(Member, member)) for name, member in self.members.items()]

    def embed(self, index: Tensor, inputs: JointInputs) -> dict[str, JointInput]:
        """Every input of a batch, as each candidate reads it."""
        inputs = {name: self._encoded(name, values) for name, values in inputs.items()}
        embedded = {name: member.embed(index, _part(inputs, name)) for name, member in self.named_members()}
        return {
            name: JointInput(
                {member: entry[name] for member, entry in embedded.items() if name in entry},
                _present(len(index), inputs.get(name)),
            )
            for name in self.config.input_names
        }

    def _encoded(self, name: str, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """An input with the tokens of the encoder that several candidates have, which runs once for all."""
        sharing = [member for member in self.shared.get(name, ()) if member in values]
        if len(sharing) < 2 or not len(values["row"]) or not _same([values[each] for each in sharing]):
            return values
        encoder = cast(Member, self.members[sharing[0]]).encoder(name)
        assert encoder is not None
        given = {key: tensor.to(self.device) for key, tensor in values[sharing[0]].items()}
        sequence = encode(encoder, {"row": values["row"].to(self.device), **given})
        tokens = {"tokens": sequence.tokens.unflatten(1, sequence.grid), "mask": sequence.mask}
        return {**values, **dict.fromkeys(sharing, tokens)}

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
            target: torch.from_numpy(
                blend_logits(
                    self.head(target).decoder(),
                    {name: answer.numpy() for name, answer in answers[target].items()},
                    self.weights[target],
                )
            )
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


def as_model(blend: BlendedModel) -> PolymodalForPrediction:
    """A blend in the place of the model of a run, which uses it as a predictor alone."""
    return cast(PolymodalForPrediction, blend)


def head_state(head: Head) -> JsonObject:
    """A head without weights as JSON: that of its decoder, or of a head of another package its settings."""
    decoder = head.decoder()
    if isinstance(decoder, SavedDecoder):
        return decoder.state()
    temperature = getattr(head, "temperature", None)
    own = {} if temperature is None else {"temperature": float(temperature)}
    return {"task": head.task, **head.settings(), **own}


def head_of_state(state: Mapping[str, Any]) -> Head:
    """The head that :func:`head_state` describes.

    Raises:
        ValueError: If a setting is none.
    """
    if state["task"] in DECODERS:
        return head_of(decoder_of_state(state))
    settings = dict(state)
    temperature = settings.pop("temperature", None)
    head = build_head(settings)
    if temperature is not None:
        check_temperature(temperature)
        cast(Tensor, head.temperature).fill_(temperature)
    return head


def head_of(decoder: Decoder) -> Head:
    """A head without weights that answers as a decoder does."""
    if isinstance(decoder, HeadDecoder):
        return decoder.head
    assert isinstance(decoder, SavedDecoder)
    settings = decoder.settings()
    temperature = settings.pop("temperature", None)
    head = build_head({"task": decoder.task, **settings})
    if temperature is not None:
        cast(Tensor, head.temperature).fill_(float(str(temperature)))
    return head


def blend_of(plain: PlainBlend) -> BlendedModel:
    """A blend of plain models for analyses, which pick and replace rows of its inputs as tensors."""
    members = {name: PlainMember(name, member.model) for name, member in plain.members.items()}
    heads = {name: head_of(decoder) for name, decoder in plain.decoders.items()}
    return BlendedModel(BlendConfig(plain.input_names, plain.head_names), members, plain.weights, heads)


def _sharing(members: Mapping[str, Member], name: str) -> tuple[str, ...]:
    """The candidates that read an input by equal encoders; none where fewer than two do."""
    encoders = {key: encoder for key, member in members.items() if (encoder := member.encoder(name))}
    equal = [
        tuple(key for key, other in encoders.items() if are_equal(encoder, other))
        for encoder in encoders.values()
    ]
    largest = max(equal, key=len, default=())
    return largest if len(largest) > 1 else ()


def _same(given: Sequence[Mapping[str, Tensor]]) -> bool:
    """Whether several encoders are given the same tensors."""
    first, *others = given
    return all(
        first.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in first.items())
        for other in others
    )


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
