"""Blocks joined to one dense matrix: sparse and wide blocks are reduced, missing values stay NaN."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np

from polymodal.errors import RunError
from polymodal.plain.blocks import Block, Blocks
from polymodal.plain.learners.contributions import BlockShare
from polymodal.plain.learners.design import numbers_of
from polymodal.plain.sparse import Matrix, Sparse, for_fitting
from polymodal.plain.storage import Arrays, as_array, as_count, as_list
from polymodal.utils.records import Settings

REDUCED, WIDE = 64, 96
"""Columns that sparse blocks, and dense ones of numbers wider than ``WIDE``, are reduced to: trees look at
one column at a time, and those of spectra and pixels mean little each."""
MANY = 32
"""Columns of a block, above which each alone has little information: those of words, pixels and spectra."""
SMALLEST = 1e-4
"""Share of the largest singular value, below which a direction is left out."""
STABLE = 0.25
"""A direction is shared out to its columns where their sum is at least so much of that of their sizes: where
they nearly cancel each other, a small number would be split into large ones of both signs."""


@dataclass
class Reduction:
    """Joins blocks; sparse and wide ones by a truncated singular value decomposition.

    Attributes:
        columns: By block, its number of columns.
        bases: By reduced block ``(columns, reduced)``.
        scales: By wide block ``(2, columns)``: the decomposition is that of its standard scores.
        middles: By other block of numbers ``(columns,)``: the median of a column that no training row lacks,
            the value of a missing one later. Trees have not seen one there, and LightGBM would take
            it for 0, which may be far from all numbers of the column. 0 for other columns, see ``filled``.
        filled: By block with ``middles``, ``(columns,)`` bool: whether no training row lacks the column.
        categories: The columns of the matrix that are codes of categories; known after :meth:`fit` alone.
        many: Those of sparse blocks, and of blocks with more than :data:`MANY` columns.
    """

    columns: dict[str, int] = field(default_factory=dict)
    bases: dict[str, np.ndarray] = field(default_factory=dict)
    scales: dict[str, np.ndarray] = field(default_factory=dict)
    middles: dict[str, np.ndarray] = field(default_factory=dict)
    filled: dict[str, np.ndarray] = field(default_factory=dict)
    categories: list[int] = field(default_factory=list)
    many: list[int] = field(default_factory=list)

    def fit(self, blocks: Blocks, seed: int) -> np.ndarray:
        """Learn from the training rows, and join them."""
        self.columns = {name: block.values.shape[1] for name, block in blocks.items()}
        self.bases, self.scales, self.middles, self.filled, width = {}, {}, {}, {}, 0
        self.categories, self.many = [], []
        for name, block in blocks.items():
            if isinstance(block.values, Sparse):
                self.bases[name] = _basis(block.values, seed)
            elif _is_wide(block) and block.present.any():
                self.scales[name] = _scale(numbers_of(block))
                self.bases[name] = _basis(_scores(numbers_of(block), self.scales[name]), seed)
            elif block.columns.kind == "number" and len(block):
                self.filled[name] = ~np.isnan(numbers_of(block)).any(axis=0)
                self.middles[name] = np.where(self.filled[name], np.median(numbers_of(block), axis=0), 0.0)
            size = self._size(name)
            self.categories += range(width, width + size) if block.columns.kind == "category" else ()
            is_many = block.columns.kind == "sparse" or block.values.shape[1] > MANY
            self.many += range(width, width + size) if is_many else ()
            width += size
        return self.transform(blocks)

    def transform(self, blocks: Blocks) -> np.ndarray:
        """``(rows, width)`` float64, NaN where a value is missing.

        Raises:
            RunError: If a block of the training rows is missing, or is of another kind or number of columns.
        """
        parts = []
        for name, count in self.columns.items():
            if name not in blocks or blocks[name].values.shape[1] != count:
                raise RunError(f"no block '{name}' of {count} columns, which the model was fitted to")
            block = blocks[name]
            if name in self.bases:
                is_sparse = isinstance(block.values, Sparse)
                if is_sparse == (name in self.scales):
                    raise RunError(f"the block '{name}' is of another kind than the model was fitted to")
                values = block.values if is_sparse else _scores(numbers_of(block), self.scales[name])
                reduced = values @ self.bases[name]
                parts.append(np.where(block.present[:, None], reduced, np.nan))
            else:
                values = numbers_of(block)
                if name in self.middles:
                    values = np.where(np.isnan(values) & self.filled[name], self.middles[name], values)
                parts.append(values)
        return np.hstack(parts) if parts else np.zeros((0, 0))

    def by_block(self, blocks: Blocks, found: np.ndarray) -> dict[str, BlockShare]:
        """What each column of each block adds, from ``(rows, width)`` what each of the matrix does.

        A reduced column is a sum over those of its block, by whose terms its contribution is shared out, as
        in a linear layer of DeepLIFT (Shrikumar et al. 2017); see :data:`STABLE`.
        """
        shares, start = {}, 0
        for name in self.columns:
            own = found[:, start : start + self._size(name)]
            start += own.shape[1]
            shares[name] = self._shared_out(name, blocks[name], own) if name in self.bases else _direct(own)
        return shares

    def _shared_out(self, name: str, block: Block, found: np.ndarray) -> BlockShare:
        columns, whole = np.zeros(block.values.shape), found.sum(axis=1)
        for row in np.flatnonzero(block.present):
            if isinstance(block.values, Sparse):
                line = block.values[np.array([row])]
                held, values = line.indices, line.data.astype(np.float64)
            else:
                held = np.arange(block.values.shape[1])
                values = _scores(numbers_of(block.rows(np.array([row]))), self.scales[name])[0]
            terms = values[:, None] * self.bases[name][held]
            sums, sizes = terms.sum(axis=0), np.abs(terms).sum(axis=0)
            stable = np.flatnonzero(np.abs(sums) > np.maximum(STABLE * sizes, 1e-12))
            columns[row, held] = terms[:, stable] @ (found[row, stable] / sums[stable])
            whole[row] -= found[row, stable].sum()
        return BlockShare(columns, whole)

    @property
    def width(self) -> int:
        """Number of columns of the matrix."""
        return sum(self._size(name) for name in self.columns)

    def _size(self, name: str) -> int:
        return self.bases[name].shape[1] if name in self.bases else self.columns[name]

    def state(self) -> tuple[Settings, Arrays]:
        """What was learned."""
        arrays: Arrays = {}
        for number, name in enumerate(self.columns):
            arrays |= {f"basis{number}": self.bases[name]} if name in self.bases else {}
            arrays |= {f"scale{number}": self.scales[name]} if name in self.scales else {}
            if name in self.middles:
                arrays |= {f"middle{number}": self.middles[name], f"filled{number}": self.filled[name]}
        return {"columns": list(self.columns.items())}, arrays

    @classmethod
    def restore(cls, settings: Settings, arrays: Arrays) -> Reduction:
        """The reduction that :meth:`state` describes.

        Raises:
            ValueError: If an array is of another shape than :meth:`fit` gives it.
            KeyError: If one is missing.
        """
        result = cls()
        for entry in as_list(settings["columns"], "columns"):
            name, count = as_list(entry, "columns")
            result.columns[str(name)] = as_count(count, "columns")
        for number, (name, count) in enumerate(result.columns.items()):
            if f"basis{number}" in arrays:
                size = arrays[f"basis{number}"].size // max(count, 1)
                result.bases[name] = as_array(arrays, f"basis{number}", count, size)
            if f"scale{number}" in arrays:
                result.scales[name] = as_array(arrays, f"scale{number}", 2, count)
            if f"middle{number}" in arrays:  # of earlier versions: none
                result.middles[name] = as_array(arrays, f"middle{number}", count)
                result.filled[name] = as_array(arrays, f"filled{number}", count, kinds="b")
        return result


def reduced_width(blocks: Blocks) -> int:
    """Most columns that the matrix of these blocks can have."""
    return sum(
        min(REDUCED, block.values.shape[1])
        if isinstance(block.values, Sparse) or _is_wide(block)
        else block.values.shape[1]
        for block in blocks.values()
    )


def _direct(found: np.ndarray) -> BlockShare:
    """Of a block whose columns are those of the matrix."""
    return BlockShare(found, np.zeros(len(found)))


def _is_wide(block: Block) -> bool:
    return block.columns.kind == "number" and block.values.shape[1] > WIDE


def _basis(values: Matrix, seed: int) -> np.ndarray:
    """``(columns, reduced)``: the directions of the largest singular values (Halko et al. 2011)."""
    from sklearn.decomposition import TruncatedSVD  # which answering does without

    rows, columns = values.shape
    size = min(REDUCED, columns - 1, rows - 1)
    if size < 1 or not np.abs(values.data if isinstance(values, Sparse) else values).sum() > 0:
        return np.eye(columns)[:, :1]
    reduction = TruncatedSVD(size, n_iter=4, random_state=seed).fit(for_fitting(values.astype(np.float64)))
    strengths = reduction.singular_values_
    # Where training rows do not differ, the rest is rounding error, on which trees must not split.
    kept = max(1, int((strengths > SMALLEST * strengths.max()).sum()))
    return np.ascontiguousarray(reduction.components_[:kept].T)


def _scale(values: np.ndarray) -> np.ndarray:
    """``(2, columns)``: mean and standard deviation of each column; a constant one has deviation 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without any number
        mean, deviation = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    mean, deviation = np.nan_to_num(mean), np.nan_to_num(deviation)
    return np.stack([mean, np.where(deviation > 1e-12 * np.maximum(abs(mean), 1), deviation, 1.0)])


def _scores(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Standard scores; 0, the mean, where a value is missing."""
    return np.nan_to_num((values - scale[0]) / scale[1])
