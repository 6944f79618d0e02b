"""One reader a modality, one file a kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer

from polymodal.data.readers.audio import AudioReader, fixed_seconds
from polymodal.data.readers.base import READERS, Reader
from polymodal.data.readers.image import ImageReader
from polymodal.data.readers.saved_settings import check_settings
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


TRIAL = "".join(map(chr, range(32, 592)))
"""Every byte and many letters: a tokenizer whose vocabulary is damaged fails on it."""


def load_reader(modality: str, settings: dict[str, Any], folder: Path | None) -> Reader:
    """The reader with these settings, its part loaded from ``folder`` where it has one.

    Raises:
        ValueError: If a setting is none that a fit writes, or the part cannot be read.
    """
    kind: Any = READERS[modality]
    loader: Any = PARTS.get(modality)
    check_settings(modality, settings)
    if folder is None:
        return kind(**settings)
    return kind(load_part(loader, folder), **settings)


def load_part(loader: Any, folder: Path) -> Any:
    """What ``loader`` makes of a folder of Transformers' own files.

    Raises:
        ValueError: If they cannot be read; Transformers raises whatever its reading of damage comes to.
    """
    try:
        part = loader.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        if loader is AutoTokenizer:
            part(TRIAL)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of tokenizers' Rust is no Exception
        raise ValueError(f"{folder.name}: {str(error) or type(error).__name__}") from error
    return part
