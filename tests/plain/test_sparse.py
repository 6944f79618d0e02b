"""Sparse matrices in numpy equal those of scipy."""

import numpy as np
import pytest
from scipy import sparse

from polymodal.plain import sparse as own
from polymodal.plain.sparse import Sparse, hstack, spread, vstack


def matrix(rows, columns, seed):
    random = np.random.default_rng(seed)
    dense = random.normal(size=(rows, columns)) * (random.random((rows, columns)) < 0.2)
    dense[rows // 2] = 0
    return dense


ONE, OTHER = matrix(30, 12, 0), matrix(12, 20, 1)


@pytest.mark.parametrize("index", [np.array([3, 3, 0, 15]), np.arange(30) % 4 == 1, np.array([], int)])
def test_rows_are_picked(index):
    np.testing.assert_array_equal(Sparse.of(ONE)[index].toarray(), ONE[index])


def test_products_are_those_of_all_cells(monkeypatch):
    first, second = Sparse.of(ONE), Sparse.of(sparse.csr_matrix(OTHER))
    np.testing.assert_allclose(first @ OTHER, ONE @ OTHER, atol=1e-12)
    np.testing.assert_allclose((first @ second).toarray(), ONE @ OTHER, atol=1e-12)
    for most in (own.AT_ONCE, 5):  # all at once, and row by row
        monkeypatch.setattr(own, "AT_ONCE", most)
        np.testing.assert_allclose(first.times_without_scipy(second).toarray(), ONE @ OTHER, atol=1e-12)
    with pytest.raises(ValueError, match="shapes"):
        first @ ONE


def test_products_of_counts_are_counts():
    one, other = (ONE != 0).astype(np.int64) * 3, (OTHER != 0).astype(np.int64) * 2
    found = Sparse.of(one).times_without_scipy(Sparse.of(other))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found.toarray(), one @ other)


def test_matrices_are_joined():
    both = hstack([Sparse.of(ONE), ONE, Sparse.zeros((30, 2))])
    np.testing.assert_array_equal(both.toarray(), np.hstack([ONE, ONE, np.zeros((30, 2))]))
    np.testing.assert_array_equal(vstack([Sparse.of(ONE)] * 2).toarray(), np.vstack([ONE, ONE]))
    assert (both.scipy() != sparse.csr_matrix(both.toarray())).nnz == 0


def test_values_of_one_cell_are_summed():
    rows, columns = np.array([1, 0, 1]), np.array([2, 0, 2])
    for kind in (np.float32, np.int64):
        found = Sparse.of_cells(np.array([1, 2, 3], kind), rows, columns, (2, 4))
        assert found.dtype == kind and found.toarray().tolist() == [[2, 0, 0, 0], [0, 0, 4, 0]]


def test_ranges_are_spread():
    assert spread(np.array([4, 0, 9]), np.array([2, 0, 3])).tolist() == [4, 5, 9, 10, 11]
