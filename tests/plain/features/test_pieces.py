"""Parts of an input from the columns of its features: words of texts, labels, calendar numbers."""

from itertools import pairwise

import numpy as np
import pytest

from polymodal.plain.features import (
    CategoriesFeaturizer,
    DateFeaturizer,
    NumberFeaturizer,
    Piece,
    TextFeaturizer,
    VectorFeaturizer,
)
from polymodal.plain.features import word_pieces as module

TEXTS = ["A good film, good!", "bad  movie", "İstanbul good", "我喜歡", "Good"]


def text_pieces(part: str, items: list[str]) -> tuple[list[Piece], np.ndarray]:
    """The pieces of one row, each column of which adds what its value is times its number."""
    featurizer = TextFeaturizer().fit([[text] for text in TEXTS])
    values = featurizer.blocks([items])[part].values
    values = values.toarray() if part != "counts" else values
    found = values[0] * np.arange(1, values.shape[1] + 1)
    return featurizer.pieces(items, part, found), found


@pytest.mark.parametrize("part", ["words", "letters", "counts"])
@pytest.mark.parametrize("items", [[text] for text in TEXTS] + [["good film", "bad"], ["unseen"], [""]])
def test_pieces_of_a_text_sum_to_its_columns_and_lie_in_it(part, items):
    pieces, found = text_pieces(part, items)
    assert sum(piece.contribution for piece in pieces) == pytest.approx(found.sum(), abs=1e-4)
    for piece in pieces:
        if piece.kind == "word":
            assert items[piece.item - 1][piece.start : piece.end] == piece.text
        else:
            assert part == "counts"


def test_every_word_is_there_and_a_term_is_shared_among_its_occurrences():
    featurizer = TextFeaturizer().fit([[text] for text in TEXTS])
    names = featurizer.columns["words"].names
    found = np.zeros(len(names))
    found[names.index("good")], found[names.index("good film")] = 1.0, 0.5
    pieces = featurizer.pieces(["A good film, good!"], "words", found)
    assert [(p.text, p.contribution) for p in pieces] == [
        ("A", 0.0), ("good", 0.75), ("film", 0.25), ("good", 0.5), ("!", 0.0)
    ]  # fmt: skip
    letters = featurizer.columns["letters"].names
    found = np.zeros(len(letters))
    found[letters.index("fil")] = 2.0
    pieces = featurizer.pieces(["A good film, good!"], "letters", found)
    assert {p.text: p.contribution for p in pieces if p.contribution} == {"film": 2.0}


@pytest.mark.parametrize("part", ["words", "letters"])
def test_no_word_is_twice_in_a_text_with_full_stops(part):
    texts = ["A good film. Bad movie (good).", "film. movie. good ."]
    featurizer = TextFeaturizer().fit([[text] for text in texts * 2])
    values = featurizer.blocks([texts[:1]])[part].values.toarray()[0]
    pieces = featurizer.pieces(texts[:1], part, values)
    spans = [(piece.start, piece.end) for piece in pieces if piece.kind == "word"]
    assert spans and all(one[1] <= other[0] for one, other in pairwise(spans))


def test_of_a_long_text_the_first_words_are_told_apart(monkeypatch):
    monkeypatch.setattr(module, "MOST_MARKED", 3)
    pieces, found = text_pieces("words", ["good bad movie good film"])
    assert [piece.text for piece in pieces] == ["good", "bad", "movie", "other words"]
    assert sum(piece.contribution for piece in pieces) == pytest.approx(found.sum())


def test_cells_labels_dates_and_vectors_have_their_names():
    number = NumberFeaturizer().fit([[1.0], [2.0]])
    assert number.pieces([1.0], "", np.array([0.5])) == [Piece("cell", "", 0.5, 1)]
    labels = CategoriesFeaturizer(labels=["roof", "garden"]).fit([[np.array([1, 2])], [np.array([1])]])
    pieces = labels.pieces([np.array([1])], "labels", np.array([0.5, -0.25]))
    assert [(p.text, p.contribution) for p in pieces] == [("roof", 0.5), ("no garden", -0.25)]
    date = DateFeaturizer().fit([[0.0], [86400.0 * 400]])
    names = date.columns[""].names
    pieces = date.pieces([0.0], "", np.arange(len(names), dtype=float))
    assert [piece.text for piece in pieces] == list(names[1:]) and {p.kind for p in pieces} == {"feature"}
    vector = VectorFeaturizer().fit([[np.ones(3)], [np.zeros(3)]])
    assert vector.pieces([], "", np.array([1.0, 2.0, 3.0]))[0].contribution == 6
