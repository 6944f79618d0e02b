"""Encoders by modality; each turns one input's items into a :class:`TokenSequence`."""

from polymodal.models.encoders.audio import AudioEncoder
from polymodal.models.encoders.base import (
    ENCODERS,
    Encoder,
    as_it_is,
    build_encoder,
    encoder_settings,
    no_augmentation,
)
from polymodal.models.encoders.categories import CategoriesEncoder
from polymodal.models.encoders.category import CategoryEncoder
from polymodal.models.encoders.date import DateEncoder
from polymodal.models.encoders.image import ImageEncoder
from polymodal.models.encoders.number import NumberEncoder
from polymodal.models.encoders.sequence import SequenceEncoder
from polymodal.models.encoders.text import TextEncoder
from polymodal.models.encoders.video import VideoEncoder

__all__ = [
    "ENCODERS",
    "AudioEncoder",
    "CategoriesEncoder",
    "CategoryEncoder",
    "DateEncoder",
    "Encoder",
    "ImageEncoder",
    "NumberEncoder",
    "SequenceEncoder",
    "TextEncoder",
    "VideoEncoder",
    "as_it_is",
    "build_encoder",
    "encoder_settings",
    "no_augmentation",
]
