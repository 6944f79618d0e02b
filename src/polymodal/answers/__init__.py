"""Answers without torch: what a target's answers mean, batches of them, and blends of plain models.

A head (:mod:`polymodal.models.heads`) gives logits, a plain model (:mod:`polymodal.plain`) answers; a
:class:`Decoder` turns either into classes, labels, numbers and intervals.
"""

from polymodal.answers.base import DECODERS, Decoder, TemperedDecoder, decoder_of_state
from polymodal.answers.classes import ClassDecoder, OrderedDecoder
from polymodal.answers.labels import LabelDecoder
from polymodal.answers.numbers import NumberDecoder

__all__ = [
    "DECODERS", "ClassDecoder", "Decoder", "LabelDecoder", "NumberDecoder", "OrderedDecoder",
    "TemperedDecoder", "decoder_of_state",
]  # fmt: skip
