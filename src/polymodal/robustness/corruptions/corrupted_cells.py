"""One input's cells: decoded once, corrupted often, and each time read as any cell is.

Corruption lies before the reader, so that a checkpoint's own image processor or feature extractor sees a
worse cell and not a worse tensor. A corrupted value is handed to the reader in the place of path or bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from polymodal.data import media
from polymodal.data.media.path_access import Root
from polymodal.data.media.sequence import load_sequence
from polymodal.data.media.video import sample_frames
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
from polymodal.data.readers.frozen_reader import FrozenReader
from polymodal.data.readers.items import each_item
from polymodal.data.values.column_values import as_label
from polymodal.data.values.numbers import read_number
from polymodal.robustness.corruptions.audio_corruptions import sounds
from polymodal.robustness.corruptions.base import Corruption
from polymodal.robustness.corruptions.image_corruptions import CLIPS, PICTURES
from polymodal.robustness.corruptions.text_corruptions import TEXTS
from polymodal.robustness.corruptions.value_corruptions import categories, numbers, sequences

MOST_SIDE = 448
"""The shorter side of a picture for an encoder that does not say what size it sees."""


def corruptions_of(reader: Reader) -> tuple[Corruption, ...]:
    """What can befall the cells of ``reader``; nothing where its modality is not known here."""
    reader = reader.reader if isinstance(reader, FrozenReader) else reader
    if isinstance(reader, AudioReader):
        return sounds(reader.rate)
    if isinstance(reader, NumberReader):
        return numbers(reader.deviation)
    if isinstance(reader, SequenceReader):
        return sequences(reader.deviation)
    if isinstance(reader, CategoryReader):
        return categories(reader.categories)
    return {"image": PICTURES, "video": CLIPS, "text": TEXTS}.get(reader.modality, ())


class CellReader:
    """Reads cells of one input in two steps, between which they may be corrupted.

    Without a corruption both steps give what the reader gives, save for pictures larger than a checkpoint
    sees: these are shrunk first, for noise on pixels that are averaged away afterwards would be none.

    Args:
        reader: Of the input.
    """

    def __init__(self, reader: Reader) -> None:
        self.frozen = reader if isinstance(reader, FrozenReader) else None
        self.reader = reader.reader if isinstance(reader, FrozenReader) else reader
        self._side = _seen_side(self.reader)

    def decode(self, cell: Any, root: Root) -> list[Any]:
        """The items of a cell: pictures, clips as bytes ``(frames, height, width, 3)``, waveforms
        ``(samples,)`` at the reader's rate, texts, numbers, labels or features ``(time, features)``.

        Raises:
            MediaError: If it cannot be read.
        """
        return [self._decode(item, root) for _, item in each_item(cell, self.reader.modality)]

    def read(self, values: Sequence[list[Any]]) -> list[list[Any]]:
        """What the reader keeps of decoded items, row by row."""
        kept = [[self.reader.read(self._cell(value), None) for value in items] for items in values]
        if self.frozen is None:
            return kept
        flat = [item for items in kept for item in items]
        step = self.frozen.BATCH
        parts = [self.frozen.encode(flat[start : start + step]) for start in range(0, len(flat), step)]
        encoded = iter([array for part in parts for array in part])
        return [[next(encoded) for _ in items] for items in kept]

    def _decode(self, cell: Any, root: Root) -> Any:
        reader = self.reader
        if isinstance(reader, ImageReader):
            return self._sized(
                media.load_image(cell, root, gray=reader.part is None, full_scale=reader.full_scale)
            )
        if isinstance(reader, VideoReader):
            frames = sample_frames(cell, root, frames=reader.frames)
            return np.stack([np.asarray(self._sized(frame)) for frame in frames])
        if isinstance(reader, AudioReader):
            return media.load_audio(cell, root, rate=reader.rate, seconds=reader.seconds)
        if isinstance(reader, SequenceReader):
            return load_sequence(cell, root)[: reader.length]
        if isinstance(reader, NumberReader):
            return read_number(cell, reader.written)
        if isinstance(reader, (CategoryReader, TextReader)):
            return cell if isinstance(cell, str) and isinstance(reader, TextReader) else as_label(cell)
        return cell

    def _cell(self, value: Any) -> Any:
        """A decoded value as the reader takes it in the place of a path."""
        if isinstance(self.reader, AudioReader):
            return {"array": value, "sampling_rate": self.reader.rate}
        return value

    def _sized(self, image: Image.Image) -> Image.Image:
        """As large as the encoder sees it; without a processor the square that the reader would make."""
        if getattr(self.reader, "part", None) is None:
            size = (self._side, self._side)
        else:
            scale = min(1.0, self._side / min(image.size))
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def _seen_side(reader: Reader) -> int:
    if not isinstance(reader, (ImageReader, VideoReader)):
        return 0
    if reader.part is None:
        return reader.size
    shape = np.shape(reader.blank())
    is_square = shape[-1:] == shape[-2:-1] and shape[-3:-2] == (3,)  # and no patches in a row
    return shape[-1] if is_square else MOST_SIDE
