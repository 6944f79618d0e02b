"""Caption metrics with several references: ROUGE-L and CIDEr-D."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import LCSseq

from polymodal.evaluation.text_metrics.base import Measured, References, mean_of, word_metric
from polymodal.evaluation.text_metrics.normalization import caption_words, words

ORDERS = 4
"""Largest order of CIDEr's n-grams."""
SIGMA = 6.0
"""Standard deviation of CIDEr-D's length penalty, in words."""

Grams = Counter[tuple[str, ...]]


@word_metric("rouge_l")
def rouge_l(answers: Sequence[str], references: References) -> Measured:
    """Mean of rows' ROUGE-L: F1 of the longest common subsequence of words (Lin 2004, eq. 2 to 4, β = 1).

    The best of a row's references counts. On ASCII it is what rouge-score gives without stemming; the COCO
    caption evaluation weighs recall more (β = 1.2).
    """
    rows = []
    for answer, accepted in zip(answers, references, strict=True):
        predicted = words(answer)
        rows.append(max(_common(predicted, words(text)) for text in accepted))
    return mean_of(rows)


def _common(predicted: list[str], true: list[str]) -> float:
    """F1 of precision ``common / predicted`` and recall ``common / true``; zero without words."""
    return 2 * LCSseq.similarity(predicted, true) / max(1, len(predicted) + len(true))


@word_metric("cider")
def cider(answers: Sequence[str], references: References) -> Measured:
    """CIDEr-D (Vedantam et al. 2015, section 6), as a mean over rows; papers often print it times 100.

    n-grams are weighted by inverse document frequency over the references of all rows, so that it depends on
    the rows that are measured together: it is undefined for one row, and unreliable for few. Subsets and
    resamples of rows keep the weights of all.
    """
    if len(answers) < 2:
        return mean_of(np.full(len(answers), np.nan), "not defined for a single row")
    accepted = [[_grams(text) for text in row] for row in references]
    documents = Counter(gram for row in accepted for gram in set().union(*row))
    weigh = _Weights(len(answers), documents)
    rows = []
    for answer, row in zip(answers, accepted, strict=True):
        predicted = weigh(_grams(answer))
        rows.append(10 * float(np.mean([_similarity(predicted, weigh(true)) for true in row])))
    return mean_of(rows)


@dataclass(frozen=True)
class _Vectors:
    """A text's weighted n-grams, the norm ``(ORDERS,)`` of those of each order, and its length in bigrams."""

    weights: dict[tuple[str, ...], float]
    norms: np.ndarray
    length: int


@dataclass(frozen=True)
class _Weights:
    """Weights counts by inverse document frequency (equation 1, without the division by length)."""

    rows: int
    documents: Counter[tuple[str, ...]]

    def __call__(self, grams: Grams) -> _Vectors:
        weights = {
            gram: count * float(np.log(self.rows / max(1, self.documents[gram])))
            for gram, count in grams.items()
        }
        squares = np.zeros(ORDERS)
        for gram, weight in weights.items():
            squares[len(gram) - 1] += weight**2
        length = sum(count for gram, count in grams.items() if len(gram) == 2)  # as in the authors' code
        return _Vectors(weights, np.sqrt(squares), length)


def _grams(text: str) -> Grams:
    tokens = caption_words(text)
    return Counter(
        tuple(tokens[start : start + order])
        for order in range(1, ORDERS + 1)
        for start in range(len(tokens) - order + 1)
    )


def _similarity(predicted: _Vectors, true: _Vectors) -> float:
    """Cosine of clipped weights times a penalty for another length (equations 5 and 6), over the orders."""
    shared = np.zeros(ORDERS)
    for gram in predicted.weights.keys() & true.weights.keys():
        shared[len(gram) - 1] += min(predicted.weights[gram], true.weights[gram]) * true.weights[gram]
    norms = predicted.norms * true.norms
    cosine = np.divide(shared, norms, out=np.zeros(ORDERS), where=norms > 0)
    return float(cosine.mean() * np.exp(-((predicted.length - true.length) ** 2) / (2 * SIGMA**2)))
