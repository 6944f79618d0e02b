"""One reader a modality, one file a kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer

from polymodal.data.readers.audio import AudioReader, fixed_seconds
from polymodal.data.readers.base import READERS, Reader
from polymodal.data.readers.image import ImageReader
from polymodal.data.readers.sequence import SequenceReader
from polymodal.data.readers.table import CategoryReader, NumberReader
from polymodal.data.readers.text import TextReader
from polymodal.data.readers.video import VideoReader

__all__ = [
    "READERS", "AudioReader", "CategoryReader", "ImageReader", "NumberReader", "Reader",
    "SequenceReader", "TextReader", "VideoReader", "fixed_seconds", "load_reader",
]  # fmt: skip

PARTS = {
    "text": AutoTokenizer,
    "image": AutoImageProcessor,
    "audio": AutoFeatureExtractor,
    "video": AutoImageProcessor,  # AutoVideoProcessor needs torchvision
}
"""How a reader's ``part`` is loaded."""


def load_reader(modality: str, settings: dict[str, Any], folder: Path | None) -> Reader:
    """The reader with these settings, its part loaded from ``folder`` where it has one."""
    kind: Any = READERS[modality]
    loader: Any = PARTS.get(modality)
    return kind(loader.from_pretrained(folder), **settings) if folder else kind(**settings)
