"""Features of texts: TF-IDF of words and of letters, and a few counts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.data.media.path_access import Root
from polymodal.data.readers import Reader
from polymodal.data.readers.content import Content
from polymodal.data.tables.lists import as_list
from polymodal.data.values.column_values import as_label
from polymodal.plain.blocks import Columns
from polymodal.plain.features.base import FEATURIZERS, Featurizer, Matrix, Piece
from polymodal.plain.features.terms import letters_of, pairs_of, term_counts
from polymodal.plain.features.word_pieces import as_pieces, spans_of, word_pieces
from polymodal.plain.sparse import Sparse
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    from polymodal.data.readers.columns import TrainingColumns

MOST = 2**16
"""Characters of a text that are read."""
MOST_LETTERS = 2**12
"""Characters of a text whose letter sequences are counted: in a long text its words decide."""
MOST_WORDS_KEPT, MOST_LETTERS_KEPT = 30_000, 50_000
"""Columns of a block, those in most texts first."""
SMALL = 50
"""Texts below which a term counts that only one of them holds."""
LETTERS = (2, 5)
"""Shortest and longest sequence of letters that is counted."""
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Thai, Lao, Burmese, Khmer, kana and Han: scripts without spaces, of which each character is a word."""
MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0dff"
"""Vowel signs and accents inside of words, which ``\\w`` does not match."""
WORD = re.compile(rf"[{UNSPACED}]|(?:(?![{UNSPACED}])[\w{MARKS}])+|[!?]")
COUNTS = (
    "log of characters", "log of words", "characters per word", "share of digits", "share of capitals",
    "share of punctuation", "exclamation marks", "question marks", "share of different words",
    "share of characters beyond ASCII",
)  # fmt: skip


class PlainTextReader(Reader):
    """Text to itself, cut after :data:`MOST` characters."""

    modality = "text"
    holds = Content.TEXT
    holds_items = True
    cached = False
    noun = "text"

    @classmethod
    def split_items(cls, cell: Any) -> list[Any] | None:
        """See :class:`Reader`; a list that is written out is one text."""
        return as_list(cell)

    def read(self, cell: Any, root: Root) -> str:
        """The text."""
        return (cell if isinstance(cell, str) else as_label(cell))[:MOST]

    def blank(self) -> str:
        """The empty text."""
        return ""


@dataclass(frozen=True)
class Weights:
    """Terms and their inverse document frequency, in the order of the columns.

    The weights are scikit-learn's: 1 + log of the count, times ``log((1 + n) / (1 + df)) + 1`` (Spärck Jones
    1972), each text of length 1.
    """

    terms: tuple[str, ...]
    inverse_frequency: np.ndarray

    @classmethod
    def of_counts(cls, counts: Sparse, terms: Sequence[str], most: int) -> Weights:
        """Learned from ``counts`` ``(texts, terms)``: at most ``most`` terms, those in most texts first."""
        texts = counts.shape[0]
        frequency = np.bincount(counts.indices, minlength=counts.shape[1])
        kept = np.flatnonzero(frequency >= (2 if texts >= SMALL else 1))
        kept = np.sort(kept[np.argsort(-frequency[kept], kind="stable")[:most]])
        inverse = np.log((1 + texts) / (1 + frequency[kept])) + 1
        return cls(tuple(terms[index] for index in kept.tolist()), inverse.astype(np.float32))

    def apply(self, counts: Sparse) -> Sparse:
        """``(texts, columns)`` from the counts of the terms."""
        data = (1 + np.log(counts.data.astype(np.float32))) * self.inverse_frequency[counts.indices]
        squares = np.bincount(counts.rows, data.astype(np.float64) ** 2, minlength=counts.shape[0])
        return counts.with_data((data / np.sqrt(squares)[counts.rows]).astype(np.float32))


@FEATURIZERS.register("text")
class TextFeaturizer(Featurizer):
    """Texts to TF-IDF of words and pairs of words, of 2 to 5 letters inside words, and counts."""

    modality = "text"

    def __init__(self) -> None:
        self.weights: dict[str, np.ndarray] = {}

    @classmethod
    def reader(cls, columns: TrainingColumns) -> Reader:
        """See :class:`Featurizer`; the text itself is kept."""
        return PlainTextReader()

    @classmethod
    def load_reader(cls, settings: Settings) -> Reader:
        """See :class:`Featurizer`."""
        return PlainTextReader()

    def learn(self, items: Sequence[str]) -> None:
        """See :class:`Featurizer`."""
        for part, count, most in (
            ("words", count_words, MOST_WORDS_KEPT),
            ("letters", count_letters, MOST_LETTERS_KEPT),
        ):
            weights = Weights.of_counts(*count(items), most)
            self.columns[part] = Columns(weights.terms, "sparse")
            self.weights[part] = weights.inverse_frequency
        self.columns["counts"] = Columns(COUNTS, "number")

    def features(self, items: Sequence[str]) -> Mapping[str, Matrix]:
        """See :class:`Featurizer`."""
        result: dict[str, Matrix] = {"counts": np.array([_counts(text) for text in items], np.float32)}
        for part, count in (("words", count_words), ("letters", count_letters)):
            if part in self.columns:
                weights = Weights(self.columns[part].names, self.weights[part])
                result[part] = weights.apply(count(items, weights.terms)[0])
        return result

    def pieces(self, items: Sequence[str], part: str, found: np.ndarray) -> list[Piece]:
        """See :class:`Featurizer`: of words and letters the words that hold them."""
        if part == "counts":
            return super().pieces(items, part, found)
        lowered = [text.lower() for text in items]
        letters = LETTERS if part == "letters" else None
        read = [text[:MOST_LETTERS].lower() if letters else text.lower() for text in items]
        words = word_pieces(read, spans_of(WORD, lowered), letters, self.columns[part].names, found)
        return as_pieces(items, words, float(found.sum()))

    def arrays(self) -> dict[str, np.ndarray]:
        """See :class:`Featurizer`."""
        return {part: array for part, array in self.weights.items() if part in self.columns}

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """See :class:`Featurizer`."""
        for part in {"words", "letters"} & self.columns.keys():
            if part not in arrays or arrays[part].shape != (len(self.columns[part].names),):
                raise ValueError(f"a featurizer of text without a weight for each of its {part}")
            self.weights[part] = np.asarray(arrays[part], np.float32)


def count_words(texts: Sequence[str], terms: Sequence[str] | None = None) -> tuple[Sparse, Sequence[str]]:
    """Counts ``(texts, terms)`` of words and pairs of words, and the terms.

    Args:
        texts: At least one where ``terms`` are given.
        terms: The columns; by default all that occur, in order.
    """
    return term_counts((pairs_of(WORD.findall(text.lower())) for text in texts), terms)


def count_letters(texts: Sequence[str], terms: Sequence[str] | None = None) -> tuple[Sparse, Sequence[str]]:
    """Counts ``(texts, terms)`` of 2 to 5 letters inside words, and the terms.

    Equal to scikit-learn's ``char_wb``, but each different word is taken apart only once. Arguments as in
    :func:`count_words`.
    """
    held, words = term_counts(text[:MOST_LETTERS].lower().split() for text in texts)
    letters, counted = term_counts((letters_of(word, *LETTERS) for word in words), terms)
    return held @ letters, counted


def _counts(text: str) -> list[float]:
    """The values of :data:`COUNTS`."""
    letters, words = max(len(text), 1), WORD.findall(text)
    number = max(len(words), 1)
    return [
        np.log1p(len(text)),
        np.log1p(len(words)),
        sum(map(len, words)) / number,
        sum(map(str.isdigit, text)) / letters,
        sum(map(str.isupper, text)) / letters,
        sum(not (c.isalnum() or c.isspace()) for c in text) / letters,
        np.log1p(text.count("!")),
        np.log1p(text.count("?")),
        len(set(words)) / number,
        sum(c > "\x7f" for c in text) / letters,
    ]
