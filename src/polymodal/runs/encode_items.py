"""Encode a mixed list of texts, media and rows as vectors: the implementation of ``Run.encode``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from polymodal.data.media.cells import describe, is_empty, recognise
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import TextReader
from polymodal.errors import DataError, Problem, did_you_mean
from polymodal.models import PolymodalForPrediction
from polymodal.models.inference import Batch, run_model
from polymodal.models.outputs import PolymodalOutput
from polymodal.runs.core import RunBase
from polymodal.utils.out_of_memory import RowsAtOnce

EncodingRun = RunBase[PolymodalForPrediction, PolymodalProcessor]
NAME = "items"
"""Name of the list in error messages."""
FILE_KEYS = {"array", "bytes", "path", "sampling_rate"}
"""A dict of these alone is a picture, recording or clip; any other is a row."""


def width_of(model: PolymodalForPrediction) -> int:
    """Width of the vector of an input."""
    return int(model.config.space or model.config.fusion["width"])


def encode(run: EncodingRun, items: Any, *, normalize: bool = True, batch_size: int = 128) -> np.ndarray:
    """Vectors ``(items, width)`` float32 of items; of a single item ``(width,)``.

    An item of several inputs has the mean of their unit vectors, so that each input has the same weight.

    Args:
        run: Encodes.
        items: A list of items, or a single one; see :func:`as_cells`.
        normalize: Scale each vector to length 1.
        batch_size: Items per batch.

    Raises:
        DataError: If an item is empty or of no known kind, or no input reads it.
    """
    if isinstance(items, (str, bytes, Mapping, Image.Image, np.ndarray, os.PathLike)):
        return encode(run, [items], normalize=normalize)[0]
    cells = all_cells(run, list(items))
    vectors = np.zeros((len(cells), width_of(run.model)), dtype=np.float32)

    def embed(numbers: Sequence[int]) -> PolymodalOutput:
        batch = run.processor([cells[number] for number in numbers], numbers=numbers, source=NAME)
        return run_model(run.model, batch, run.precision)

    for numbers, output in RowsAtOnce(batch_size, run.model.device).work(range(len(cells)), embed):
        each = np.stack([vector.float().numpy() for vector in output.embeddings.values()])  # type: ignore[union-attr]
        present = output.present.numpy().T  # type: ignore[union-attr]
        vectors[list(numbers)] = mean_of_units(each, present)
    return unit(vectors) if normalize else vectors


def vectors_of(batch: Batch, inputs: Sequence[str], name: str | None) -> np.ndarray:
    """Vectors ``(batch, width)`` of an input, or of the fused row; NaN where it is missing or unread.

    Args:
        batch: With the model's output.
        inputs: Of the model, in declared order.
        name: One of them; None for the fused row.
    """
    output = batch.output
    assert output.fused is not None and output.embeddings is not None and output.present is not None
    vectors = (output.fused if name is None else output.embeddings[name]).float().clone()
    if name is not None:
        vectors[~output.present[:, inputs.index(name)]] = torch.nan
    vectors[torch.from_numpy(batch.unread)] = torch.nan
    return vectors.numpy()


def mean_of_units(each: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Mean ``(items, width)`` of each item's unit vectors; the vector of a single input is not scaled.

    Args:
        each: ``(inputs, items, width)``.
        present: ``(inputs, items)`` bool, which inputs each item has.
    """
    count = present.sum(axis=0)[:, np.newaxis]
    kept = np.where(present[..., np.newaxis], np.where(count > 1, unit(each), each), 0.0)
    return (kept.sum(axis=0) / np.maximum(count, 1)).astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    """``vectors`` scaled to length 1; vectors of zeros stay zeros."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def all_cells(run: EncodingRun, items: list[Any]) -> list[dict[str, object]]:
    """:func:`as_cells` of every item.

    Raises:
        DataError: One line for each item that cannot be encoded.
    """
    cells, problems = [], []
    for number, item in enumerate(items, start=1):
        try:
            cells.append(as_cells(run, item, number))
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems)
    return cells


def as_cells(run: EncodingRun, item: Any, number: int = 1) -> dict[str, object]:
    """Cells of ``item`` by input.

    Args:
        run: Its inputs are the possible keys.
        item: ``{input: cell, …}``, a row or part of one; else one cell, which goes to the first input of its
            modality: a path, ``data:`` URI, bytes, PIL image or array by its recognised modality, any other
            text as text.
        number: Of the item, from 1, for messages.

    Raises:
        DataError: If it is empty, of no known kind, or no input reads its modality.
    """
    names = list(run.processor.readers)
    if isinstance(item, Mapping) and not (item and item.keys() <= FILE_KEYS and not item.keys() & set(names)):
        return _row_cells(item, names, number)
    if is_empty(item):
        raise _refused("an empty item", number, expected="a text, a file or a row")
    modality = recognise(item) or (TextReader.modality if isinstance(item, str) else None)
    if modality is None:
        raise _refused(
            describe(item), number, expected="a text, a path, bytes, a picture, an array or a dict"
        )
    name = input_of(run, modality)
    if name is None:
        reason = f"{describe(item)} is of modality {modality}, which no input reads"
        fix = "Give a dict, such as {'" + names[0] + "': …}, to say what it is."
        raise _refused(reason, number, expected=f"one of {inputs_read(run)}", fix=fix)
    return {name: item}


def _row_cells(item: Mapping[str, Any], names: list[str], number: int) -> dict[str, object]:
    if not item.keys() & set(names):
        keys = ", ".join(map(str, item)) or "no key"
        fix = did_you_mean(str(next(iter(item), "")), names)
        raise _refused(f"a row of {keys}", number, expected="an input among its keys", fix=fix)
    cells = {name: item[name] for name in names if name in item and not _is_nothing(item[name])}
    if not cells:
        raise _refused("a row whose inputs are all empty", number, expected="one that is filled")
    return cells


def _is_nothing(cell: Any) -> bool:
    return is_empty(cell) or type(cell).__name__ in ("NAType", "NaTType")


def input_of(run: EncodingRun, modality: str) -> str | None:
    """The first input that reads ``modality``, if there is one."""
    readers = run.processor.readers
    return next((name for name, reader in readers.items() if reader.modality == modality), None)


def inputs_read(run: EncodingRun) -> str:
    """The inputs with their modalities, such as ``photo (image), note (text)``."""
    return ", ".join(f"{name} ({reader.modality})" for name, reader in run.processor.readers.items())


def _refused(reason: str, number: int, expected: str = "", fix: str = "") -> DataError:
    return DataError(Problem(found=reason, expected=expected, cure=fix, file=NAME, row=number))
