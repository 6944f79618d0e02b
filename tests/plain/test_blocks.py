import numpy as np
import pytest

from polymodal.plain.blocks import Block, Columns
from polymodal.plain.sparse import Sparse

PRESENT = np.array([True, False, True])
NUMBERS = np.array([[1, 2], [np.nan, np.nan], [3, 4]], np.float32)


@pytest.mark.parametrize("index", [np.array([2, 0]), np.array([True, False, True])])
def test_some_rows_keep_values_and_presence(index):
    for values, kind in ((NUMBERS, "number"), (Sparse.of(np.nan_to_num(NUMBERS)), "sparse")):
        block = Block(values, PRESENT, Columns(("a", "b"), kind)).rows(index)
        assert len(block) == 2 and block.values.shape == (2, 2) and block.present.all()


@pytest.mark.parametrize(
    ("values", "columns"),
    [
        (NUMBERS, Columns(("a",), "number")),
        (NUMBERS, Columns(("a", "b"), "sparse")),
        (Sparse.of(np.nan_to_num(NUMBERS)), Columns(("a", "b"), "number")),
    ],
)
def test_values_that_do_not_fit_their_columns_are_refused(values, columns):
    with pytest.raises(ValueError):
        Block(values, PRESENT, columns)
