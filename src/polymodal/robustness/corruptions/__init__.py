"""Corruptions of cells, level by level; one file per kind of content, registered by modality."""

from polymodal.robustness.corruptions import (
    audio_corruptions,
    image_corruptions,
    text_corruptions,
    value_corruptions,
)
from polymodal.robustness.corruptions.base import (
    CORRUPTIONS,
    LEVELS,
    CellCorruptions,
    Corruption,
    random_of,
)
from polymodal.robustness.corruptions.corrupted_cells import CellReader, corruptions_of

__all__ = [
    "CORRUPTIONS", "LEVELS", "CellCorruptions", "CellReader", "Corruption", "audio_corruptions",
    "corruptions_of", "image_corruptions", "random_of", "text_corruptions", "value_corruptions",
]  # fmt: skip
