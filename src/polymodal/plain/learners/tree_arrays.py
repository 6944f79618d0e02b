"""The trees of a LightGBM model as arrays, answered in numpy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polymodal.plain.learners.softmax import softmax
from polymodal.plain.learners.trees_text import checked_text

ZERO = float(np.float32(1e-35))
"""Size up to which LightGBM takes a value for zero."""
AT_ONCE = 2**18
"""Rows times trees that are walked at once."""
IS_CATEGORY, GOES_LEFT = 1, 2
"""Bits of a node's ``decision_type``: whether it has a set of categories, and where a missing value goes."""
ZERO_IS_MISSING, NAN_IS_MISSING = 1, 2
"""What its higher bits hold; with neither, NaN counts as zero."""
NAMES: dict[str, tuple[str, type]] = {
    "feature": ("split_feature", np.int64), "threshold": ("threshold", np.float64),
    "decision": ("decision_type", np.int64), "left": ("left_child", np.int64),
    "right": ("right_child", np.int64), "leaves": ("leaf_value", np.float64),
    "edges": ("cat_boundaries", np.int64), "words": ("cat_threshold", np.uint32),
}  # fmt: skip
"""The entry of a tree's text that each array is of, and its type."""


@dataclass(frozen=True)
class Trees:
    """All nodes of all trees, one tree after the other; a leaf l is the node ``-1 - l``.

    Attributes:
        roots: ``(trees,)`` the first node of each tree, or its only leaf.
        feature: ``(nodes,)`` the column of the split.
        threshold: ``(nodes,)`` up to it a number goes left; of a category the number of its set.
        decision: ``(nodes,)`` see :data:`IS_CATEGORY`.
        left: ``(nodes,)``.
        right: ``(nodes,)``.
        leaves: ``(leaves,)`` their values.
        edges: ``(sets + 1,)`` where the words of each set of categories begin.
        words: ``(words,)`` uint32: a bit for each category that goes left.
        per_round: Trees of a round, one for each output.
        features: Columns of a row.
        depth: Most nodes above a leaf.
        is_mean: Whether answers are the mean of the trees of an output, and not their sum.
        objective: ``regression``, ``binary`` or ``multiclass``.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    decision: np.ndarray
    left: np.ndarray
    right: np.ndarray
    leaves: np.ndarray
    edges: np.ndarray
    words: np.ndarray
    per_round: int
    features: int
    is_mean: bool
    objective: str

    @classmethod
    def of_text(cls, text: str) -> Trees:
        """From the text of a model.

        Raises:
            ValueError: If it is no such text, see :func:`checked_text`.
        """
        head, *trees = checked_text(text).partition("\nend of trees")[0].split("\nTree=")
        header = _entries(head)
        joined = _joined([_entries(tree) for tree in trees])
        return cls(
            roots=joined["roots"],
            feature=joined["feature"],
            threshold=joined["threshold"],
            decision=joined["decision"],
            left=joined["left"],
            right=joined["right"],
            leaves=joined["leaves"],
            edges=joined["edges"],
            words=joined["words"],
            per_round=int(header["num_tree_per_iteration"]),
            features=int(header["max_feature_idx"]) + 1,
            is_mean="average_output" in header,
            objective=header["objective"].split(" ")[0],
        )

    def num_feature(self) -> int:
        """As of a Booster: :attr:`features`."""
        return self.features

    def num_model_per_iteration(self) -> int:
        """As of a Booster: :attr:`per_round`."""
        return self.per_round

    def predict(self, matrix: np.ndarray, num_threads: int = 1) -> np.ndarray:
        """What a Booster predicts: ``(rows,)`` numbers or probabilities of the second class, or ``(rows,
        classes)`` probabilities.

        Args:
            matrix: ``(rows, features)``, NaN where a value is missing.
            num_threads: As of a Booster; numpy uses one.
        """
        scores = self.scores(matrix)
        if self.objective == "multiclass":
            return softmax(scores)
        return scores[:, 0] if self.objective == "regression" else 1 / (1 + np.exp(-scores[:, 0]))

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """``(rows, per_round)`` sums, or means, of the values of the leaves that rows reach."""
        step = max(1, AT_ONCE // max(1, len(self.roots)))
        parts = [self._scores(matrix[start : start + step]) for start in range(0, len(matrix), step)]
        return np.concatenate([np.zeros((0, self.per_round)), *parts])

    def _scores(self, matrix: np.ndarray) -> np.ndarray:
        values = self.leaves[-1 - self._reached(matrix)].reshape(len(matrix), -1, self.per_round)
        rounds = max(1, values.shape[1])
        return values.sum(axis=1) / (rounds if self.is_mean else 1)

    def _reached(self, matrix: np.ndarray) -> np.ndarray:
        """``(rows, trees)`` the leaf that each row reaches in each tree."""
        node = np.tile(self.roots, len(matrix))
        row = np.repeat(np.arange(len(matrix)), len(self.roots))
        on_way = np.flatnonzero(node >= 0)
        while len(on_way):
            at = node[on_way]
            goes = self._goes_left(at, matrix[row[on_way], self.feature[at]])
            node[on_way] = np.where(goes, self.left[at], self.right[at])
            on_way = on_way[node[on_way] >= 0]
        return node.reshape(len(matrix), -1)

    def _goes_left(self, node: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Whether values go left at nodes, by the rules of LightGBM for missing values and categories."""
        decision, threshold = self.decision[node], self.threshold[node]
        kind, is_nan = decision >> 2, np.isnan(value)
        filled = np.where(is_nan & (kind != NAN_IS_MISSING), 0.0, value)
        is_missing = (kind == NAN_IS_MISSING) & is_nan | (kind == ZERO_IS_MISSING) & (np.abs(filled) <= ZERO)
        goes = np.where(is_missing, (decision & GOES_LEFT) > 0, filled <= threshold)
        sets = np.flatnonzero(decision & IS_CATEGORY)
        goes[sets] = self._is_in_set(threshold[sets].astype(np.int64), value[sets])
        return goes

    def _is_in_set(self, number: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Whether categories are in sets; a missing, negative or unknown one is in none."""
        start, size = self.edges[number], self.edges[number + 1] - self.edges[number]
        known = (value >= 0) & (value < 32 * size)  # NaN is neither
        category = np.where(known, value, 0).astype(np.int64)
        words = self.words[np.where(known, start + category // 32, 0)]
        return known & ((words >> (category % 32).astype(np.uint32)) & 1).astype(bool)


def _entries(text: str) -> dict[str, str]:
    """The entries of a header or tree that was checked."""
    lines = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in lines if name}


def _joined(trees: list[dict[str, str]]) -> dict[str, np.ndarray]:
    """The arrays of all trees, with the numbers of nodes, leaves and sets in all of them."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
    roots, nodes, leaves, sets, words = [], 0, 0, 0, 0
    for tree in trees:
        count = int(tree["num_leaves"])
        roots.append(nodes if count > 1 else -1 - leaves)
        own = {name: _numbers(tree.get(entry, ""), kind) for name, (entry, kind) in NAMES.items()}
        for side in ("left", "right"):
            own[side] = np.where(own[side] >= 0, own[side] + nodes, own[side] - leaves)
        own["threshold"] = own["threshold"] + np.where(own["decision"] & IS_CATEGORY, sets, 0)
        own["edges"] = own["edges"][1:] + words
        for name, each in own.items():
            parts[name].append(each)
        nodes, leaves = nodes + count - 1, leaves + count
        sets, words = sets + len(own["edges"]), words + len(own["words"])
    joined = {name: np.concatenate([np.zeros(0, kind), *parts[name]]) for name, (_, kind) in NAMES.items()}
    joined["edges"] = np.concatenate([[0], joined["edges"]])
    joined["words"] = np.append(joined["words"], np.uint32(0))
    return joined | {"roots": np.array(roots, np.int64)}


def _numbers(text: str, kind: type) -> np.ndarray:
    return np.array([float(word) if kind is np.float64 else int(word) for word in text.split()], kind)
