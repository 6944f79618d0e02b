"""The readers of plain models in the folder of their candidate."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from polymodal.data.readers import Reader
from polymodal.errors import RunError
from polymodal.plain.features import Featurizer, featurizer_of
from polymodal.plain.model import PlainModel
from polymodal.plain.storage import as_count, reason_of
from polymodal.utils.atomic import write_text
from polymodal.utils.json_files import read_json

READERS_FILE = "readers.json"


def write_readers(folder: Path, readers: Mapping[str, Reader]) -> None:
    """Write the readers of plain models into a candidate's folder."""
    settings = {
        name: {"modality": reader.modality, "items": reader.items, "settings": reader.settings()}
        for name, reader in readers.items()
    }
    write_text(folder / READERS_FILE, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")


def load_readers(folder: Path) -> dict[str, Reader]:
    """The readers that :func:`write_readers` wrote.

    Raises:
        RunError: If the file is missing or is not what it writes.
    """
    try:
        return {name: _load_reader(entry) for name, entry in read_json(folder / READERS_FILE).items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise RunError(f"{folder}: no readable {READERS_FILE} ({reason_of(error)}). Fit again") from None


def check_inputs(folder: Path, read: Collection[str], model: PlainModel, inputs: Sequence[str]) -> None:
    """Check that readers, model and blend are of the same inputs.

    Raises:
        RunError: If not.
    """
    if not set(read) <= set(inputs):
        raise RunError(f"{folder}: reads other inputs than the blend that it is part of. Fit again")
    if set(read) != set(model.featurizers):
        raise RunError(f"{folder}: {READERS_FILE} and settings.json are of different models. Fit again")


def featurizer_for(reader: Reader) -> Featurizer:
    """The featurizer of what a reader keeps, not fitted yet."""
    kind = featurizer_of(reader.modality)
    assert kind is not None
    return kind.for_reader(reader)


def _load_reader(entry: Mapping[str, Any]) -> Reader:
    kind = featurizer_of(str(entry["modality"]))
    if kind is None:
        raise ValueError(f"no plain features of the modality {entry['modality']}")
    reader = kind.load_reader(entry["settings"])
    reader.items = as_count(entry["items"], "items")
    return reader
