"""Word and character error rates by jiwer's edit counts; case and punctuation count."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jiwer
import numpy as np

from polymodal.evaluation.text_metrics.base import Measured, References, word_metric
from polymodal.evaluation.text_metrics.normalization import spoken_words

Edits = Callable[[list[str], list[str]], "jiwer.WordOutput | jiwer.CharacterOutput"]


@word_metric("wer", higher_is_better=False)
def wer(answers: Sequence[str], references: References) -> Measured:
    """Word error rate: substitutions, deletions and insertions of all rows over the words of all references.

    Of a row's references the one with the lowest rate counts. In scripts without spaces between words, each
    character is a word. A reference without words has no rate, so its insertions are counted as errors of
    one word, as in jiwer.
    """
    return _rate(answers, references, lambda text: " ".join(spoken_words(text)), jiwer.process_words)


@word_metric("cer", higher_is_better=False)
def cer(answers: Sequence[str], references: References) -> Measured:
    """Character error rate: as :func:`wer`, of characters; runs of spaces are one."""
    return _rate(answers, references, lambda text: " ".join(text.split()), jiwer.process_characters)


def _rate(
    answers: Sequence[str], references: References, prepare: Callable[[str], str], edits: Edits
) -> Measured:
    owner = np.repeat(np.arange(len(answers)), [len(accepted) for accepted in references])
    true = [prepare(text) for accepted in references for text in accepted]
    predicted = [prepare(answer) for answer in answers]
    output = edits(true, [predicted[row] for row in owner])
    counts = np.array(
        [
            (sum(_edits(chunk) for chunk in chunks), len(tokens))
            for chunks, tokens in zip(output.alignments, output.references, strict=True)
        ],
        dtype=float,
    )
    order = np.lexsort((_ratio(counts), owner))  # stable: the first reference of equal rates
    statistics = counts[order[np.unique(owner[order], return_index=True)[1]]]
    return Measured(_ratio(statistics), statistics, _ratio)


def _edits(chunk: jiwer.AlignmentChunk) -> int:
    if chunk.type == "equal":
        return 0
    return max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)


def _ratio(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / np.maximum(sums[..., 1], 1)
