"""From a model made by hand to the processor that feeds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import READERS
from polymodal.data.targets import target_reader
from polymodal.models.heads import HEADS


def processor_for_model(model: Any, rows: Sequence[Mapping[str, Any]] = ()) -> PolymodalProcessor:
    """The processor that feeds a model: of a loaded one what was saved beside it, else made for its encoders.

    Args:
        model: Made by ``from_parts``, or loaded.
        rows: Training rows: numbers and features take their scale from them, categories their names,
            text its vocabulary.

    Raises:
        RunError: If the model was loaded and its processor was not saved beside it.
        ConfigError: If an encoder is of a modality without a reader, or the tokenizer or the like of a
            checkpoint cannot be had.
    """
    if model.name_or_path:
        return PolymodalProcessor.from_pretrained(model.name_or_path)
    base = getattr(model, "model", model)
    cells: dict[int, list[Any]] = {}
    for name, index in base.encoder_of.items():
        cells.setdefault(index, []).extend(row.get(name) for row in rows)
    encoders = base.encoders
    readers = {i: READERS[encoders[i].modality].for_encoder(encoders[i], cells[i]) for i in cells}
    targets = {
        entry["name"]: target_reader(HEADS[entry["task"]].reads(), entry.get("classes", []))
        for entry in model.config.heads
    }
    return PolymodalProcessor({name: readers[index] for name, index in base.encoder_of.items()}, targets)
