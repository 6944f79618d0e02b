"""BLEU and chrF by sacrebleu's n-gram counts; from 0 to 100."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.metrics.base import Metric

from polymodal.evaluation.text_metrics.base import Measured, OfSums, References, word_metric
from polymodal.evaluation.text_metrics.normalization import bleu_tokenization

ORDERS = 4
"""Largest order of BLEU's n-grams."""


@word_metric("bleu")
def bleu(answers: Sequence[str], references: References) -> Measured:
    """BLEU (Papineni et al. 2002) of the corpus; of a row by itself with the orders that it has.

    Each row is tokenized by :func:`polymodal.evaluation.text_metrics.normalization.bleu_tokenization`, so
    that rows of one
    script give what sacrebleu gives with that ``tokenize``; ``how`` holds the signature. Where no text has
    four tokens it is zero.
    """
    kinds = [bleu_tokenization(accepted) for accepted in references]
    statistics, signatures = np.zeros((len(answers), 2 + 2 * ORDERS)), []
    for kind in dict.fromkeys(kinds):
        chosen = [row for row, entry in enumerate(kinds) if entry == kind]
        counter = BLEU(tokenize=kind, force=True)  # force: no advice on standard error
        statistics[chosen] = _counts(counter, [answers[i] for i in chosen], [references[i] for i in chosen])
        rows = f" ({len(chosen)} rows)" if len(chosen) < len(answers) else ""
        signatures.append(f"{counter.get_signature()}{rows}")
    alone = _each(lambda sums: _bleu(sums, effective_order=True))
    return Measured(alone(statistics), statistics, _each(_bleu), "; ".join(signatures))


@word_metric("chrf")
def chrf(answers: Sequence[str], references: References) -> Measured:
    """chrF2 (Popović 2015) of the corpus, and of each row: F of character n-grams up to 6, spaces left out.

    It needs no tokenization, so it compares across scripts.
    """
    counter = CHRF()
    statistics = _counts(counter, answers, references)
    value = _each(counter._compute_f_score)
    return Measured(value(statistics), statistics, value, str(counter.get_signature()))


def _counts(counter: Metric, answers: Sequence[str], references: References) -> np.ndarray:
    """``(rows, sums)`` the counts of each row, which sacrebleu does not publish."""
    streams = list(zip_longest(*references))  # None where a row has fewer references than another
    return np.array(counter._extract_corpus_statistics(answers, streams), dtype=float)


def _bleu(sums: list[Any], effective_order: bool = False) -> float:
    lengths, correct, total = sums[:2], sums[2 : 2 + ORDERS], sums[2 + ORDERS :]
    length, reference = int(lengths[0]), int(lengths[1])
    return BLEU.compute_bleu(correct, total, length, reference, "exp", effective_order=effective_order).score


def _each(metric: Callable[[list[Any]], float]) -> OfSums:
    """``metric`` of one list of sums, for sums ``(…, sums)``."""

    def value(sums: np.ndarray) -> np.ndarray:
        flat = sums.reshape(-1, sums.shape[-1]).tolist()
        return np.array([metric(row) for row in flat], dtype=float).reshape(sums.shape[:-1])

    return value
