"""Matrices of which most cells are zero, in numpy alone: answering rows needs no scipy."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, overload

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

AT_ONCE = 2**22
"""Products of two cells that are computed at once: some ten megabytes."""


class _Foreign(Protocol):
    """A matrix of scipy."""

    shape: tuple[int, int]

    def tocsr(self) -> csr_matrix: ...


@dataclass(frozen=True, eq=False)
class Sparse:
    """A matrix by its cells that are not zero, row after row: what scipy calls CSR.

    Attributes:
        data: ``(cells,)`` their values.
        indices: ``(cells,)`` int64, the column of each; no column twice in a row.
        indptr: ``(rows + 1,)`` int64: the cells of row r are those from ``indptr[r]`` to ``indptr[r + 1]``.
        shape: Rows and columns.
    """

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    shape: tuple[int, int]

    @classmethod
    def of(cls, matrix: Matrix | _Foreign) -> Sparse:
        """``matrix``, of whichever kind it is."""
        if isinstance(matrix, Sparse):
            return matrix
        if isinstance(matrix, np.ndarray):
            rows, columns = np.nonzero(matrix)
            return cls(matrix[rows, columns], columns, _edges(rows, len(matrix)), matrix.shape)
        own = matrix.tocsr()
        own.sum_duplicates()
        rows, columns = own.shape
        return cls(own.data, own.indices.astype(np.int64), own.indptr.astype(np.int64), (rows, columns))

    @classmethod
    def of_cells(
        cls, values: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]
    ) -> Sparse:
        """From the row and the column of each value, in any order; values of one cell are summed.

        Whole numbers are counts, from 0.
        """
        keys = rows.astype(np.int64) * shape[1] + columns
        if values.dtype.kind in "iu":  # sorting is fast, but not with what was sorted along
            keys = np.sort(np.repeat(keys, values))
            starts = np.flatnonzero(np.diff(keys, prepend=-1))
            cells, data = keys[starts], np.diff(starts, append=len(keys))
        else:
            cells, where = np.unique(keys, return_inverse=True)
            data = np.bincount(where, values, minlength=len(cells))
        columns, rows = cells % max(shape[1], 1), cells // max(shape[1], 1)
        return cls(data.astype(values.dtype), columns, _edges(rows, shape[0]), shape)

    @classmethod
    def zeros(cls, shape: tuple[int, int]) -> Sparse:
        """Without any cell."""
        nothing = np.zeros(0, np.int64)
        return cls(np.zeros(0, np.float32), nothing, np.zeros(shape[0] + 1, np.int64), shape)

    @property
    def rows(self) -> np.ndarray:
        """``(cells,)`` int64, the row of each."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    @property
    def dtype(self) -> np.dtype:
        """Of the values."""
        return self.data.dtype

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return self.data.nbytes + self.indices.nbytes + self.indptr.nbytes

    def astype(self, kind: type) -> Sparse:
        """The same matrix of values of another type."""
        return self.with_data(self.data.astype(kind, copy=False))

    def with_data(self, data: np.ndarray) -> Sparse:
        """Other values in the same cells."""
        return Sparse(data, self.indices, self.indptr, self.shape)

    def toarray(self) -> np.ndarray:
        """All cells."""
        result = np.zeros(self.shape, self.data.dtype)
        result[self.rows, self.indices] = self.data
        return result

    def scipy(self) -> csr_matrix:
        """The same as a matrix of scipy, for libraries that fit models."""
        from scipy.sparse import csr_matrix

        return csr_matrix((self.data, self.indices, self.indptr), shape=self.shape)

    def __getitem__(self, index: np.ndarray) -> Sparse:
        """Some rows, by their numbers or a mask."""
        picked = np.arange(self.shape[0])[index]
        starts, sizes = self.indptr[picked], np.diff(self.indptr)[picked]
        cells = spread(starts, sizes)
        edges = np.concatenate([[0], np.cumsum(sizes)])
        return Sparse(self.data[cells], self.indices[cells], edges, (len(picked), self.shape[1]))

    def columns(self, index: np.ndarray) -> Sparse:
        """Some columns, by their numbers, which rise."""
        location = np.full(self.shape[1], -1)
        location[index] = np.arange(len(index))
        held = location[self.indices] >= 0
        edges = np.concatenate([[0], np.cumsum(held)])[self.indptr]
        return Sparse(self.data[held], location[self.indices[held]], edges, (self.shape[0], len(index)))

    @overload
    def __matmul__(self, other: np.ndarray) -> np.ndarray: ...
    @overload
    def __matmul__(self, other: Sparse) -> Sparse: ...
    def __matmul__(self, other: Matrix) -> Matrix:
        """The product with a matrix ``(columns, others)``, which is of the same kind as ``other``."""
        if other.shape[0] != self.shape[1]:
            raise ValueError(f"a product of shapes {self.shape} and {other.shape}")
        if isinstance(other, Sparse):
            return self._times_sparse(other)
        result = np.zeros((other.shape[1], self.shape[0]), np.result_type(self.data, other))
        filled = np.flatnonzero(np.diff(self.indptr))
        if len(filled):
            starts = self.indptr[filled]
            for row, column in zip(result, np.ascontiguousarray(other.T), strict=True):
                row[filled] = np.add.reduceat(self.data * column[self.indices], starts)
        return np.ascontiguousarray(result.T)

    def _times_sparse(self, other: Sparse) -> Sparse:
        if "scipy.sparse" in sys.modules:  # a fit has loaded it; it is several times as fast
            return Sparse.of(self.scipy() @ other.scipy())
        return self.times_without_scipy(other)

    def times_without_scipy(self, other: Sparse) -> Sparse:
        """The product with another sparse matrix, in numpy alone."""
        sizes, columns = np.diff(other.indptr), other.shape[1]
        parts = [Sparse.zeros((0, columns)).astype(np.result_type(self.data, other.data).type)]
        own = self.rows
        for rows, cells in self._parts(sizes[self.indices]):
            counts = sizes[self.indices[cells]]
            theirs = spread(other.indptr[self.indices[cells]], counts)
            values = np.repeat(self.data[cells], counts) * other.data[theirs]
            held = np.repeat(own[cells] - rows.start, counts)
            shape = (rows.stop - rows.start, columns)
            parts.append(Sparse.of_cells(values, held, other.indices[theirs], shape))
        return vstack(parts)

    def _parts(self, costs: np.ndarray) -> Iterator[tuple[slice, slice]]:
        """Ranges of rows, and of their cells, that are computed at once.

        Args:
            costs: ``(cells,)`` products that each cell takes part in.
        """
        total = np.concatenate([[0], np.cumsum(costs)])[self.indptr]
        start = 0
        while start < self.shape[0]:
            stop = int(np.searchsorted(total, total[start] + AT_ONCE, side="right")) - 1
            stop = min(max(stop, start + 1), self.shape[0])
            yield slice(start, stop), slice(int(self.indptr[start]), int(self.indptr[stop]))
            start = stop


Matrix: TypeAlias = "np.ndarray | Sparse"


def spread(starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The whole numbers of several ranges, one after the other, from their starts and sizes."""
    ends = np.cumsum(sizes)
    return np.arange(int(sizes.sum())) + np.repeat(starts - (ends - sizes), sizes)


def vstack(matrices: Sequence[Sparse]) -> Sparse:
    """Matrices of the same columns below each other; at least one."""
    counts = np.concatenate([np.diff(each.indptr) for each in matrices])
    return Sparse(
        np.concatenate([each.data for each in matrices]),
        np.concatenate([each.indices for each in matrices]),
        np.concatenate([[0], np.cumsum(counts)]),
        (len(counts), matrices[0].shape[1]),
    )


def hstack(matrices: Sequence[Matrix]) -> Sparse:
    """Matrices of the same rows beside each other; at least one."""
    parts = [Sparse.of(each) for each in matrices]
    rows = np.concatenate([each.rows for each in parts])
    firsts = np.cumsum([0, *(each.shape[1] for each in parts)])
    columns = np.concatenate([each.indices + first for each, first in zip(parts, firsts, strict=False)])
    order = np.argsort(rows, kind="stable")
    data = np.concatenate([each.data for each in parts])[order]
    height = parts[0].shape[0]
    return Sparse(data, columns[order], _edges(rows[order], height), (height, int(firsts[-1])))


def as_dense(matrix: Matrix) -> np.ndarray:
    """``matrix`` with all of its cells."""
    return matrix.toarray() if isinstance(matrix, Sparse) else matrix


def for_fitting(matrix: Matrix) -> np.ndarray | csr_matrix:
    """``matrix`` as scikit-learn takes it."""
    return matrix.scipy() if isinstance(matrix, Sparse) else matrix


def _edges(rows: np.ndarray, count: int) -> np.ndarray:
    """``(count + 1,)`` where each row begins, from the rows of all cells in order."""
    return np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
