"""Learner of many classes: extremely randomized trees, each of which answers all classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from polymodal.plain.blocks import Blocks
from polymodal.plain.learners.base import LEARNERS, Learner
from polymodal.plain.learners.boosting import MOST_CLASSES
from polymodal.plain.learners.goal import Goal, Kind
from polymodal.plain.learners.reduction import Reduction
from polymodal.plain.sparse import Matrix, as_dense, spread
from polymodal.plain.storage import Arrays, as_array, read_state, write_state
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    from sklearn.tree._tree import Tree

TREES, FEWEST_TREES = 100, 20
MOST_NODES = 2_000_000
"""Of all trees. A fully grown one has up to two per row: bounds the number of trees, then their leaves."""
MOST_VALUES = 2**27
"""Nodes of a tree times classes: scikit-learn holds as many float64 while it fits the tree."""
MOST_ENTRIES = 2**27
"""Classes at the leaves of all trees, at most one per row and tree: bounds the number of trees."""
FEWEST_COLUMNS = 3
"""Columns that a split is chosen from, where the root of their number is less."""
OTHERS = 0.05
"""Share of the probability that goes to all classes by their frequency: no row reaches a leaf of each."""
AT_ONCE = 2**20
"""Rows times trees, or classes, that are answered at once."""
WHOLE = ("roots", "feature", "left", "right", "edges", "classes")
REAL = ("threshold", "shares", "prior")


@dataclass(frozen=True)
class RandomTrees:
    """All nodes of all trees, one tree after the other.

    Attributes:
        roots: ``(trees,)`` the first node of each tree.
        feature: ``(nodes,)`` the column of the split.
        threshold: ``(nodes,)`` up to it a row goes left.
        left: ``(nodes,)`` the next node; -1 at a leaf.
        right: ``(nodes,)``.
        edges: ``(nodes + 1,)`` where the classes of each node begin; nodes that are no leaf have none.
        classes: ``(entries,)`` the classes of the rows at a leaf.
        shares: ``(entries,)`` of these rows.
        prior: ``(classes,)`` shares of all rows.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    edges: np.ndarray
    classes: np.ndarray
    shares: np.ndarray
    prior: np.ndarray

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """``(rows, classes)`` probabilities: the mean of the shares at the leaves that a row reaches."""
        step = max(1, AT_ONCE // max(len(self.roots), len(self.prior)))
        parts = [self._predict(matrix[start : start + step]) for start in range(0, len(matrix), step)]
        return np.concatenate([np.zeros((0, len(self.prior))), *parts])

    def _predict(self, matrix: np.ndarray) -> np.ndarray:
        leaves = self._reached(matrix).ravel()
        starts, sizes = self.edges[leaves], self.edges[leaves + 1] - self.edges[leaves]
        entries, outputs = spread(starts, sizes), len(self.prior)
        rows = np.repeat(np.arange(len(leaves)) // len(self.roots), sizes)
        keys = rows * outputs + self.classes[entries]
        sums = np.bincount(keys, self.shares[entries], len(matrix) * outputs).reshape(-1, outputs)
        return (1 - OTHERS) * sums / len(self.roots) + OTHERS * self.prior

    def _reached(self, matrix: np.ndarray) -> np.ndarray:
        """``(rows, trees)`` the leaf that each row reaches in each tree."""
        node = np.tile(self.roots, len(matrix))
        row = np.repeat(np.arange(len(matrix)), len(self.roots))
        on_way = np.flatnonzero(self.left[node] >= 0)
        while len(on_way):
            at = node[on_way]
            goes = matrix[row[on_way], self.feature[at]] <= self.threshold[at]
            node[on_way] = np.where(goes, self.left[at], self.right[at])
            on_way = on_way[self.left[node[on_way]] >= 0]
        return node.reshape(len(matrix), -1)


@LEARNERS.register("extra_trees")
class ExtraTreesLearner(Learner[RandomTrees]):
    """Extremely randomized trees (Geurts et al. 2006) of more classes than boosting fits trees for.

    Missing values are the median of the training rows. No setting is chosen.
    """

    name = "extra_trees"
    learns: ClassVar[tuple[Kind, ...]] = ("classes", "ordered")
    rank = 1.5

    def __init__(self) -> None:
        super().__init__()
        self.reduction = Reduction()
        self.middle = np.zeros(0)

    @classmethod
    def suits(cls, kind: Kind, outputs: int) -> bool:
        """See :class:`Learner`: more classes than boosting has trees for."""
        return super().suits(kind, outputs) and outputs > MOST_CLASSES

    def can_fit(self, goal: Goal, blocks: Blocks) -> str:
        """Empty unless there are no columns."""
        return "" if any(block.values.shape[1] for block in blocks.values()) else "no columns to learn from"

    def prepare(self, blocks: Blocks, goal: Goal, seed: int) -> Matrix:
        """Learn the reduction of sparse and wide blocks, and the medians."""
        matrix = self.reduction.fit(blocks, seed)
        known = ~np.isnan(matrix)
        self.middle = np.array(
            [
                np.median(column[own]) if own.any() else 0.0
                for column, own in zip(matrix.T, known.T, strict=True)
            ]
        )
        return self._filled(matrix)

    def join(self, blocks: Blocks) -> Matrix:
        """``(rows, columns)`` float32 without missing values."""
        return self._filled(self.reduction.transform(blocks))

    def _filled(self, matrix: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(matrix), self.middle, matrix).astype(np.float32)

    def fit_part(self, matrix: Matrix, goal: Goal, seed: int) -> RandomTrees:
        """Fit as many trees as there is time for."""
        from sklearn.tree import ExtraTreeClassifier  # which answering does without

        dense, parts = as_dense(matrix), list[dict[str, np.ndarray]]()
        columns = max(round(dense.shape[1] ** 0.5), min(FEWEST_COLUMNS, dense.shape[1]))
        begun, count = self.deadline.clock(), _trees(len(goal))
        leaves = _leaves(len(goal), goal.outputs, count)
        for number in range(count):
            pace = (self.deadline.clock() - begun) / max(number, 1)
            if number and not self.in_time(2 * pace):
                break
            tree = ExtraTreeClassifier(
                max_features=columns, max_leaf_nodes=leaves, random_state=(seed + number) % 2**31
            )
            tree.fit(dense, goal.values, sample_weight=goal.row_weights)
            parts.append(_nodes(tree.tree_, tree.apply(dense), goal))
        prior = np.bincount(goal.values, goal.row_weights, goal.outputs) / goal.row_weights.sum()
        return _joined(parts, prior)

    def predict_part(self, model: RandomTrees, matrix: Matrix) -> np.ndarray:
        """Probabilities."""
        return model.predict(as_dense(matrix))

    def state(self) -> tuple[Settings, Arrays]:
        """The reduction and the medians."""
        settings, arrays = self.reduction.state()
        return settings, arrays | {"middle": self.middle}

    def restore(self, settings: Settings, arrays: Arrays) -> None:
        """Take over reduction and medians."""
        self.reduction = Reduction.restore(settings, arrays)
        self.middle = as_array(arrays, "middle", self.reduction.width)

    def write_part(self, model: RandomTrees, folder: Path) -> None:
        """Write the nodes."""
        write_state(folder, {}, {name: getattr(model, name) for name in (*WHOLE, *REAL)})

    def read_part(self, folder: Path) -> RandomTrees:
        """Read the nodes."""
        _, arrays = read_state(folder)
        whole = {name: as_array(arrays, name, len(arrays[name]), kinds="i") for name in WHOLE}
        return RandomTrees(**whole, **{name: as_array(arrays, name, len(arrays[name])) for name in REAL})

    def check_part(self, model: RandomTrees, outputs: int) -> None:
        """Refuse nodes that lead out of the arrays, or back."""
        nodes, own = len(model.feature), np.arange(len(model.feature))
        inner = model.left >= 0
        sound = (
            len(model.prior) == outputs
            and len(model.roots) > 0
            and {len(model.threshold), len(model.left), len(model.right), len(model.edges) - 1} == {nodes}
            and len(model.shares) == len(model.classes) == model.edges[-1]
            and model.edges[0] == 0
            and (np.diff(model.edges) >= 0).all()
            and _within(model.roots, nodes)
            and _within(model.classes, outputs)
            and _within(model.feature[inner], self.reduction.width)
            and all(
                (side[inner] > own[inner]).all() and _within(side[inner], nodes)
                for side in (model.left, model.right)
            )
        )
        if not sound:
            raise ValueError("nodes of trees that lead out of them, or of other columns or classes")


def _trees(rows: int) -> int:
    """How many trees are fitted to so many rows."""
    count = int(np.clip(MOST_NODES // (2 * rows), FEWEST_TREES, TREES))
    return max(1, min(count, MOST_ENTRIES // rows))


def _leaves(rows: int, classes: int, trees: int) -> int | None:
    """The most leaves of a tree; None where one that is fully grown is small enough."""
    kept, fitted = MOST_NODES // (2 * trees), MOST_VALUES // (2 * classes)
    if rows <= kept and 2 * rows <= fitted:  # without a bound, there may be room for twice the nodes
        return None
    return max(2, min(rows, kept, fitted))


def _within(values: np.ndarray, count: int) -> bool:
    return bool(((values >= 0) & (values < count)).all())


def _nodes(tree: Tree, leaves: np.ndarray, goal: Goal) -> dict[str, np.ndarray]:
    """The arrays of one tree of scikit-learn, and the shares of the classes at its leaves."""
    keys, where = np.unique(leaves * goal.outputs + goal.values, return_inverse=True)
    sums = np.bincount(where, goal.row_weights)
    node, classes = keys // goal.outputs, keys % goal.outputs
    totals = np.bincount(node, sums, tree.node_count)
    counts = np.bincount(node, minlength=tree.node_count)
    return {
        "feature": np.maximum(tree.feature, 0).astype(np.int32),
        "threshold": tree.threshold.astype(np.float64),
        "left": tree.children_left.astype(np.int32),
        "right": tree.children_right.astype(np.int32),
        "counts": counts,
        "classes": classes.astype(np.int32),
        "shares": (sums / totals[node]).astype(np.float32),
    }


def _joined(parts: list[dict[str, np.ndarray]], prior: np.ndarray) -> RandomTrees:
    """The trees one after the other."""
    starts = np.cumsum([0, *(len(part["feature"]) for part in parts)])
    for part, start in zip(parts, starts, strict=False):
        for side in ("left", "right"):
            part[side] = np.where(part[side] >= 0, part[side] + start, -1).astype(np.int32)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    edges = np.concatenate([[0], np.cumsum(joined.pop("counts"))]).astype(np.int32)
    return RandomTrees(roots=starts[:-1], edges=edges, prior=prior, **joined)
