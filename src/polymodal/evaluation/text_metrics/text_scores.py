"""Several metrics of words at once, chosen by the length of the references where nobody chose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polymodal.evaluation.statistics.bootstrap import Bootstrap
from polymodal.evaluation.text_metrics.base import WORD_METRICS, Measured, References
from polymodal.evaluation.text_metrics.normalization import words

DEFAULT: dict[str, tuple[str, ...]] = {
    "short": ("exact_match", "vqa_accuracy"),
    "long": ("bleu", "chrf", "rouge_l", "cider"),
    "transcription": ("wer", "cer"),
}
"""Metrics by kind of answer; a transcription is not told from a description by its words: name it."""
LONG = 4.0
"""Words of references, on average, from which answers are long: BLEU counts n-grams of so many."""


def suited(references: References) -> list[str]:
    """The metrics that suit such answers: those of short ones below ``LONG`` words a reference on average.

    In scripts without spaces between words, characters are counted, as the metrics do.
    """
    lengths = [len(words(text)) for accepted in references for text in accepted]
    return list(DEFAULT["long" if lengths and np.mean(lengths) >= LONG else "short"])


def measure_words(
    answers: Sequence[str], references: References, metrics: Sequence[str] | None = None
) -> dict[str, float]:
    """How good generated answers are.

    Args:
        answers: ``(rows,)`` what the model said.
        references: ``(rows,)`` lists of one or several accepted answers.
        metrics: Names of :data:`polymodal.evaluation.text_metrics.WORD_METRICS`; by default :func:`suited`.

    Returns:
        Metric by name, without those that are not defined (CIDEr of one row); empty without rows.

    Raises:
        ConfigError: If there is no metric of a name; the message names the nearest one.
        ValueError: If rows do not belong together, or a row has no reference.
    """
    measured = measured_words(answers, references, metrics)
    figures = {name: metric.figure for name, metric in measured.items()}
    return {name: figure for name, figure in figures.items() if np.isfinite(figure)}


def measured_words(
    answers: Sequence[str], references: References, metrics: Sequence[str] | None = None
) -> dict[str, Measured]:
    """As :func:`measure_words`, but what rows give and add, for intervals and for choices of rows."""
    chosen = {name: WORD_METRICS[name] for name in (suited(references) if metrics is None else metrics)}
    if not len(answers) and not len(references):
        return {}
    return {name: metric(answers, references) for name, metric in chosen.items()}


def word_estimates(measured: dict[str, Measured], bootstrap: Bootstrap) -> dict[str, dict[str, float | None]]:
    """``value``, ``low`` and ``high`` of each metric; ``bootstrap`` is of the same rows."""
    return {
        name: bootstrap.estimate(metric.figure, metric.value(bootstrap.resample(metric.statistics)))
        for name, metric in measured.items()
    }
