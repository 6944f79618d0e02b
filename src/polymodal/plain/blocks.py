"""Blocks of features: what featurizers return and learners take.

A block is one matrix with one row per row of the table. A learner that takes several inputs joins their
blocks; how depends on the kind of the columns, so all columns of a block are of one kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from polymodal.plain.sparse import Matrix, Sparse, vstack

Kind: TypeAlias = Literal["number", "category", "sparse"]


@dataclass(frozen=True)
class Columns:
    """The columns of a block, learned in ``fit`` and saved with the featurizer.

    Attributes:
        names: The name of each column, readable: "year", "mean red", "word good".
        kind: "number": values on any scale; "category": codes without order; "sparse": mostly zero, such as
            word weights.
        categories: For "category", the number of codes: 0 to ``categories - 1``; zero for other kinds.
    """

    names: tuple[str, ...]
    kind: Kind
    categories: int = 0


@dataclass(frozen=True)
class Block:
    """The features of one input, or of one part of it, for all rows of a table.

    Attributes:
        values: ``(rows, columns)`` float32. A dense array for "number" and "category", NaN where the value is
            missing or the category was not in the training rows. A :class:`Sparse` for "sparse", an empty row
            where the input is missing.
        present: ``(rows,)`` bool: whether the row has this input.
        columns: What the columns are.

    Raises:
        ValueError: The shapes do not agree, or the kind of matrix does not fit the kind of columns.
    """

    values: Matrix
    present: np.ndarray
    columns: Columns

    def __post_init__(self) -> None:
        expected = (len(self.present), len(self.columns.names))
        if self.values.shape != expected:
            raise ValueError(f"values have the shape {self.values.shape}, expected {expected}")
        if isinstance(self.values, Sparse) != (self.columns.kind == "sparse"):
            raise ValueError(f"columns of kind {self.columns.kind} in a {type(self.values).__name__}")

    def __len__(self) -> int:
        return len(self.present)

    def rows(self, index: np.ndarray) -> "Block":
        """The block of some rows.

        Args:
            index: Row numbers, or a boolean mask of all rows.
        """
        return Block(self.values[index], self.present[index], self.columns)


def join_rows(blocks: Sequence[Block]) -> Block:
    """The rows of several blocks of the same columns, one block after the other."""
    sparse = [block.values for block in blocks if isinstance(block.values, Sparse)]
    dense = [block.values for block in blocks if isinstance(block.values, np.ndarray)]
    joined = vstack(sparse) if sparse else np.concatenate(dense)
    return Block(joined, np.concatenate([block.present for block in blocks]), blocks[0].columns)


Blocks: TypeAlias = dict[str, Block]
"""By "<input>", or "<input>/<part>" where an input gives several blocks (of a text: words and counts)."""
