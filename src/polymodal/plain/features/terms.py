"""Terms of texts and how often each occurs, as scikit-learn's CountVectorizer counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from polymodal.plain.sparse import Sparse


def pairs_of(words: Sequence[str]) -> list[str]:
    """Words, and pairs of neighbours with a space between."""
    return [*words, *(f"{one} {other}" for one, other in pairwise(words))]


def letters_of(word: str, shortest: int, longest: int) -> Iterator[str]:
    """Sequences of letters of a word with a space on both sides; one as short as a sequence counts once."""
    padded = f" {word} "
    for length in range(shortest, longest + 1):
        for start in range(max(1, len(padded) - length + 1)):
            yield padded[start : start + length]
        if length >= len(padded):
            break


def term_counts(
    bags: Iterable[Iterable[str]], terms: Sequence[str] | None = None
) -> tuple[Sparse, Sequence[str]]:
    """How often each term is in each bag: ``(bags, terms)`` int64, and the terms.

    Args:
        bags: The terms of each text, as often as they occur.
        terms: The columns, others do not count; by default all that occur, in order.
    """
    known = {} if terms is None else {term: index for index, term in enumerate(terms)}
    columns: list[int] = []
    counts: list[int] = []
    edges = [0]
    for bag in bags:
        for term, count in Counter(bag).items():
            column = known.setdefault(term, len(known)) if terms is None else known.get(term)
            if column is not None:
                columns.append(column)
                counts.append(count)
        edges.append(len(columns))
    cells, names = np.array(columns, np.int64), terms
    if names is None:
        names = sorted(known)
        order = np.empty(len(names), np.int64)
        order[[known[term] for term in names]] = np.arange(len(names))
        cells = order[cells]
    shape = (len(edges) - 1, len(names))
    return Sparse(np.array(counts, np.int64), cells, np.array(edges, np.int64), shape), names
