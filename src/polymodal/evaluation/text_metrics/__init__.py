"""Metrics of generated text, one file per family.

BLEU and chrF go from 0 to 100, as sacrebleu has them; CIDEr from 0 to 10; all others are shares, of which
error rates may exceed 1.
"""

# In the order in which the metrics are listed.
from polymodal.evaluation.text_metrics import exact_match, translation, captions, transcription  # noqa: I001
from polymodal.evaluation.text_metrics.base import HIGHER_IS_BETTER, WORD_METRICS, Measured, word_metric
from polymodal.evaluation.text_metrics.text_scores import (
    DEFAULT,
    measure_words,
    measured_words,
    suited,
    word_estimates,
)

__all__ = [
    "DEFAULT", "HIGHER_IS_BETTER", "WORD_METRICS", "Measured", "measure_words", "measured_words", "suited",
    "word_estimates", "word_metric", "exact_match", "translation", "captions", "transcription",
]  # fmt: skip
