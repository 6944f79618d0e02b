"""One reader per modality, one file each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polymodal.data.readers.audio import AudioReader, fixed_seconds
from polymodal.data.readers.base import READERS, Reader, content_of, is_media
from polymodal.data.readers.categories import CategoriesReader
from polymodal.data.readers.category import CategoryReader
from polymodal.data.readers.content import Content
from polymodal.data.readers.date import DateReader
from polymodal.data.readers.image import ImageReader
from polymodal.data.readers.number import NumberReader
from polymodal.data.readers.sequence import SequenceReader
from polymodal.data.readers.text import TextReader
from polymodal.data.readers.video import VideoReader

__all__ = [
    "READERS", "AudioReader", "CategoriesReader", "CategoryReader", "Content", "DateReader", "ImageReader",
    "NumberReader", "Reader", "SequenceReader", "TextReader", "VideoReader", "content_of", "fixed_seconds",
    "is_media", "load_reader",
]  # fmt: skip


def load_reader(modality: str, settings: dict[str, Any], folder: Path | None) -> Reader:
    """The reader with these settings, its part loaded from ``folder`` where it has one.

    Raises:
        ValueError: If a setting is none that a fit writes, or the part cannot be read.
    """
    kind: Any = READERS[modality]
    kind.check_settings(settings)
    return kind(**settings) if folder is None else kind(kind.load_part(folder), **settings)
