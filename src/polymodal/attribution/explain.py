"""Explain predictions of rows: Shapley shares of the inputs, and attributions inside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from polymodal.attribution.attributed_parts import InputMap, cut_input
from polymodal.attribution.attribution_sites import Inlet, find_inlets
from polymodal.attribution.explained_answers import Said, said_of
from polymodal.attribution.integrated_gradients import Attribution, RowPath, attribute
from polymodal.data.collator import RowDataset
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers.items import each_item
from polymodal.errors import RunError, did_you_mean
from polymodal.importance.shares import AnswerShares, answer_shares
from polymodal.models.encoders import Encoder
from polymodal.models.inference import move
from polymodal.models.modeling import PolymodalForPrediction
from polymodal.utils.progress import progress

Values = Mapping[str, Mapping[str, Tensor]]


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
    """

    row: int
    place: int
    said: Said
    found: Attribution
    inputs: dict[str, InputMap]
    missing: tuple[str, ...]


def explain_rows(
    model: PolymodalForPrediction,
    rows: RowDataset,
    places: Sequence[int],
    *,
    targets: Sequence[str] | None = None,
) -> list[Explanation]:
    """Explain the predictions of ``model`` for some rows; computed in fp32.

    Args:
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
    chosen = list(targets or heads)
    for name in chosen:
        if name not in heads:
            raise RunError(f"there is no target '{name}' to explain. {did_you_mean(name, heads)}")
    model.eval()
    shares = answer_shares(model, rows, places, targets=chosen)
    done: list[Explanation] = []
    for number, index in enumerate(progress(places, "explaining rows", len(places))):
        own = {name: shares[name][number] for name in chosen}
        done += explain_row(model, rows, index, own)
    return done


def explain_row(
    model: PolymodalForPrediction,
    rows: RowDataset,
    place: int,
    shares: Mapping[str, AnswerShares],
) -> list[Explanation]:
    """Explain one row; see :func:`explain_rows`.

    Args:
        model: In evaluation mode.
        rows: The table.
        place: Index of the row, from 0.
        shares: Of the row, by the targets to explain.
    """
    kept = rows[place]["cells"]
    inputs = move(rows.processor.collate([kept]), model.device)
    inlets, notes = _inlets(model, rows.processor, inputs)
    path = RowPath(model, inputs, inlets)
    cells = rows.table.row(place)
    missing = tuple(name for name in model.config.input_names if name not in inputs)
    done = []
    for target, share in shares.items():
        head = model.head(target)
        with torch.no_grad():
            logits = path.logits(head, *(inlet.value.float().unsqueeze(0) for inlet in inlets))
        for answer in said_of(target, head, logits):
            attribution = attribute(path, head, answer.output)
            maps = {
                name: _map(
                    rows.processor, name, inputs, inlets, attribution, cells[name], notes.get(name, "")
                )
                for name in inputs
            }
            for name, entry in maps.items():
                entry.share = float(share.shares[name][answer.output])
            done.append(Explanation(int(rows.numbers[place]) + 1, place, answer, attribution, maps, missing))
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
