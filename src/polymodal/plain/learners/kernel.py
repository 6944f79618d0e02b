"""Kernel learner: support vector machines with a Gaussian kernel on dense columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polymodal.plain.blocks import Blocks
from polymodal.plain.learners.base import LEARNERS, Learner, too_many_labels
from polymodal.plain.learners.contributions import BlockShare
from polymodal.plain.learners.design import Design
from polymodal.plain.learners.goal import Goal
from polymodal.plain.learners.softmax import log_softmax, softmax
from polymodal.plain.learners.tuning import held_loss, inner_folds
from polymodal.plain.sparse import Matrix, as_dense
from polymodal.plain.storage import Arrays, as_array, as_number, read_state, write_state
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    from sklearn.svm import SVC

MOST_ROWS = 5000
"""Time and memory grow with the square of the rows."""
MOST_CELLS = 20_000
"""Rows times labels, where there are several."""
MOST_CLASSES = 50
FEW, SOME = 1000, 2000
"""Up to ``FEW`` rows five inner folds choose the settings, then three; from ``SOME`` of one width only."""
CACHE = 500
"""Megabytes of kernel values."""
ABSENT = -30.0
"""Decision of a class that the rows of an inner fold lack."""
GRID = tuple((cost, width) for width in (1.0, 0.25) for cost in (1.0, 10.0))
"""Pairs of the cost of an error (C) and a factor of the kernel's default width 1 / (columns × variance)."""
POINTS = 64
"""Of the quadrature of integrated gradients: of sums of Gaussians it is exact to many digits."""


@dataclass(frozen=True)
class KernelModel:
    """A support vector machine as arrays, and the map of its decisions to probabilities.

    Attributes:
        vectors: ``(vectors, columns)`` support vectors.
        duals: ``(vectors, decisions)`` their weights in each decision.
        intercepts: ``(decisions,)``.
        gamma: Inverse width of the kernel.
        slope: Factor of the decisions in the softmax.
        biases: ``(classes,)`` added to them; empty for numbers.
    """

    vectors: np.ndarray
    duals: np.ndarray
    intercepts: np.ndarray
    gamma: float
    slope: float
    biases: np.ndarray

    def scores(self, matrix: Matrix) -> np.ndarray:
        """``(rows, decisions)`` decisions: one per class, or the standardized number."""
        if not len(self.vectors):  # all answers lie within the tolerance of one number
            return np.tile(self.intercepts, (matrix.shape[0], 1))
        return gaussian(as_dense(matrix), self.vectors, self.gamma) @ self.duals + self.intercepts

    def integrated_gradients(self, matrix: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """``(rows, columns)`` attributions of a sum of decisions (Sundararajan et al. 2017, equation 1).

        From the mean of every number and no category, the zero of the matrix, straight to each row.

        Args:
            matrix: ``(rows, columns)``.
            weights: ``(rows, decisions)`` of each decision in the sum.
        """
        total, duals = np.zeros(matrix.shape), weights @ self.duals.T  # (rows, vectors)
        for node, share in zip(*np.polynomial.legendre.leggauss(POINTS), strict=True):
            point = matrix * (node + 1) / 2
            pull = gaussian(point, self.vectors, self.gamma) * duals
            slope = 2 * self.gamma * (pull @ self.vectors - pull.sum(axis=1, keepdims=True) * point)
            total += share / 2 * slope
        return total * matrix


@LEARNERS.register("kernel")
class KernelLearner(Learner[KernelModel]):
    """Support vector classification or regression with a Gaussian kernel (Cortes & Vapnik 1995).

    A class's decision is the mean of its decisions against each other class. Probabilities are a softmax of
    the decisions whose slope and biases are fitted to out-of-fold decisions (Platt 1999).
    """

    name = "kernel"
    method = "integrated gradients"
    rank = 2.0

    def __init__(self) -> None:
        super().__init__()
        self.design = Design(sparse=False)
        self.chosen: dict[int, tuple[float, float]] = {}
        self._given: dict[int, tuple[float, float]] = {}

    def settle(self, like: Learner[KernelModel]) -> None:
        """Fit with the cost and width of a learner that chose them by inner folds."""
        if isinstance(like, KernelLearner):
            self._given = dict(like.chosen)

    def can_fit(self, goal: Goal, blocks: Blocks) -> str:
        """A line where there are no dense columns, or too many rows, classes or labels."""
        if not any(block.columns.kind != "sparse" and block.values.shape[1] for block in blocks.values()):
            return "no dense columns to learn from"
        if len(goal) > MOST_ROWS:
            return f"{len(goal):,} rows, at most {MOST_ROWS:,} (its time grows with their square)"
        if goal.kind != "labels" and goal.outputs > MOST_CLASSES:
            return f"{goal.outputs} classes, at most {MOST_CLASSES} (it compares every pair)"
        return too_many_labels(goal, MOST_CELLS)

    def prepare(self, blocks: Blocks, goal: Goal, seed: int) -> Matrix:
        """Fit the design matrix of the dense blocks."""
        self.chosen = {}
        return as_dense(self.design.fit(blocks, goal.row_weights))

    def join(self, blocks: Blocks) -> Matrix:
        """The design matrix of other rows."""
        return as_dense(self.design.transform(blocks))

    def fit_part(self, matrix: Matrix, goal: Goal, seed: int) -> KernelModel:
        """Choose cost and width on inner folds, calibrate the decisions there, then fit to all rows."""
        matrix = as_dense(matrix)
        width = 1 / max(matrix.shape[1] * float(np.var(matrix)), 1e-12)
        given = self._given.get(goal.label)
        folds = inner_folds(goal, seed, 5 if len(goal) <= FEW else 3)
        if not folds or (given and goal.kind == "numbers"):  # these have nothing to calibrate
            self.chosen |= {} if given is None else {goal.label: given}
            return _fit(matrix, goal, *(given or GRID[0]), width)
        held = np.concatenate([rows for _, rows in folds])
        tried: list[tuple[float, float, float, float, np.ndarray]] = []
        begun = self.deadline.clock()
        for cost, factor in [given] if given else GRID if len(goal) <= SOME else GRID[:2]:
            step = (self.deadline.clock() - begun) / max(1, len(tried))
            if tried and not self.in_time(step * (1 + 1 / len(folds))):
                break
            scores = [
                _fit(matrix[rows], goal.rows(rows), cost, factor, width).scores(matrix[out])
                for rows, out in folds
            ]
            slope, biases = _calibrate(np.concatenate(scores), goal, held)
            loss = held_loss(goal, held, _answers(np.concatenate(scores), slope, biases))
            tried.append((loss, cost, factor, slope, biases))
        _, cost, factor, slope, biases = min(tried, key=lambda entry: entry[0])
        self.chosen[goal.label] = cost, factor
        return replace(_fit(matrix, goal, cost, factor, width), slope=slope, biases=biases)

    def predict_part(self, model: KernelModel, matrix: Matrix) -> np.ndarray:
        """Probabilities or standardized numbers."""
        return _answers(model.scores(matrix), model.slope, model.biases)

    def part_scores(self, model: KernelModel, matrix: Matrix) -> np.ndarray:
        """See :class:`Learner`."""
        return model.slope * model.scores(matrix) + (model.biases if len(model.biases) else 0.0)

    def part_contributions(
        self, model: KernelModel, matrix: Matrix, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Learner`: integrated gradients from the zero of the design."""
        dense = as_dense(matrix)
        base = (weights * self.part_scores(model, np.zeros((1, dense.shape[1])))).sum(axis=1)
        if not len(model.vectors):
            return np.zeros(dense.shape), base
        return model.integrated_gradients(dense, model.slope * weights), base

    def by_block(self, blocks: Blocks, found: np.ndarray) -> dict[str, BlockShare]:
        """See :class:`Learner`."""
        return self.design.by_block(found)

    def state(self) -> tuple[Settings, Arrays]:
        """The design."""
        return {}, self.design.arrays()

    def restore(self, settings: Settings, arrays: Arrays) -> None:
        """Take over a design."""
        self.design = Design.restore(arrays, sparse=False)

    def write_part(self, model: KernelModel, folder: Path) -> None:
        """Write the arrays."""
        arrays = {"vectors": model.vectors, "duals": model.duals, "intercepts": model.intercepts}
        arrays["biases"] = model.biases
        write_state(folder, {"gamma": model.gamma, "slope": model.slope}, arrays)

    def read_part(self, folder: Path) -> KernelModel:
        """Read the arrays."""
        settings, arrays = read_state(folder)
        gamma, slope = as_number(settings["gamma"], "gamma"), as_number(settings["slope"], "slope")
        vectors, duals, intercepts = (arrays[name] for name in ("vectors", "duals", "intercepts"))
        return KernelModel(vectors, duals, intercepts, gamma, slope, arrays["biases"])

    def check_part(self, model: KernelModel, outputs: int) -> None:
        """Refuse vectors of another design, and weights of other classes."""
        if not (0 <= model.gamma < np.inf and 0 < model.slope < np.inf):
            raise ValueError("'gamma' or 'slope' out of range")
        count, numbers = len(model.vectors), self.fitted is not None and self.fitted.kind == "numbers"
        as_array({"vectors": model.vectors}, "vectors", count, self.design.width)
        as_array({"duals": model.duals}, "duals", count, outputs)
        as_array({"intercepts": model.intercepts}, "intercepts", outputs)
        as_array({"biases": model.biases}, "biases", 0 if numbers else outputs)


def gaussian(rows: np.ndarray, vectors: np.ndarray, gamma: float) -> np.ndarray:
    """``(rows, vectors)`` values of the Gaussian kernel, ``exp(-gamma · |row - vector|²)``."""
    squares = (rows**2).sum(axis=1)[:, None] - 2 * rows @ vectors.T + (vectors**2).sum(axis=1)
    return np.exp(-gamma * np.maximum(squares, 0.0))


def _answers(scores: np.ndarray, slope: float, biases: np.ndarray) -> np.ndarray:
    return softmax(slope * scores + biases) if len(biases) else scores[:, 0]


def _calibrate(scores: np.ndarray, goal: Goal, rows: np.ndarray) -> tuple[float, np.ndarray]:
    """Slope and biases of the softmax with the smallest log loss, by a little penalty on both."""
    from scipy.optimize import minimize  # which answering does without

    if goal.kind == "numbers":
        return 1.0, np.zeros(0)
    truth, weights = goal.values[rows], goal.row_weights[rows]
    weights = weights / weights.sum()
    hits = np.eye(goal.outputs)[truth]

    def objective(values: np.ndarray) -> tuple[float, np.ndarray]:
        slope, biases = np.exp(values[0]), values[1:]
        logs = log_softmax(slope * scores + biases)
        wrong = weights[:, None] * (np.exp(logs) - hits)
        loss = -weights @ logs[np.arange(len(truth)), truth] + (values @ values) / (2 * len(rows))
        return float(loss), np.concatenate(
            [[slope * (wrong * scores).sum()], wrong.sum(axis=0)]
        ) + values / len(rows)

    best = minimize(
        objective,
        np.zeros(1 + goal.outputs),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-10, 10)] * (1 + goal.outputs),
    )
    return float(np.exp(best.x[0])), best.x[1:]


def _fit(matrix: np.ndarray, goal: Goal, cost: float, factor: float, width: float) -> KernelModel:
    """One machine with fixed settings, its decisions not calibrated."""
    from sklearn.svm import SVC, SVR  # which answering does without

    gamma, weights = factor * width, goal.row_weights
    if goal.kind == "numbers":
        machine = SVR(C=cost, gamma=gamma, cache_size=CACHE).fit(matrix, goal.values, sample_weight=weights)
        duals = machine.dual_coef_.T
        return KernelModel(machine.support_vectors_, duals, machine.intercept_, gamma, 1.0, np.zeros(0))
    machine = SVC(C=cost, gamma=gamma, cache_size=CACHE).fit(matrix, goal.values, sample_weight=weights)
    duals, intercepts = _per_class(machine, goal.outputs)
    return KernelModel(machine.support_vectors_, duals, intercepts, gamma, 1.0, np.zeros(goal.outputs))


def _per_class(machine: SVC, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Dual weights ``(vectors, classes)`` and intercepts of each class's mean decision against the others.

    LIBSVM holds the weights of a vector of class i against class j in row j, or j - 1 for j > i; the
    decision of the pair i < j is positive for i (Chang & Lin 2011). A class without rows has none.
    """
    classes, counts = machine.classes_, machine.n_support_
    starts = np.concatenate([[0], np.cumsum(counts)])
    duals, intercepts = np.zeros((starts[-1], outputs)), np.zeros(outputs)
    signs = -1.0 if len(classes) == 2 else 1.0  # scikit-learn turns the sign of two classes
    for number, (i, j) in enumerate(combinations(range(len(classes)), 2)):
        for own, row in ((i, j - 1), (j, i)):
            part = slice(starts[own], starts[own + 1])
            values = signs * machine.dual_coef_[row, part] / (len(classes) - 1)
            duals[part, classes[i]] += values
            duals[part, classes[j]] -= values
        shift = signs * machine.intercept_[number] / (len(classes) - 1)
        intercepts[classes[i]] += shift
        intercepts[classes[j]] -= shift
    intercepts[np.setdiff1d(np.arange(outputs), classes)] = ABSENT
    return duals, intercepts
