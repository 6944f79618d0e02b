"""Heads: the fused state in, the answer for one target out; one head a file."""

from polymodal.answers.base import IGNORED
from polymodal.models.heads.base import HEADS, Head, HeadDecoder, build_head, divisor, takes_weights
from polymodal.models.heads.classification import Classifier
from polymodal.models.heads.multilabel import MultilabelClassifier
from polymodal.models.heads.ordinal import OrdinalClassifier
from polymodal.models.heads.regression import Regressor

__all__ = [
    "HEADS", "IGNORED", "Classifier", "Head", "HeadDecoder", "MultilabelClassifier", "OrdinalClassifier",
    "Regressor", "build_head", "divisor", "takes_weights",
]  # fmt: skip
