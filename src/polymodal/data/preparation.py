"""From declaration and training split to the processor: sizes, rates, vocabularies, scales, classes."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from transformers import AutoConfig, AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer

from polymodal.config import InputConfig, TargetConfig
from polymodal.data import media
from polymodal.data.checks.split_view import each_cell
from polymodal.data.media.cells import MediaError
from polymodal.data.media.image import own_full_scale
from polymodal.data.media.sequence import load_sequence
from polymodal.data.media.video import video_info
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import (
    READERS,
    AudioReader,
    CategoryReader,
    ImageReader,
    NumberReader,
    Reader,
    SequenceReader,
    TextReader,
    VideoReader,
    fixed_seconds,
)
from polymodal.data.readers.items import each_item
from polymodal.data.tables.table import Table
from polymodal.data.targets import TargetReader
from polymodal.data.text_tokenizer import train_tokenizer
from polymodal.data.values.column_values import as_label, parse_numbers, vocabulary_of
from polymodal.data.values.label_types import label_kind
from polymodal.data.values.labels import label_vocabulary, readable_labels
from polymodal.errors import ConfigError
from polymodal.utils.hub import load_pretrained

SAMPLE = 256
"""Files whose headers are read to choose a size and a length."""
LARGEST_SIDE, SMALLEST_SIDE = 96, 32
LARGEST_CLIP, USUAL_FRAMES = 64, 8
"""A clip costs as many pictures as it has frames."""
LONGEST_SECONDS = 10.0
HIGHEST_RATE = 16000
USUAL_TOKENS = 128
UNLIMITED = 10**9
"""A tokenizer that says more than this has no limit."""


def prepare_processor(
    train: Table,
    inputs: Mapping[str, InputConfig],
    targets: Mapping[str, TargetConfig],
    known: Mapping[str, Reader] | None = None,
    *,
    held_by: int = 1,
) -> PolymodalProcessor:
    """The processor of a declaration; what it learns from data it learns from the training split alone.

    Args:
        train: The training split.
        inputs: By name.
        targets: By name.
        known: Readers that some of the inputs have already; they learn nothing more.
        held_by: Training rows that each edge of a number's bins is the mean of.

    Raises:
        ConfigError: If the processor of a checkpoint cannot be had.
    """
    readers: dict[str, Reader] = dict(known or {})
    inputs_left = {name: config for name, config in inputs.items() if name not in readers}
    groups = [part for names in shared_inputs(inputs_left) for part in _of_one_width(train, names, inputs)]
    for names in groups:
        reader = _reader(train, names, inputs[names[0]], held_by)
        reader.items = inputs[names[0]].items
        readers |= dict.fromkeys(names, reader)
    return PolymodalProcessor(
        {name: readers[name] for name in inputs},
        {name: _target(train, name, config) for name, config in targets.items()},
        train.missing,
    )


def shared_inputs(inputs: Mapping[str, InputConfig]) -> list[list[str]]:
    """Inputs by the encoder they share: those of one modality and equal settings, unless told otherwise."""
    groups: dict[Any, list[str]] = {}
    for name, config in inputs.items():
        shares = config.share and READERS[config.modality].may_share
        groups.setdefault(config.model_dump_json() if shares else name, []).append(name)
    return list(groups.values())


def _of_one_width(train: Table, names: list[str], inputs: Mapping[str, InputConfig]) -> list[list[str]]:
    """``names`` as they are; sequences apart where a step has another number of features."""
    if inputs[names[0]].modality != "sequence" or len(names) < 2:
        return [names]
    groups: dict[int, list[str]] = {}
    for name in names:
        features = SequenceReader.fit(_headers(train, [name], load_sequence, "sequence")).features
        groups.setdefault(features, []).append(name)
    return list(groups.values())


def _reader(train: Table, names: list[str], config: InputConfig, held_by: int) -> Reader:
    checkpoint = config.encoder.checkpoint if config.encoder else None
    if config.modality == "text":
        return _text_reader(train, names, config, checkpoint)
    if config.modality == "image":
        part = load_pretrained(AutoImageProcessor, checkpoint) if checkpoint else None
        size = _declared_size(names[0], config) or _side(_headers(train, names, media.image_size, "image"))
        return ImageReader(part, size=size, full_scale=config.full_scale or _full_scale(train, names))
    if config.modality == "audio":
        return _audio_reader(train, names, config, checkpoint)
    if config.modality == "video":
        return _video_reader(train, names, config, checkpoint)
    if config.modality == "sequence":
        return SequenceReader.fit(_headers(train, names, load_sequence, "sequence"), length=config.length)
    if config.modality == "number":
        written = config.format
        return NumberReader.fit(parse_numbers(train.values(names[0]), written)[0], written, held_by)
    return CategoryReader.fit(vocabulary_of(train.values(names[0])).names)


def _text_reader(train: Table, names: list[str], config: InputConfig, checkpoint: str | None) -> TextReader:
    sizes = config.encoder.sizes if config.encoder else {}
    most = sizes.get("max_position_embeddings")
    if checkpoint:
        part = load_pretrained(AutoTokenizer, checkpoint)
        known = load_pretrained(AutoConfig, checkpoint).get_text_config()
        most = min(part.model_max_length, getattr(known, "max_position_embeddings", None) or sys.maxsize)
    else:
        part = train_tokenizer(_texts(train, names))
    most = None if not most or not 0 < most < UNLIMITED else int(most)
    reader = TextReader(part, max_length=min(config.max_length or USUAL_TOKENS, most or sys.maxsize))
    reader.most_tokens = most
    return reader


def _full_scale(train: Table, names: list[str]) -> float | None:
    """What is white in all pictures of more than 8 bits: so a dark one stays dark. None without such.

    Every row is looked at, most of them by a few bytes: one later row may be of a larger scale.
    """
    found: dict[Any, float | None] = {}
    for name in names:
        for cell in each_cell(train.values(name)):
            for _, item in each_item(cell, "image"):
                key = item if isinstance(item, str) else None
                if key is not None and key in found:
                    continue
                try:
                    found[key or len(found)] = own_full_scale(item, train.root)
                except MediaError:  # the check's to name
                    continue
    return max((scale for scale in found.values() if scale is not None), default=None)


def _audio_reader(train: Table, names: list[str], config: InputConfig, checkpoint: str | None) -> AudioReader:
    part = load_pretrained(AutoFeatureExtractor, checkpoint) if checkpoint else None
    known = list(_headers(train, names, media.audio_info, "audio"))
    seconds, rates = zip(*known, strict=True) if known else ((4.0,), (HIGHEST_RATE,))
    usual = max(set(rates), key=rates.count)
    longest = min(LONGEST_SECONDS, math.ceil(float(np.quantile(seconds, 0.98)) * 10) / 10)
    rate = part.sampling_rate if part else config.rate or min(HIGHEST_RATE, usual)
    seconds_kept = fixed_seconds(part) or config.seconds or max(longest, 0.2)
    return AudioReader(part, rate=rate, seconds=float(seconds_kept))


def _video_reader(train: Table, names: list[str], config: InputConfig, checkpoint: str | None) -> VideoReader:
    part = load_pretrained(AutoImageProcessor, checkpoint) if checkpoint else None
    sizes = config.encoder.sizes if config.encoder else {}
    own = sizes.get("num_frames")
    if checkpoint:  # one of pictures reads any number of frames, one of clips its own
        own = getattr(load_pretrained(AutoConfig, checkpoint), "num_frames", None)
    if own and config.frames not in (None, own):
        found = f"'frames' cannot be {config.frames}: the encoder of '{names[0]}' reads {own}"
        raise ConfigError(f"{found}. Leave 'frames' out")
    size = _declared_size(names[0], config)
    if not size:
        known = [(info.width, info.height) for info in _headers(train, names, video_info, "video")]
        size = min(LARGEST_CLIP, _side(known))
    return VideoReader(part, frames=own or config.frames or USUAL_FRAMES, size=size)


def _declared_size(name: str, config: InputConfig) -> int | None:
    """The side of the pictures that ``size`` or the encoder's own ``image_size`` asks for."""
    own = config.encoder.sizes.get("image_size") if config.encoder else None
    own = own[0] if isinstance(own, (list, tuple)) else own
    if own and config.size not in (None, own):
        found = f"'size' cannot be {config.size}: the encoder of '{name}' has 'image_size' {own}"
        raise ConfigError(f"{found}. Leave one of them out")
    return own or config.size


def _texts(train: Table, names: list[str]) -> Iterator[str]:
    for name in names:
        for cell in train.values(name).to_pylist():
            yield from (as_label(text) for _, text in each_item(cell, "text"))


def _side(pictures: Iterable[tuple[int, int]]) -> int:
    """The side that most pictures have, in steps of eight, within limits that a CPU can bear."""
    sides = [max(size) for size in pictures]
    usual = float(np.median(sides)) if sides else 64.0
    return int(min(LARGEST_SIDE, max(SMALLEST_SIDE, math.ceil(usual / 8) * 8)))


def _headers(train: Table, names: list[str], read: Any, modality: str) -> Iterator[Any]:
    """What ``read`` says of a sample of the cells; a cell that cannot be read is the check's to name."""
    for name in names:
        step = max(1, len(train) // SAMPLE)
        for row in range(0, len(train), step):
            for _, item in each_item(train.row(row)[name], modality):
                try:
                    yield read(item, train.root)
                except MediaError:
                    continue


def _target(train: Table, name: str, config: TargetConfig) -> TargetReader:
    if config.family == "regression":
        return TargetReader(config.family, written=config.format)
    values = train.values(name)
    if config.family == "multilabel":
        rows = readable_labels(values, config.separator, train.missing, written=True)
        names = label_vocabulary(rows).names
    else:
        names = vocabulary_of(values).names
    ordered = class_names(names)
    kind = label_kind(values, ordered, train.untyped)
    return TargetReader(config.family, ordered, config.separator, missing=train.missing, kind=kind)


def class_names(labels: Iterable[str]) -> list[str]:
    """The classes that occur among ``labels``, each once: numbers by size, then words."""
    return sorted(set(labels), key=_numbers_first)


def _numbers_first(label: str) -> tuple[bool, float, str]:
    """Sorts ``2`` before ``10``, and numbers before words; ``nan``, which equals nothing, is a word."""
    try:
        number = float(label)
    except ValueError:
        return True, 0.0, label
    return (True, 0.0, label) if math.isnan(number) else (False, number, label)
