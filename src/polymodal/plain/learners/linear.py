"""Linear learner: logistic regression for classes and labels, ridge regression for numbers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from polymodal.plain.blocks import Block, Blocks
from polymodal.plain.learners.base import LEARNERS, Learner
from polymodal.plain.learners.contributions import BlockShare
from polymodal.plain.learners.design import SPAN, WIDE, Design
from polymodal.plain.learners.goal import Goal
from polymodal.plain.learners.softmax import softmax
from polymodal.plain.learners.tuning import Fold, held_loss, inner_folds
from polymodal.plain.sparse import Matrix, as_dense, for_fitting
from polymodal.plain.storage import Arrays, as_array, as_number, read_state, write_state
from polymodal.utils.records import Settings

PENALTIES = tuple(4.0**-power for power in range(-1, 11))
"""Half the weight of the squared coefficients beside the mean loss of a row, the strongest first."""
PATIENCE = 2
"""Weaker penalties in a row without a smaller loss on held-out rows, after which the search ends."""
STEPS, LAST_STEPS = 100, 500
SEARCH_TOLERANCE, TOLERANCE = 1e-3, 1e-4
"""Of the solvers, in the search of a penalty and in the last fit."""
GROWTH = 1.5
"""Seconds of a search step in those of the one before: a weaker penalty converges more slowly."""
ABSENT = -30.0
SPANS = (0.0, SPAN)
"""Standard scores up to which numbers may stay as they are: of a power or a logarithm of a number, a line
through scores that are drawn in comes nearer; what is linear in it needs them as they are."""
CLEAR = 0.995
"""Loss in that with scores that are drawn in, below which they stay as they are."""
MOST_COEFFICIENTS = 5_000_000
"""Columns of a sparse block times classes, of any number of classes: beyond, its rarest columns are left out.
Words and letters are at most 50,000 columns, and all used for up to a hundred classes. The solver keeps some
twenty copies of the coefficients."""
SOME_CELLS, MANY_CELLS = 200_000, 500_000
"""Rows times classes, up to which both spans are tried, and from which a single held-out fifth chooses the
penalty."""
FEW, MANY = 1500, 6000
"""Up to so many rows five inner folds choose the penalty, then three, then a single held-out fifth."""


@dataclass(frozen=True)
class LinearModel:
    """Coefficients.

    Attributes:
        coefficients: ``(columns, outputs)``; one output for numbers.
        intercepts: ``(outputs,)``.
        penalty: The chosen one of :data:`PENALTIES`.
    """

    coefficients: np.ndarray
    intercepts: np.ndarray
    penalty: float

    def scores(self, matrix: Matrix) -> np.ndarray:
        """``(rows, outputs)`` linear scores."""
        return matrix @ self.coefficients + self.intercepts


@LEARNERS.register("linear")
class LinearLearner(Learner[LinearModel]):
    """Logistic regression (multinomial for classes, one per label) or ridge regression.

    The penalty is chosen on inner folds, from strong to weak, until the loss on held-out rows rises; it is
    relative to the mean loss, so that copies of all rows change nothing. So is one of :data:`SPANS`, by the
    numbers and categories beside words and pictures.
    """

    name = "linear"
    method = "coefficients times values"
    rank = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.design = Design()
        self.chosen: dict[int, float] = {}
        self.span: float | None = None  # chosen in a fit
        self._loss = 0.0
        self._given: dict[int, float] = {}

    def settle(self, like: Learner[LinearModel]) -> None:
        """Fit with the penalties and the span of a learner that chose them by inner folds."""
        if isinstance(like, LinearLearner):
            self._given, self.span = dict(like.chosen), like.span

    def fit(self, blocks: Blocks, goal: Goal, *, seed: int, threads: int | None = None) -> Self:
        """See :class:`Learner`."""
        if self.span is None:
            best = self._best_trial(blocks, goal, seed, threads)
            self.span = SPANS[0] if best is None or best.span is None else best.span
            if best is not None and best.design.blocks.keys() == blocks.keys():
                self.design, self.fitted, self.chosen = best.design, best.fitted, best.chosen
                self.threads = threads
                return self
        many = goal.kind in ("classes", "ordered")
        most = MOST_COEFFICIENTS // max(goal.outputs, 1) if many else None
        self.design = Design(kept_to=self.span, most=most)
        return super().fit(blocks, goal, seed=seed, threads=threads)

    def _best_trial(self, blocks: Blocks, goal: Goal, seed: int, threads: int | None) -> LinearLearner | None:
        """The better one of the spans, fitted to numbers and categories; None where there are no numbers."""
        blocks = {name: block for name, block in blocks.items() if _is_tabular(name, block, blocks)}
        is_large = len(goal) * (goal.outputs if goal.kind != "numbers" else 1) > SOME_CELLS
        if is_large or not any(block.columns.kind == "number" for block in blocks.values()):
            return None
        trials: list[LinearLearner] = []
        begun = self.deadline.clock()
        for number, span in enumerate(SPANS):
            if trials and not self.in_time(2 * (self.deadline.clock() - begun)):
                break
            trial = LinearLearner()
            trial.span, trial.deadline = span, self.deadline.share(len(SPANS) + 1 - number)
            trials.append(trial.fit(blocks, goal, seed=seed, threads=threads))
            self.hurried |= trial.hurried
        return trials[-1] if trials[-1]._loss < CLEAR * trials[0]._loss else trials[0]

    def can_fit(self, goal: Goal, blocks: Blocks) -> str:
        """Empty unless there are no columns."""
        return "" if any(block.values.shape[1] for block in blocks.values()) else "no columns to learn from"

    def prepare(self, blocks: Blocks, goal: Goal, seed: int) -> Matrix:
        """Fit the design matrix."""
        self.chosen, self._loss = {}, 0.0
        return self.design.fit(blocks, goal.row_weights)

    def join(self, blocks: Blocks) -> Matrix:
        """The design matrix of other rows."""
        return self.design.transform(blocks)

    def fit_part(self, matrix: Matrix, goal: Goal, seed: int) -> LinearModel:
        """Choose the penalty, then fit to all rows."""
        penalty = self._given.get(goal.label)
        if penalty is None:
            penalty = self._choose(matrix, goal, seed)
        self.chosen[goal.label] = penalty
        return _Fit(matrix, goal).model(penalty, LAST_STEPS, TOLERANCE)

    def _choose(self, matrix: Matrix, goal: Goal, seed: int) -> float:
        """The penalty with the smallest loss on held-out rows, of those that there is time for."""
        folds = _search_folds(goal, seed)
        if not folds:
            return 1 / max(len(goal), 1)
        parts = [(_Fit(matrix[train], goal.rows(train)), held) for train, held in folds]
        best, least, worse, begun = PENALTIES[0], np.inf, 0, self.deadline.clock()
        for penalty in PENALTIES:
            models = [(fit.model(penalty, STEPS, SEARCH_TOLERANCE), held) for fit, held in parts]
            loss = sum(held_loss(goal, held, _answers(model, matrix[held])) for model, held in models)
            better = loss < least * (1 - 1e-4)
            best, least, worse = (penalty, loss, 0) if better else (best, least, worse + 1)
            step, begun = self.deadline.clock() - begun, self.deadline.clock()
            if worse >= PATIENCE or not self.in_time(step * (GROWTH + LAST_STEPS / STEPS / len(parts))):
                break
        self._loss += least
        return best

    def predict_part(self, model: LinearModel, matrix: Matrix) -> np.ndarray:
        """Probabilities or standardized numbers."""
        return _answers(model, matrix)

    def part_scores(self, model: LinearModel, matrix: Matrix) -> np.ndarray:
        """See :class:`Learner`."""
        return model.scores(matrix)

    def part_contributions(
        self, model: LinearModel, matrix: Matrix, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Learner`: exact; the base is the intercept, at the means and without any word."""
        return as_dense(matrix) * (weights @ model.coefficients.T), weights @ model.intercepts

    def by_block(self, blocks: Blocks, found: np.ndarray) -> dict[str, BlockShare]:
        """See :class:`Learner`."""
        return self.design.by_block(found)

    def state(self) -> tuple[Settings, Arrays]:
        """The design."""
        return {}, self.design.arrays()

    def restore(self, settings: Settings, arrays: Arrays) -> None:
        """Take over a design."""
        self.design = Design.restore(arrays, sparse=True)

    def write_part(self, model: LinearModel, folder: Path) -> None:
        """Write the coefficients."""
        arrays = {"coefficients": model.coefficients, "intercepts": model.intercepts}
        write_state(folder, {"penalty": model.penalty}, arrays)

    def read_part(self, folder: Path) -> LinearModel:
        """Read the coefficients."""
        settings, arrays = read_state(folder)
        return LinearModel(
            arrays["coefficients"], arrays["intercepts"], as_number(settings["penalty"], "penalty")
        )

    def check_part(self, model: LinearModel, outputs: int) -> None:
        """Refuse coefficients of another design or other classes."""
        as_array({"coefficients": model.coefficients}, "coefficients", self.design.width, outputs)
        as_array({"intercepts": model.intercepts}, "intercepts", outputs)


def _is_tabular(name: str, block: Block, blocks: Blocks) -> bool:
    """Whether a block is of a number or a category, not of a text, a picture or the like."""
    if block.columns.kind == "sparse" or block.values.shape[1] > WIDE:
        return False
    own = name.rpartition("/")[0]
    return not own or all(
        each.columns.kind != "sparse" for part, each in blocks.items() if part.startswith(f"{own}/")
    )


def _search_folds(goal: Goal, seed: int) -> list[Fold]:
    """The inner folds that choose a penalty; of many rows one."""
    rows, outputs = len(goal), goal.outputs if goal.kind != "numbers" else 1
    is_large = rows > MANY or rows * outputs > MANY_CELLS
    folds = inner_folds(goal, seed, 5 if rows <= FEW or is_large else 3)
    return folds[:1] if is_large else folds


def _answers(model: LinearModel, matrix: Matrix) -> np.ndarray:
    scores = model.scores(matrix)
    return scores[:, 0] if scores.shape[1] == 1 else softmax(scores)


class _Fit:
    """Fits with several penalties to the same rows, each from the coefficients of the one before."""

    def __init__(self, matrix: Matrix, goal: Goal) -> None:
        from sklearn.linear_model import LogisticRegression  # which answering does without

        self.matrix, self.goal, self.weights = for_fitting(matrix), goal, goal.row_weights
        self.logistic = LogisticRegression(warm_start=True)

    def model(self, penalty: float, steps: int, tolerance: float) -> LinearModel:
        """The coefficients with a penalty."""
        if self.goal.kind == "numbers":
            return self._ridge(penalty, tolerance)
        from sklearn.exceptions import ConvergenceWarning

        self.logistic.set_params(C=1 / (penalty * len(self.goal)), max_iter=steps, tol=tolerance)
        with warnings.catch_warnings():  # the search needs no exact optimum, and the last fit is long enough
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.logistic.fit(self.matrix, self.goal.values, sample_weight=self.weights)
        return self._all_classes(penalty)

    def _ridge(self, penalty: float, tolerance: float) -> LinearModel:
        """Of numbers; LSQR of sparse columns takes a quarter of the time of conjugate gradients."""
        from sklearn.linear_model import Ridge

        solver = "auto" if isinstance(self.matrix, np.ndarray) else "lsqr"
        ridge = Ridge(alpha=penalty * len(self.goal), solver=solver, tol=tolerance)
        ridge.fit(self.matrix, self.goal.values, sample_weight=self.weights)
        return LinearModel(np.asarray(ridge.coef_).reshape(-1, 1), np.atleast_1d(ridge.intercept_), penalty)

    def _all_classes(self, penalty: float) -> LinearModel:
        """One output per class; a class that the rows of an inner fold lack is very improbable."""
        slopes, starts = self.logistic.coef_, self.logistic.intercept_
        if len(self.logistic.classes_) == 2:
            slopes, starts = np.vstack([-slopes, slopes]) / 2, np.concatenate([-starts, starts]) / 2
        coefficients = np.zeros((slopes.shape[1], self.goal.outputs))
        intercepts = np.full(self.goal.outputs, ABSENT)
        coefficients[:, self.logistic.classes_], intercepts[self.logistic.classes_] = slopes.T, starts
        return LinearModel(coefficients, intercepts, penalty)
