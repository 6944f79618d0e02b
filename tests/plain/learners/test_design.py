"""The design matrix of linear and kernel learners."""

import numpy as np
import pytest

from polymodal.plain.blocks import Block, Columns
from polymodal.plain.learners.design import Design
from polymodal.plain.sparse import Sparse


def test_a_wide_block_weighs_as_32_columns_and_an_earlier_design_as_it_was():
    random = np.random.default_rng(0)
    numbers = {"one": 1, "picture": 512}
    blocks = {
        name: Block(
            random.normal(size=(200, width)).astype(np.float32),
            np.ones(200, bool),
            Columns(tuple(map(str, range(width))), "number"),
        )
        for name, width in numbers.items()
    }
    design = Design()
    matrix = design.fit(blocks, np.ones(200))
    assert matrix[:, 1:].var() == pytest.approx(32 / 512 * matrix[:, 0].var(), rel=0.1)
    arrays = design.arrays()
    np.testing.assert_array_equal(Design.restore(arrays, sparse=True).transform(blocks), matrix)
    earlier = {name: values for name, values in arrays.items() if not name.endswith("/factor")}
    before = Design.restore(earlier, sparse=True).transform(blocks)
    np.testing.assert_allclose(before[:, 1:] / 4, matrix[:, 1:])
    for kept_to in (3.0, 0.0):
        near = Design(kept_to=kept_to).fit(blocks, np.ones(200))
        scores = (blocks["one"].values[:, 0] - blocks["one"].values.mean()) / blocks["one"].values.std()
        assert np.allclose(near[:, 0], scores, atol=0.1) is bool(kept_to)
        np.testing.assert_array_equal(near[:, 1:], matrix[:, 1:])  # columns of a wide block are drawn in
    with pytest.raises(ValueError, match="kept_to"):
        Design.restore(arrays | {"block0/kept_to": np.array(-1.0)}, sparse=True)
    with pytest.raises(ValueError, match="factor"):
        Design.restore(arrays | {"block1/factor": np.array(2.0)}, sparse=True)


def test_of_many_words_the_most_frequent_are_used():
    random = np.random.default_rng(0)
    words = (random.random((60, 9)) < np.linspace(0.1, 0.9, 9)).astype(np.float32)
    block = Block(Sparse.of(words), np.ones(60, bool), Columns(tuple("abcdefghi"), "sparse"))
    design = Design(most=4)
    matrix = design.fit({"note/words": block}, np.ones(60))
    np.testing.assert_array_equal(matrix.toarray(), words[:, 5:])
    again = Design.restore(design.arrays(), sparse=True)
    np.testing.assert_array_equal(again.transform({"note/words": block}).toarray(), words[:, 5:])
    assert again.width == 4
    shares = again.by_block(words[:, 5:])["note/words"].columns
    assert not shares[:, :5].any() and np.array_equal(shares[:, 5:], words[:, 5:])
    with pytest.raises(ValueError, match="terms"):
        Design.restore(design.arrays() | {"block0/terms": np.array([3, 2])}, sparse=True)
