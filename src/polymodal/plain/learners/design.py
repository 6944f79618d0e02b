"""The design matrix of linear and kernel learners: blocks joined to numbers without missing values."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from polymodal.errors import RunError
from polymodal.plain.blocks import Block, Blocks
from polymodal.plain.learners.contributions import BlockShare
from polymodal.plain.sparse import Matrix, Sparse, as_dense, hstack
from polymodal.plain.storage import Arrays, as_array

SPAN = 3.0
"""The part of a standard score that is drawn in approaches this value: a value far outside the others moves a
prediction no further."""
WIDE = 32
"""Columns of a block of numbers, above which all together count as so many: a picture gives hundreds."""
SMALLEST, LARGEST = 1e-60, 1e40
"""What deviation and mean of columns of float32 may be; beyond, standard scores could overflow."""
DENSE_CODES = 256
"""Most one-hot columns of a matrix that stays dense."""


@dataclass
class Design:
    """Joins blocks to one matrix; columns that are constant in the training rows are left out.

    Numbers are standardized, with an indicator per column of values that are missing in a row that has the
    input; categories are one-hot; sparse columns stay as they are. A block that some training rows lack has
    an indicator of its absence.

    Args:
        sparse: Whether sparse blocks are used.
        kept_to: Of numbers in blocks of at most :data:`WIDE` columns, the standard score up to which they
            stay as they are.
        most: Columns of a sparse block that are used, those that are not zero in most rows; None for all.

    Attributes:
        blocks: By block, the arrays that :func:`_learn` returned.
    """

    sparse: bool = True
    blocks: dict[str, Arrays] = field(default_factory=dict)
    kept_to: float = 0.0
    most: int | None = None

    def fit(self, blocks: Blocks, weights: np.ndarray) -> Matrix:
        """Learn from the training rows, and join them."""
        used = {
            name: block for name, block in blocks.items() if self.sparse or block.columns.kind != "sparse"
        }
        self.blocks = {
            name: _learn(block, weights, self.kept_to) | _most_common(block, self.most)
            for name, block in used.items()
        }
        return self.transform(blocks)

    def transform(self, blocks: Blocks) -> Matrix:
        """``(rows, width)`` float64 matrix; sparse where a block is, or where there are many categories.

        Raises:
            RunError: If a block of the training rows is missing, or has other columns.
        """
        parts: list[Matrix] = []
        for name, learned in self.blocks.items():
            if name not in blocks or blocks[name].values.shape[1] != int(learned["columns"]):
                raise RunError(
                    f"no block '{name}' of {int(learned['columns'])} columns, which the model was fitted to"
                )
            parts += _join(blocks[name], learned)
        if not parts:
            return np.zeros((len(next(iter(blocks.values()))) if blocks else 0, 0))
        wide = sum(part.shape[1] for part in parts if isinstance(part, Sparse)) > DENSE_CODES
        if wide or any(blocks[name].columns.kind == "sparse" for name in self.blocks):
            return hstack(parts)
        return np.hstack([as_dense(part) for part in parts])

    @property
    def width(self) -> int:
        """Number of columns of the matrix."""
        return sum(_width(learned) for learned in self.blocks.values())

    def by_block(self, found: np.ndarray) -> dict[str, BlockShare]:
        """What each column of each block adds, from ``(rows, width)`` what each of the matrix does."""
        shares, start = {}, 0
        for name, learned in self.blocks.items():
            own = found[:, start : start + _width(learned)]
            start += own.shape[1]
            origin, columns = _origin(learned), np.zeros((int(learned["columns"]), len(own)))
            np.add.at(columns, origin, own[:, : len(origin)].T)
            shares[name] = BlockShare(columns.T, own[:, len(origin) :].sum(axis=1))
        return shares

    def arrays(self) -> Arrays:
        """What was learned, with the names of the blocks."""
        names = np.array(list(self.blocks), dtype=str)
        state: Arrays = {"blocks": names}
        for number, learned in enumerate(self.blocks.values()):
            state |= {f"block{number}/{key}": value for key, value in learned.items()}
        return state

    @classmethod
    def restore(cls, arrays: Arrays, *, sparse: bool) -> Design:
        """The design that :meth:`arrays` describes.

        Raises:
            ValueError: If an array is of another shape than :func:`_learn` gives it.
            KeyError: If one is missing.
        """
        blocks: dict[str, Arrays] = {}
        for number, name in enumerate(arrays["blocks"].tolist()):
            start = f"block{number}/"
            blocks[name] = {
                key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)
            }
            _check(blocks[name])
        return cls(sparse, blocks)


def numbers_of(block: Block) -> np.ndarray:
    """``(rows, columns)`` float64 of a dense block; NaN also where a value is infinite."""
    values = np.asarray(block.values, dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _learn(block: Block, weights: np.ndarray, kept_to: float) -> Arrays:
    """What is learned of a block from the training rows, as arrays."""
    present = block.present
    learned: Arrays = {
        "columns": np.array(block.values.shape[1]),
        "absence": np.array(bool(present.any() and not present.all())),
    }
    if block.columns.kind == "number":
        is_wide = block.values.shape[1] > WIDE
        return learned | _learn_numbers(block, weights) | {"kept_to": np.array(0.0 if is_wide else kept_to)}
    if block.columns.kind == "category":
        codes = numbers_of(block)
        pairs = [(column, code) for column in range(codes.shape[1]) for code in _seen(codes[:, column])]
        return learned | {"codes": np.array(pairs, dtype=np.int64).reshape(-1, 2)}
    return learned


def _most_common(block: Block, most: int | None) -> Arrays:
    """The columns of a sparse block that are used, as an array; nothing where these are all."""
    if most is None or not isinstance(block.values, Sparse) or block.values.shape[1] <= most:
        return {}
    counts = np.bincount(block.values.indices, minlength=block.values.shape[1])
    return {"terms": np.sort(np.argsort(-counts, kind="stable")[:most])}


def _check(learned: Arrays) -> None:
    """Refuse arrays of a file that :func:`_learn` does not give.

    Raises:
        ValueError: If one is of another shape or type, or an index is out of range.
        KeyError: If one is missing.
    """
    columns = int(as_array(learned, "columns", kinds="i"))
    as_array(learned, "absence", kinds="b")
    if "kept" in learned:
        kept = int(as_array(learned, "kept", columns, kinds="b").sum())
        as_array(learned, "lacking", columns, kinds="b")
        centre, scale = as_array(learned, "centre", kept), as_array(learned, "scale", kept)
        if (scale < SMALLEST).any() or max(np.abs(centre).max(initial=0), scale.max(initial=0)) > LARGEST:
            raise ValueError("'centre' or 'scale' out of the range of float32")
        if "factor" in learned and not 0 < as_array(learned, "factor") <= 1:
            raise ValueError("'factor' that is not above 0 and at most 1")
        if "kept_to" in learned and not 0 <= as_array(learned, "kept_to") <= LARGEST:
            raise ValueError("'kept_to' out of range")
    if "terms" in learned:
        terms = as_array(learned, "terms", len(learned["terms"]), kinds="i")
        if (np.diff(terms) < 1).any() or (terms < 0).any() or (terms >= columns).any():
            raise ValueError("'terms' out of range or order")
    if "codes" in learned:
        codes = as_array(learned, "codes", len(learned["codes"]), 2, kinds="i")
        order = np.lexsort((codes[:, 1], codes[:, 0]))
        if (codes < 0).any() or (codes[:, 0] >= columns).any() or (order != np.arange(len(codes))).any():
            raise ValueError("'codes' out of range or order")


def _width(learned: Arrays) -> int:
    """Number of columns of the matrix that come from one block."""
    if "codes" in learned:
        own = len(learned["codes"])
    elif "terms" in learned:
        own = len(learned["terms"])
    elif "kept" in learned:
        own = int(learned["kept"].sum() + learned["lacking"].sum())
    else:
        own = int(learned["columns"])
    return own + int(learned["absence"])


def _origin(learned: Arrays) -> np.ndarray:
    """The column of the block that each column of the matrix comes from, the absence left out."""
    if "codes" in learned:
        return learned["codes"][:, 0]
    if "terms" in learned:
        return learned["terms"]
    if "kept" in learned:
        return np.concatenate([np.flatnonzero(learned["kept"]), np.flatnonzero(learned["lacking"])])
    return np.arange(int(learned["columns"]))


def _seen(codes: np.ndarray) -> list[int]:
    return np.unique(codes[~np.isnan(codes)]).astype(int).tolist()


def _learn_numbers(block: Block, weights: np.ndarray) -> Arrays:
    """Mean, deviation and indicators of the columns of numbers, over the rows that have a value."""
    values = numbers_of(block)
    known = ~np.isnan(values)
    total = weights @ known
    divisor = np.where(total > 0, total, 1.0)
    centre = weights @ np.where(known, values, 0.0) / divisor
    spread = np.where(known, values - centre, 0.0)
    scale = np.sqrt(weights @ spread**2 / divisor)
    kept = scale > 1e-6 * np.abs(centre)  # beyond the rounding of float32
    lacking = (~known & block.present[:, None]).any(axis=0)
    return {
        "kept": kept,
        "centre": centre[kept],
        "scale": scale[kept],
        "lacking": lacking & known.any(axis=0),
        "factor": np.array(np.sqrt(WIDE / max(WIDE, int(kept.sum())))),
    }


def _join(block: Block, learned: Arrays) -> list[Matrix]:
    """The parts of the matrix that come from one block."""
    parts: list[Matrix] = []
    if isinstance(block.values, Sparse):
        values = block.values.columns(learned["terms"]) if "terms" in learned else block.values
        parts.append(values.astype(np.float64))
    elif block.columns.kind == "category":
        parts.append(_one_hot(numbers_of(block), learned["codes"]))
    else:
        parts += _standardized(block, learned)
    if learned["absence"]:
        parts.append((~block.present)[:, None].astype(float))
    return parts


def _standardized(block: Block, learned: Arrays) -> list[Matrix]:
    """Standard scores, zero where missing, and indicators of missing values.

    Scores of a wide block are smaller: its columns together weigh as :data:`WIDE` of them, or else those of
    a picture would outweigh all numbers.
    """
    values = numbers_of(block)
    scores = (values[:, learned["kept"]] - learned["centre"]) / learned["scale"]
    scores = np.where(np.isnan(scores), 0.0, _drawn_in(scores, float(learned.get("kept_to", 0.0))))
    scores *= learned.get("factor", 1.0)  # of earlier versions: none
    lacking = np.isnan(values[:, learned["lacking"]]) & block.present[:, None]
    return [scores, lacking.astype(float)]


def _drawn_in(scores: np.ndarray, kept_to: float) -> np.ndarray:
    """Scores of which those far from the others are drawn in: one extreme input makes no extreme prediction.

    The part ``x`` of a score beyond ``kept_to`` becomes ``x / sqrt(1 + (x / 3)²)`` (Holzmüller et al. 2024,
    arXiv:2407.04491, where ``kept_to`` is 0, as in earlier versions).
    """
    near = np.clip(scores, -kept_to, kept_to)
    far = scores - near
    return near + far / np.sqrt(1 + (far / SPAN) ** 2)


def _one_hot(codes: np.ndarray, known: np.ndarray) -> Sparse:
    """``(rows, codes)``: one where a column has the code; none where it is missing or was not seen.

    Args:
        codes: ``(rows, columns)``, NaN where missing.
        known: ``(codes, 2)`` pairs of a column and a code, in order.
    """
    rows, hits = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for column in np.unique(known[:, 0]):
        start, end = np.searchsorted(known[:, 0], [column, column + 1])
        own = known[start:end, 1]
        nearest = np.minimum(np.searchsorted(own, codes[:, column]), len(own) - 1)
        holding = np.flatnonzero(own[nearest] == codes[:, column])
        rows.append(holding)
        hits.append(start + nearest[holding])
    held, columns = np.concatenate(rows), np.concatenate(hits)
    return Sparse.of_cells(np.ones(len(held)), held, columns, (len(codes), len(known)))
