"""Integrated gradients of an input, summed by parts: words, cells, boxes of a picture, spans of time.

The parts depend on the modality; those of an input always add up to the attribution of the input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from polymodal.attribution import image_maps as pixels
from polymodal.attribution import time_maps as sounds
from polymodal.attribution.attribution_sites import Inlet
from polymodal.attribution.word_spans import words_of
from polymodal.data.readers import (
    AudioReader,
    CategoriesReader,
    CategoryReader,
    DateReader,
    ImageReader,
    NumberReader,
    Reader,
    SequenceReader,
    TextReader,
    VideoReader,
)
from polymodal.data.values.column_values import as_label
from polymodal.utils.registry import Registry

BOXES = 8
"""Boxes per side of a picture; a frame of a clip is one part."""


@dataclass(frozen=True)
class Part:
    """A part of an input.

    Attributes:
        kind: ``word``, ``cell``, ``box``, ``frame``, ``span`` (seconds), ``step``, or ``feature``: one that
            plain models compute from the input.
        attribution: In the unit of the attributed value.
        item: Of the cell, from 1; None for features of a cell of several items.
        text: The word, the cell, or the name of the feature.
        start: First letter from 0, second, step or frame from 1.
        end: Behind the last letter, second, last step or frame.
        box: Left, top, right and bottom, as shares of what the encoder sees of the picture.
    """

    kind: str
    attribution: float
    item: int | None = 1
    text: str = ""
    start: float | None = None
    end: float | None = None
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Drawing:
    """The drawing of an item on a page: a heat map over a picture, or a text.

    Attributes:
        kind: ``heat`` or ``text``.
        under: ``(height, width, 3)`` uint8 picture below the heat.
        heat: ``(height, width)`` signed.
        text: Of which ``parts`` are words.
        parts: The item's words.
        axis: What runs from left to right, in words.
        tall: Height of a picture that keeps its proportions, as a share of the tallest drawing; 0 stretches
            it to the width of the page.
    """

    kind: str
    under: np.ndarray | None = None
    heat: np.ndarray | None = None
    text: str = ""
    parts: tuple[Part, ...] = ()
    axis: str = ""
    tall: float = 0.0


@dataclass
class InputMap:
    """The attribution of one input of a row.

    Attributes:
        name: Of the input.
        modality: Of the input.
        attribution: Of the whole input; NaN where there is no map.
        share: The input's Shapley share in the answer, in probability or the target's unit.
        parts: Add up to ``attribution``.
        drawings: One per item.
        note: Why there is no map, or another remark.
    """

    name: str
    modality: str
    attribution: float = float("nan")
    share: float = float("nan")
    parts: list[Part] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    note: str = ""


Found = tuple[list[Part], Drawing | None]
Cut = Callable[[Reader, Inlet, dict[str, Tensor], np.ndarray, Any, int], Found]
"""Reader, inlet, the input's tensors, an item's attributions, its cell, its index from 0."""
MAPS: Registry[Cut] = Registry("map", group="polymodal.maps")
"""The function that makes parts, by modality; without one the page shows the input as a whole, with a note.

Another package adds its own function under the entry points ``polymodal.maps``.
"""
CELL = "cell"
"""The kind of the one part of an input that is a single value."""
FEATURE = "feature"
"""The kind of a column of what plain models compute from an input."""


def cut_input(
    entry: InputMap, reader: Reader, values: dict[str, Tensor], found: Iterable[tuple[Inlet, np.ndarray]],
    items: list[Any],
) -> None:  # fmt: skip
    """Fill ``entry`` with the parts and drawings of every item.

    Args:
        entry: Of the input.
        reader: Of the input.
        values: Its tensors, in main memory.
        found: Inlets with their attributions, ``(items, …)``.
        items: Of the row's cell.
    """
    entry.attribution = 0.0
    for inlet, attributions in found:
        entry.attribution += float(attributions.sum())
        cut = MAPS.get(reader.modality, cut_unsupported)
        for index, item in enumerate(items):
            parts, drawing = cut(reader, inlet, values, attributions[index], item, index)
            if cut is cut_unsupported:
                entry.note = f"maps are not supported for {reader.modality}: the whole input alone"
            elif not parts:
                entry.note = "values of a shape that has no map: the whole input alone"
            entry.parts += parts
            entry.drawings += [drawing] if drawing else []


def cut_unsupported(
    reader: Reader, inlet: Inlet, values: dict[str, Tensor], found: np.ndarray, cell: Any, place: int
) -> Found:
    """No parts and no drawing: the default for a modality without an entry in :data:`MAPS`."""
    return [], None


@MAPS.register(TextReader.modality)
def cut_text(
    reader: Any, inlet: Inlet, values: dict[str, Tensor], found: np.ndarray, cell: Any, place: int
) -> Found:
    """One part per word."""
    text, words = words_of(reader, cell, found.reshape(len(found), -1).sum(axis=1))
    parts = [Part("word", w.attribution, place + 1, w.text, w.start, w.end) for w in words]
    return parts, Drawing("text", text=text, parts=tuple(parts))


@MAPS.register(NumberReader.modality)
@MAPS.register(CategoryReader.modality)
@MAPS.register(DateReader.modality)
def cut_cell(
    reader: Reader, inlet: Inlet, values: dict[str, Tensor], found: np.ndarray, cell: Any, place: int
) -> Found:
    """The cell as a whole."""
    return [Part(CELL, float(found.sum()), place + 1, as_label(cell))], None


@MAPS.register(CategoriesReader.modality)
def cut_labels(
    reader: Any, inlet: Inlet, values: dict[str, Tensor], found: np.ndarray, cell: Any, place: int
) -> Found:
    """One part per label; labels that are not in the training rows share one."""
    names: dict[int, str] = {}
    for label, index in zip(reader.labels(cell), reader.read(cell, None).tolist(), strict=True):
        names.setdefault(index, label if index else "unknown")
    parts = [Part(CELL, float(found[index]), place + 1, name) for index, name in names.items()]
    return parts or [Part(CELL, float(found.sum()), place + 1, "none")], None


@MAPS.register(ImageReader.modality)
def cut_picture(
    reader: Reader, inlet: Inlet, values: dict[str, Tensor], found: np.ndarray, cell: Any, place: int
) -> Found:
    """Boxes of a grid over what the encoder sees of the picture."""
    laid = pixels.channels_last(found)
    if laid is None or laid.ndim != 3:
        return [], None
    heat = laid.sum(axis=2)
    parts = [
        Part("box", value, place + 1, box=box) for box, value in pixels.boxes(heat, min(BOXES, *heat.shape))
    ]
    under = pixels.shown(values[inlet.key][place].numpy(), reader.part)
    return parts, Drawing("heat", under, heat, tall=1.0)


@MAPS.register(VideoReader.modality)
def cut_clip(
    reader: Reader, inlet: Inlet, values: dict[str, Tensor], found: np.ndarray, cell: Any, place: int
) -> Found:
    """One part per frame."""
    laid = pixels.channels_last(found)
    if laid is None or laid.ndim != 4:
        return [], None
    heat = laid.sum(axis=3)
    parts = [
        Part("frame", float(frame.sum()), place + 1, start=number, end=number)
        for number, frame in enumerate(heat, start=1)
    ]
    under = pixels.shown(values[inlet.key][place].numpy(), reader.part)
    return parts, Drawing("heat", pixels.strip(under), pixels.strip(heat), axis="frames in order", tall=1.5)


@MAPS.register(AudioReader.modality)
def cut_sound(
    reader: Any, inlet: Inlet, values: dict[str, Tensor], found: np.ndarray, cell: Any, place: int
) -> Found:
    """One part per span of time, and one for the padding behind the sound."""
    assert isinstance(reader, AudioReader)
    heard = min(int(values["length"][place]) / reader.rate, reader.seconds)
    laid = sounds.frequency_by_time(found, reader.part)
    if laid is None:
        return [], None
    parts = [
        Part("span", value, place + 1, text, start, end)
        for text, start, end, value in sounds.spans(laid.sum(axis=0), heard, reader.seconds)
    ]
    there = inlet.value[place].detach().cpu().numpy()
    under, heat = sounds.drawn(there, laid, reader, heard)
    return parts, Drawing("heat", under, heat, axis=f"0 to {heard:.2g} s")


@MAPS.register(SequenceReader.modality)
def cut_steps(
    reader: Reader, inlet: Inlet, values: dict[str, Tensor], found: np.ndarray, cell: Any, place: int
) -> Found:
    """One part per time step."""
    length = min(int(values["length"][place]), len(found))
    kept, there = found[:length], inlet.value[place][:length].detach().cpu().numpy()
    parts = [
        Part("step", float(step.sum()), place + 1, start=number, end=number)
        for number, step in enumerate(kept, start=1)
    ]
    parts_drawn = sounds.grey(there.T), kept.T
    return parts, Drawing("heat", *parts_drawn, axis=f"steps 1 to {length}, a line a feature")
