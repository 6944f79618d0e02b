"""One featurizer per modality: what a reader keeps of a cell to columns of numbers."""

from polymodal.plain.features.audio import AudioFeaturizer
from polymodal.plain.features.base import FEATURIZERS, Featurizer, Piece, featurizer_of
from polymodal.plain.features.image import ImageFeaturizer
from polymodal.plain.features.sequence import SequenceFeaturizer
from polymodal.plain.features.text import PlainTextReader, TextFeaturizer
from polymodal.plain.features.values import (
    CategoriesFeaturizer,
    CategoryFeaturizer,
    DateFeaturizer,
    NumberFeaturizer,
)
from polymodal.plain.features.vector import VectorFeaturizer
from polymodal.plain.features.video import VideoFeaturizer

__all__ = [
    "FEATURIZERS", "AudioFeaturizer", "CategoriesFeaturizer", "CategoryFeaturizer", "DateFeaturizer",
    "Featurizer", "ImageFeaturizer", "NumberFeaturizer", "Piece", "PlainTextReader", "SequenceFeaturizer",
    "TextFeaturizer", "VectorFeaturizer", "VideoFeaturizer", "featurizer_of",
]  # fmt: skip
