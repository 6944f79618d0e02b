"""What the parts of each input add to the scores of the plain models of a blend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polymodal.answers.plain_answers import model_name
from polymodal.attribution.attributed_parts import CELL, Drawing, InputMap, Part
from polymodal.data.collator import Collator
from polymodal.data.readers.items import each_item
from polymodal.data.row_dataset import RowDataset
from polymodal.data.values.column_values import as_label
from polymodal.models.blend import BlendedModel
from polymodal.models.blend_members import PlainInput, PlainMember
from polymodal.plain.blocks import Blocks
from polymodal.plain.explaining import contributions_of, input_shares, merged, pieces_of
from polymodal.plain.features import Piece
from polymodal.plain.learners.contributions import Contributions, mean_of


@dataclass(frozen=True)
class ModelScore:
    """One plain model in an explanation.

    Attributes:
        name: Of the model.
        weight: Its share in the blend.
        method: How its contributions are computed; empty where they are not known.
        score: What is explained of it: the number that it predicts, or the log-odds of the class (see
            :mod:`polymodal.plain.learners.contributions`); None without a method.
        base: The same before the contributions.
    """

    name: str
    weight: float
    method: str
    score: float | None = None
    base: float | None = None


@dataclass(frozen=True)
class PlainMap:
    """The contributions of one row's inputs to the mean score of the plain models of a blend.

    Attributes:
        models: All that have a part in the answer, those whose contributions are not known included.
        inputs: By name, those that the row has.
        missing: By name of the inputs that the row lacks, what their absence adds.
        score: The mean of the models with a method, by their weights.
        base: The same; it and all contributions sum to ``score``.
    """

    models: tuple[ModelScore, ...]
    inputs: dict[str, InputMap]
    missing: dict[str, float]
    score: float
    base: float

    @property
    def explained(self) -> list[ModelScore]:
        """The models whose contributions are known."""
        return [model for model in self.models if model.method]

    @property
    def weight(self) -> float:
        """The share of the answer that they have."""
        return sum(model.weight for model in self.explained)

    @property
    def method(self) -> str:
        """The methods, each once."""
        return ", ".join(dict.fromkeys(model.method for model in self.explained))

    @property
    def note(self) -> str:
        """Which models are explained by which method, and which are not, as a sentence without its end."""
        listed = [f"{model.name} ({_percent(model.weight)}) by {model.method}" for model in self.explained]
        lost = [f"{model.name} ({_percent(model.weight)})" for model in self.models if not model.method]
        note = f"inside the inputs: plain models, which have {_percent(self.weight)} of the answer: "
        return note + ", ".join(listed) + (f"; without a known method: {', '.join(lost)}" if lost else "")


class PlainRow:
    """One row as the plain models of a blend read it.

    Args:
        model: The blend.
        rows: The table, as the blend reads it.
        place: Index of the row, from 0.
    """

    def __init__(self, model: BlendedModel, rows: RowDataset, place: int) -> None:
        self.model, self.rows, self.cells = model, rows, rows.table.row(place)
        batch = Collator(rows.processor)([rows[place]])
        self.members: dict[str, PlainMember] = {}
        self.blocks: dict[str, Blocks] = {}
        self.kept: dict[str, dict[str, Sequence[Any]]] = {}
        for name, member in model.named_members():
            if isinstance(member, PlainMember):
                own = {
                    key: {"row": values["row"], **values[name]}
                    for key, values in batch["inputs"].items()
                    if name in values
                }
                self.members[name] = member
                embedded = member.embed(batch["index"], own).values()
                read = [part.features() for part in embedded if isinstance(part, PlainInput)]
                self.blocks[name] = {key: block for part in read for key, block in part.items()}
                self.kept[name] = {key: values.get("kept", ()) for key, values in own.items()}

    def explain(self, target: str, output: int) -> PlainMap | None:
        """The contributions to one output; None where no plain model with a method has a part in it."""
        models: list[ModelScore] = []
        means: dict[str, tuple[Contributions, float]] = {}
        for name, member in self.members.items():
            own = self._weights(name, member, target)
            each = contributions_of(member.model, self.blocks[name], target, output, own)
            models += [_score(model_name(name, n), own[n], member, target, n, each.get(n)) for n in own]
            if each:
                weights = [own[learner] for learner in each]
                means[name] = mean_of(list(each.values()), weights), sum(weights)
        if not means:
            return None
        total = sum(weight for _, weight in means.values())
        scaled = {name: mean.scaled(weight / total) for name, (mean, weight) in means.items()}
        score = sum(float(mean.score[0]) for mean in scaled.values())
        base = sum(float(mean.base[0]) for mean in scaled.values())
        return PlainMap(tuple(models), *self._maps(scaled), score, base)

    def _weights(self, name: str, member: PlainMember, target: str) -> dict[str, float]:
        """The learners of a candidate that have a part in the answer, and how large it is."""
        weights = self.model.weights[target]
        names = {learner: model_name(name, learner) for learner in member.model.members.get(target, ())}
        return {learner: weights[model] for learner, model in names.items() if model in weights}

    def _maps(self, found: Mapping[str, Contributions]) -> tuple[dict[str, InputMap], dict[str, float]]:
        """By input the map, or what its absence adds, from the contributions by candidate."""
        pieces: dict[str, list[Piece]] = {}
        missing: dict[str, float] = {}
        texts: dict[str, Sequence[Any]] = {}
        for name, each in found.items():
            model = self.members[name].model
            for key in model.featurizers:
                own, items = input_shares(model, key, each), self.kept[name].get(key)
                if items is None:
                    missing[key] = missing.get(key, 0.0) + sum(float(s.total[0]) for s in own.values())
                    continue
                pieces.setdefault(key, []).extend(pieces_of(model, key, items, own))
                texts[key] = texts.get(key) or items
        return {key: self._map(key, merged(each), texts[key]) for key, each in pieces.items()}, missing

    def _map(self, name: str, pieces: Sequence[Piece], items: Sequence[Any]) -> InputMap:
        parts = [self._part(name, piece) for piece in pieces]
        words = [part for part in parts if part.kind == "word"]
        drawings = [
            Drawing("text", text=text, parts=tuple(word for word in words if word.item == number))
            for number, text in enumerate(items if words else (), start=1)
        ]
        modality = self.rows.processor.readers[name].modality
        return InputMap(
            name, modality, sum(part.attribution for part in parts), parts=parts, drawings=drawings
        )

    def _part(self, name: str, piece: Piece) -> Part:
        text = piece.text
        if piece.kind == CELL:
            modality = self.rows.processor.readers[name].modality
            text = ", ".join(as_label(item) for _, item in each_item(self.cells[name], modality))
        return Part(piece.kind, piece.contribution, piece.item, text, piece.start, piece.end)


def _score(
    name: str, weight: float, member: PlainMember, target: str, learner: str, found: Contributions | None
) -> ModelScore:
    if found is None:
        return ModelScore(name, weight, "")
    method = member.model.members[target][learner].learner.method
    return ModelScore(name, weight, method, float(found.score[0]), float(found.base[0]))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
