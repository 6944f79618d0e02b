"""From a model made by hand to the processor that feeds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer, PreTrainedTokenizerBase

from polymodal.data.media.sequence import load_sequence
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import (
    AudioReader,
    CategoryReader,
    ImageReader,
    NumberReader,
    Reader,
    SequenceReader,
    TextReader,
    VideoReader,
)
from polymodal.data.readers.items import each_item
from polymodal.data.targets import TargetReader
from polymodal.data.text_tokenizer import VOCABULARY, train_tokenizer
from polymodal.data.values.column_values import as_label, parse_numbers
from polymodal.data.values.numbers import mean_and_deviation
from polymodal.models.encoders import Encoder
from polymodal.models.heads import HEADS, family_of
from polymodal.utils.hub import load_pretrained


def processor_for_model(model: Any, rows: Sequence[Mapping[str, Any]] = ()) -> PolymodalProcessor:
    """The processor that feeds a model: of a loaded one what was saved beside it, else made for its encoders.

    Args:
        model: Made by ``from_parts``, or loaded.
        rows: Training rows: numbers and features take their scale from them, categories their names,
            text its vocabulary.

    Raises:
        RunError: If the model was loaded and its processor was not saved beside it.
        ConfigError: If the tokenizer or the like of a checkpoint cannot be had.
    """
    if model.name_or_path:
        return PolymodalProcessor.from_pretrained(model.name_or_path)
    base = getattr(model, "model", model)
    cells: dict[int, list[Any]] = {}
    for name, place in base.encoder_of.items():
        cells.setdefault(place, []).extend(row.get(name) for row in rows)
    readers = {place: _reader_for(base.encoders[place], column) for place, column in cells.items()}
    targets = {
        entry["name"]: TargetReader(family_of(HEADS[entry["task"]]), entry.get("classes", []))
        for entry in model.config.heads
    }
    return PolymodalProcessor({name: readers[place] for name, place in base.encoder_of.items()}, targets)


def _reader_for(encoder: Encoder, cells: Sequence[Any]) -> Reader:
    checkpoint = getattr(encoder, "checkpoint", None)
    if encoder.modality == "text":
        tokenizer = load_pretrained(AutoTokenizer, checkpoint) if checkpoint else _tokenizer(encoder, cells)
        return TextReader(tokenizer, max_length=getattr(encoder, "max_length", 128))
    if encoder.modality == "image":
        part = load_pretrained(AutoImageProcessor, checkpoint) if checkpoint else None
        return ImageReader(part, size=getattr(encoder, "size", 64))
    if encoder.modality == "audio":
        part = load_pretrained(AutoFeatureExtractor, checkpoint) if checkpoint else None
        rate, seconds = getattr(encoder, "rate", 16000), getattr(encoder, "seconds", 4.0)
        return AudioReader(part, rate=rate, seconds=seconds)
    if encoder.modality == "video":
        part = load_pretrained(AutoImageProcessor, checkpoint) if checkpoint else None
        return VideoReader(part, frames=getattr(encoder, "frames", 8), size=getattr(encoder, "size", 64))
    if encoder.modality == "sequence":
        return _sequence_reader(encoder, cells)
    if encoder.modality == "number":
        return _number_reader(getattr(encoder, "features", 1), cells)
    return CategoryReader.fit(as_label(cell) for cell in cells)


def _tokenizer(encoder: Encoder, cells: Sequence[Any]) -> PreTrainedTokenizerBase:
    """The encoder's own tokenizer, or one trained on ``cells`` that is no larger than its vocabulary."""
    given = getattr(encoder, "tokenizer", None)
    most = getattr(getattr(encoder, "config", None), "vocab_size", None) or VOCABULARY
    texts = (as_label(text) for cell in cells for _, text in each_item(cell, "text"))
    return given or train_tokenizer(filter(None, texts), vocabulary=min(most, VOCABULARY))


def _sequence_reader(encoder: Encoder, cells: Sequence[Any]) -> SequenceReader:
    """Scales by the cells that have as many features as the encoder reads."""
    features, length = getattr(encoder, "features", 1), getattr(encoder, "length", 256)
    arrays = [load_sequence(item) for cell in cells for _, item in each_item(cell, "sequence")]
    arrays = [array for array in arrays if array.shape[1] == features]
    return (
        SequenceReader.fit(arrays, length=length)
        if arrays
        else SequenceReader(features=features, length=length)
    )


def _number_reader(features: int, cells: Sequence[Any]) -> NumberReader:
    numbers, _ = parse_numbers(pa.chunked_array([pa.array([as_label(cell) for cell in cells], pa.string())]))
    known = numbers[~np.isnan(numbers)]
    if not len(known):
        return NumberReader(edges=np.linspace(-1, 1, features).tolist())
    mean, deviation = mean_and_deviation(known)
    # The encoder's width is fixed already, so here the bins may not shrink where quantiles coincide.
    apart = np.arange(features) * 1e-6 * deviation
    edges = np.quantile(known, np.linspace(0, 1, features)) + apart
    return NumberReader(mean=mean, deviation=deviation, edges=edges.tolist())
