"""Explain predictions of rows: Shapley shares of the inputs, and attributions inside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from polymodal.attribution.attributed_parts import InputMap, cut_input
from polymodal.attribution.attribution_sites import Inlet, find_inlets
from polymodal.attribution.explained_answers import Said, said_of
from polymodal.attribution.integrated_gradients import Attribution, RowPath, attribute
from polymodal.attribution.plain_parts import PlainMap, PlainRow
from polymodal.data.collator import Collator
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers.items import each_item
from polymodal.data.row_dataset import RowDataset
from polymodal.errors import RunError, did_you_mean
from polymodal.importance.contributions import AnswerShares
from polymodal.importance.shares import answer_shares
from polymodal.models.blend import BlendedModel
from polymodal.models.encoders import Encoder
from polymodal.models.inference import move, run_model
from polymodal.models.modeling import PolymodalForPrediction
from polymodal.models.predictor import Predictor
from polymodal.utils.progress import progress

Values = Mapping[str, Mapping[str, Tensor]]
PLAIN = "plain models answer, which are explained by whole inputs"


@dataclass(frozen=True)
class Explanation:
    """The explanation of one prediction of one row.

    Attributes:
        row: Its number in the table, from 1, the header not counted.
        place: Its index among the rows of the data set, from 0.
        said: The prediction.
        found: The attributions, and their completeness error.
        inputs: By name, those that the row has.
        missing: Names of those that it lacks.
        weight: The share in the answer of the neural model, which ``found`` is of.
        plain: What the parts of the inputs add to the scores of the plain models of a blend; None where none
            of them has a part in the answer.
        target_unit: Of a target of numbers, to be shown beside them; empty where it is not known.
    """

    row: int
    place: int
    said: Said
    found: Attribution
    inputs: dict[str, InputMap]
    missing: tuple[str, ...]
    weight: float = 1.0
    plain: PlainMap | None = None
    target_unit: str = ""


@dataclass(frozen=True)
class Inside:
    """The neural model by whose gradients an explanation looks inside the inputs.

    Attributes:
        model: In evaluation mode.
        rows: The table, as this model reads it.
        shares: By target, its share in the answer; 1 where it answers alone.
    """

    model: PolymodalForPrediction
    rows: RowDataset
    shares: Mapping[str, float] = field(default_factory=dict)

    def share(self, target: str) -> float:
        """Its share in the answer for a target."""
        return self.shares.get(target, 1.0)

    def note(self, target: str) -> str:
        """What a map of it is about; empty where the model answers alone."""
        share = self.share(target)
        return (
            ""
            if share == 1
            else f"inside the inputs: the neural model alone, which has {100 * share:.0f} % of the blend"
        )


def explain_rows(
    model: Predictor,
    rows: RowDataset,
    places: Sequence[int],
    *,
    targets: Sequence[str] | None = None,
    inside: Inside | None = None,
) -> list[Explanation]:
    """Explain the predictions of ``model`` for some rows; computed in fp32.

    Args:
        inside: The neural model that is a part of a blend; without one inputs are explained as wholes.
        model: In any mode; left in evaluation mode.
        rows: The table.
        places: Indices of the rows, from 0.
        targets: To explain; by default all.

    Returns:
        Row by row, target by target; several per target where several labels are predicted.

    Raises:
        DataError: If a cell of these rows cannot be read.
        RunError: If there is no such target.
    """
    heads = dict(model.named_heads())
    chosen = list(dict.fromkeys(targets or heads))
    for name in chosen:
        if name not in heads:
            raise RunError(f"there is no target '{name}' to explain. {did_you_mean(name, heads)}")
    model.eval()
    shares = answer_shares(model, rows, places, targets=chosen)
    done: list[Explanation] = []
    for number, index in enumerate(progress(places, "explaining rows", len(places))):
        own = {name: shares[name][number] for name in chosen}
        done += explain_row(model, rows, index, own, inside)
    return done


def explain_row(
    model: Predictor,
    rows: RowDataset,
    place: int,
    shares: Mapping[str, AnswerShares],
    inside: Inside | None,
) -> list[Explanation]:
    """Explain one row; see :func:`explain_rows`.

    Args:
        model: In evaluation mode.
        rows: The table.
        place: Index of the row, from 0.
        shares: Of the row, by the targets to explain.
        inside: See :func:`explain_rows`.
    """
    if isinstance(model, PolymodalForPrediction):
        inside = inside or Inside(model, rows)
    said = None if isinstance(model, PolymodalForPrediction) else _predictions(model, rows, place, shares)
    plain = PlainRow(model, rows, place) if isinstance(model, BlendedModel) else None
    if inside is None:
        return _of_wholes(rows, place, shares, said or {}, plain)
    neural, rows = inside.model, inside.rows
    inputs = move(rows.processor.collate([rows[place]["cells"]]), neural.device)
    inlets, notes = _inlets(neural, rows.processor, inputs)
    path = RowPath(neural, inputs, inlets)
    cells = rows.table.row(place)
    missing = tuple(name for name in neural.config.input_names if name not in inputs)
    done = []
    for target, share in shares.items():
        head = neural.head(target)
        with torch.no_grad():
            logits = path.logits(head, *(inlet.value.float().unsqueeze(0) for inlet in inlets))
        for answer in said_of(target, head, logits) if said is None else said[target]:
            attribution = attribute(path, head, answer.output)
            maps = {
                name: _map(
                    rows.processor, name, inputs, inlets, attribution, cells[name],
                    notes.get(name, "") or inside.note(target),
                )
                for name in inputs
            }  # fmt: skip
            for name, entry in maps.items():
                entry.share = float(share.shares[name][answer.output])
            done.append(
                Explanation(
                    int(rows.numbers[place]) + 1, place, answer, attribution, maps, missing,
                    inside.share(target), plain.explain(target, answer.output) if plain else None,
                )
            )  # fmt: skip
    return done


def _predictions(
    model: Predictor, rows: RowDataset, place: int, targets: Iterable[str]
) -> dict[str, list[Said]]:
    """The predictions of one row, by target."""
    batch = Collator(rows.processor)([rows[place]])
    logits = run_model(model, batch).logits
    assert logits is not None
    return {name: said_of(name, model.head(name), logits[name]) for name in targets}


def _of_wholes(
    rows: RowDataset,
    place: int,
    shares: Mapping[str, AnswerShares],
    said: Mapping[str, list[Said]],
    plain: PlainRow | None,
) -> list[Explanation]:
    """Explanations by inputs as wholes, where no neural model has a part in the answer."""
    done = []
    for target, share in shares.items():
        for answer in said[target]:
            parts = plain.explain(target, answer.output) if plain else None
            maps = {
                name: InputMap(name, rows.processor.readers[name].modality, note="" if parts else PLAIN)
                for name in share.shares
            }
            for name, entry in maps.items():
                entry.share = float(share.shares[name][answer.output])
            value = float(share.answer[answer.output])
            nothing = Attribution(parts={}, value=value, base=value, steps=0)
            number = int(rows.numbers[place]) + 1
            done.append(Explanation(number, place, answer, nothing, maps, share.missing, 0.0, parts))
    return done


def _inlets(
    model: PolymodalForPrediction, processor: PolymodalProcessor, inputs: Values
) -> tuple[list[Inlet], dict[str, str]]:
    """The attribution sites of the row's inputs, and notes on inputs without any."""
    inlets: list[Inlet] = []
    notes = {}
    for name, values in inputs.items():
        encoder = cast(Encoder, model.model.encoders[model.model.encoder_of[name]])
        sites, note = find_inlets(name, encoder, processor.readers[name], values)
        inlets += sites
        if note:
            notes[name] = note
    return inlets, notes


def _map(
    processor: PolymodalProcessor,
    name: str,
    inputs: Values,
    inlets: Sequence[Inlet],
    found: Attribution,
    cell: Any,
    note: str,
) -> InputMap:
    reader = processor.readers[name]
    entry = InputMap(name, reader.modality, note=note)
    own: list[tuple[Inlet, np.ndarray]] = [
        (inlet, found.parts[inlet.name, inlet.key]) for inlet in inlets if inlet.name == name
    ]
    if own:
        items = [item for _, item in each_item(cell, reader.modality)]
        cut_input(entry, reader, move(inputs[name], "cpu"), own, items)
    return entry
