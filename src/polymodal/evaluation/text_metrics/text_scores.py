"""Several text metrics at once, by default chosen by the length of the references."""

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
"""Metrics by kind of answer; transcriptions cannot be detected by their words: name their metrics."""
LONG = 4.0
"""Mean words per reference from which answers are long: the order of BLEU's n-grams."""


def suited(references: References) -> list[str]:
    """Default metrics: those of short answers below ``LONG`` words per reference on average.

    In scripts without spaces between words, characters are counted, as the metrics do.
    """
    lengths = [len(words(text)) for accepted in references for text in accepted]
    return list(DEFAULT["long" if lengths and np.mean(lengths) >= LONG else "short"])


def measure_words(
    answers: Sequence[str], references: References, metrics: Sequence[str] | None = None
) -> dict[str, float]:
    """Text metrics of generated answers.

    Args:
        answers: ``(rows,)`` generated answers.
        references: ``(rows,)`` lists of one or several references.
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
    """As :func:`measure_words`, with the terms of rows, for intervals and subsets of rows."""
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
