"""Exact match and VQA accuracy."""

from __future__ import annotations

from collections.abc import Sequence

from polymodal.evaluation.text_metrics.base import Measured, References, mean_of, word_metric
from polymodal.evaluation.text_metrics.normalization import vqa_text

VQA_ANSWERS = 10
"""Human answers per question in VQAv2."""
AGREE = 3
"""Equal human answers that make an answer fully correct."""


@word_metric("exact_match")
def exact_match(answers: Sequence[str], references: References) -> Measured:
    """Share of answers that are one of the row's references, case and punctuation included.

    Space around a text does not count.
    """
    return mean_of([answer in accepted for answer, accepted in zip(answers, references, strict=True)])


@word_metric("vqa_accuracy")
def vqa_accuracy(answers: Sequence[str], references: References) -> Measured:
    """Accuracy as VQAv2 has it (Antol et al. 2015, Goyal et al. 2017, and the official evaluation).

    With ten references or more: ``min(matches / 3, 1)`` among all but one of them, averaged over the excluded
    one; 1, 2, 3 and 4 matches give 0.3, 0.6, 0.9 and 1. As in the official code, texts are compared unchanged
    where all references are equal, otherwise by
    :func:`polymodal.evaluation.text_metrics.normalization.vqa_text`. With fewer references, 1 for an answer
    whose normalized text is one of theirs.
    """
    rows = [
        _agreement(answer, accepted) if len(accepted) >= VQA_ANSWERS else _same(answer, accepted)
        for answer, accepted in zip(answers, references, strict=True)
    ]
    few = sum(len(accepted) < VQA_ANSWERS for accepted in references)
    return mean_of(rows, f"rows of fewer than ten references: {few}" if few else "")


def _agreement(answer: str, accepted: Sequence[str]) -> float:
    if len(set(accepted)) > 1:
        answer, accepted = vqa_text(answer), [vqa_text(text) for text in accepted]
    matches = [text == answer for text in accepted]
    left = [min(1.0, (sum(matches) - match) / AGREE) for match in matches]
    return sum(left) / len(left)


def _same(answer: str, accepted: Sequence[str]) -> bool:
    return _never_empty(answer) in {_never_empty(text) for text in accepted}


def _never_empty(text: str) -> str:
    """Keep a text of articles and punctuation only, such as the choice "A"."""
    return vqa_text(text) or text.lower()
