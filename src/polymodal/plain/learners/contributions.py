"""What each column adds to the score of a plain model: one definition for all learners.

The score of a number is the answer itself. Of a class c it is ``s_c - sum_k q_k s_k``: its score before the
softmax, less the mean of the others', each weighted by its probability among them, ``q_k = p_k / (1 - p_c)``.
With two classes, and of a label, this is the log-odds; with more its derivative by the scores ``s`` is that
of the log-odds, so that a positive contribution raises the probability of the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from polymodal.plain.learners.goal import Part
from polymodal.plain.learners.softmax import softmax


@dataclass(frozen=True)
class BlockShare:
    """What one block adds to a score.

    Attributes:
        columns: ``(rows, columns)`` of each column.
        whole: ``(rows,)`` of the block beside its columns: of its absence, and of directions of a reduction
            that cannot be divided among columns.
    """

    columns: np.ndarray
    whole: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """``(rows,)`` of all of the block."""
        return self.columns.sum(axis=1) + self.whole

    def scaled(self, factor: np.ndarray | float) -> BlockShare:
        """Times ``factor``, of all rows or ``(rows,)``."""
        each = np.broadcast_to(factor, self.whole.shape)
        return BlockShare(self.columns * each[:, None], self.whole * each)


@dataclass(frozen=True)
class Contributions:
    """What each column adds to one score; ``base`` and all of them sum to ``score``.

    Attributes:
        blocks: By name, of every block that the model reads.
        base: ``(rows,)`` the score without them.
        score: ``(rows,)``.
    """

    blocks: dict[str, BlockShare]
    base: np.ndarray
    score: np.ndarray

    def scaled(self, factor: float) -> Contributions:
        """All of it times ``factor``."""
        blocks = {name: block.scaled(factor) for name, block in self.blocks.items()}
        return Contributions(blocks, factor * self.base, factor * self.score)


def mean_of(found: Sequence[Contributions], weights: Sequence[float]) -> Contributions:
    """The weighted mean of the contributions in several models on the same blocks.

    Args:
        found: Of at least one model.
        weights: Of each, with any sum above 0.
    """
    total = float(sum(weights))
    first, *others = [each.scaled(weight / total) for each, weight in zip(found, weights, strict=True)]
    for other in others:
        blocks = dict(first.blocks)
        for name, block in other.blocks.items():
            if name in blocks:
                own = blocks[name]
                block = BlockShare(own.columns + block.columns, own.whole + block.whole)
            blocks[name] = block
        first = Contributions(blocks, first.base + other.base, first.score + other.score)
    return first


def against_others(scores: np.ndarray, output: int) -> np.ndarray:
    """``(rows, classes)``: the weight of each class's score in that of the class ``output``.

    Args:
        scores: ``(rows, classes)`` before the softmax, of two or more classes.
        output: Index of the class.
    """
    others = np.array(scores, dtype=np.float64)
    others[:, output] = -np.inf
    weights = -softmax(others)
    weights[:, output] = 1.0
    return weights


def constant(value: float, rows: int) -> Contributions:
    """The contributions in a model without columns."""
    score = np.full(rows, value)
    return Contributions({}, score, score)


def of_prior(part: Part, output: int, rows: int) -> Contributions:
    """Those in the answer of a model that knows no column or not this class: its log-odds."""
    share = float(np.clip(part.prior[output], 1e-7, 1 - 1e-7))
    return constant(float(np.log(share) - np.log1p(-share)), rows)


def in_unit(found: Contributions, part: Part, transform: str) -> Contributions:
    """Contributions to standardized numbers as contributions to the answers in the target's own unit.

    A logarithm and a limit of the answers are rising functions g: all contributions of a row are multiplied
    by ``(g(score) - g(base)) / (score - base)``, the rescale rule of Shrikumar et al. (2017, DeepLIFT).
    """

    def answer(standard: np.ndarray) -> np.ndarray:
        values = np.clip(part.centre + part.scale * standard, part.low, part.high)
        return np.expm1(values) if transform == "log" else values

    base, score = answer(found.base), answer(found.score)
    distance = found.score - found.base
    safe = np.where(np.abs(distance) > 1e-12, distance, 1.0)
    factor = np.where(np.abs(distance) > 1e-12, (score - base) / safe, 0.0)
    blocks = {name: block.scaled(factor) for name, block in found.blocks.items()}
    return replace(found, blocks=blocks, base=base, score=score)
