"""What the words of a text add to a score, from what its terms do: words, pairs of words, letters."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from polymodal.plain.features.base import Piece

MOST_MARKED = 1000
"""Words of a text that are distinguished."""
RUN = re.compile(r"\S+")
Span = tuple[int, int]
Place = tuple[int, int, int]
"""Item, first letter, and behind the last letter of a word, in the text in small letters."""
Occurrence = tuple[str, tuple[Place, ...]]
"""A term, and the words that it consists of or lies in."""


def word_pieces(
    lowered: Sequence[str],
    tokens: Sequence[Sequence[Span]],
    letters: tuple[int, int] | None,
    terms: Sequence[str],
    found: np.ndarray,
) -> dict[Place, float]:
    """What each word adds; that of a term is shared equally among its occurrences and their words.

    Args:
        lowered: The texts in small letters.
        tokens: Of each text its words.
        letters: The shortest and the longest sequence of letters inside words, where the terms are such.
        terms: Of the columns.
        found: ``(columns,)`` contributions.

    Returns:
        By word, in order, of all words; what is of terms that the texts do not hold is left out.
    """
    weights = {terms[int(column)]: float(found[column]) for column in np.flatnonzero(found)}
    every = {(item, *span): 0.0 for item, spans in enumerate(tokens) for span in spans}
    locations: dict[str, list[tuple[Place, ...]]] = defaultdict(list)
    for item, (text, spans) in enumerate(zip(lowered, tokens, strict=True)):
        occurring = _of_letters(item, text, spans, *letters) if letters else _of_words(item, text, spans)
        for term, words in occurring:
            if term in weights:
                locations[term].append(words)
    for term, occurrences in locations.items():
        for words in occurrences:
            for word in words:
                every[word] = every.get(word, 0.0) + weights[term] / len(occurrences) / len(words)
    return dict(sorted(every.items()))


def _of_words(item: int, text: str, spans: Sequence[Span]) -> Iterator[Occurrence]:
    """Words, and pairs of them as scikit-learn joins them."""
    for start, end in spans:
        yield text[start:end], ((item, start, end),)
    for one, other in pairwise(spans):
        yield f"{text[slice(*one)]} {text[slice(*other)]}", ((item, *one), (item, *other))


def _of_letters(
    item: int, text: str, spans: Sequence[Span], shortest: int, longest: int
) -> Iterator[Occurrence]:
    """Sequences of letters inside runs without spaces, as of scikit-learn's ``char_wb``."""
    owner: list[Span | None] = [None] * len(text)
    for span in spans:
        owner[slice(*span)] = [span] * (min(span[1], len(text)) - span[0])
    for run in RUN.finditer(text):
        first, padded = run.start() - 1, f" {run.group()} "
        # What lies on punctuation alone is shared by the words beside it, in whose run it is.
        beside = dict.fromkeys(word for word in owner[slice(*run.span())] if word) or [run.span()]
        for length in range(shortest, longest + 1):
            for at in range(max(1, len(padded) - length + 1)):
                inside = range(max(first + at, run.start()), min(first + at + length, run.end()))
                held = dict.fromkeys(word for location in inside if (word := owner[location]))
                yield padded[at : at + length], tuple((item, *word) for word in held or beside)
            if length >= len(padded):
                break


def as_pieces(texts: Sequence[str], words: dict[Place, float], total: float) -> list[Piece]:
    """The words as pieces, with their locations in the texts as they are written; all sum to ``total``."""
    origins = [_origins(text) for text in texts]
    shown = list(words.items())[:MOST_MARKED]
    pieces = []
    for (item, start, end), value in shown:
        first, last = origins[item][start], origins[item][end - 1] + 1
        pieces.append(Piece("word", texts[item][first:last], value, item + 1, first, last))
    rest = total - sum(value for _, value in shown)
    if len(words) > MOST_MARKED or abs(rest) > 1e-9 * max(1.0, abs(total)):
        pieces.append(Piece("feature", "other words", rest))
    return pieces


def _origins(text: str) -> Sequence[int]:
    """For each letter of the text in small letters, the location of the one that it is of."""
    if len(text.lower()) == len(text):
        return range(len(text))
    return [location for location, letter in enumerate(text) for _ in letter.lower()]


def spans_of(pattern: re.Pattern[str], texts: Iterable[str]) -> list[list[Span]]:
    """Of each text the locations of its words."""
    return [[match.span() for match in pattern.finditer(text)] for text in texts]
