"""Boosting learner: gradient-boosted trees of LightGBM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polymodal.errors import RunError
from polymodal.plain.blocks import Blocks
from polymodal.plain.learners.base import LEARNERS, Learner, too_many_labels
from polymodal.plain.learners.contributions import BlockShare
from polymodal.plain.learners.goal import Goal
from polymodal.plain.learners.reduction import Reduction
from polymodal.plain.learners.tree_arrays import Trees
from polymodal.plain.learners.tree_options import FEWEST_ROWS, MANY_COLUMNS, options_by_size, threads_for
from polymodal.plain.learners.trees_text import checked_text
from polymodal.plain.learners.tuning import Fold, inner_folds
from polymodal.plain.sparse import Matrix, as_dense
from polymodal.plain.storage import Arrays, read_text
from polymodal.utils.atomic import write_text
from polymodal.utils.deadline import Deadline
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    import lightgbm

MOST_CLASSES = 100
"""A tree per class and round: with more classes it takes too long; of labels as well, a model each."""
MOST_CELLS = 500_000
"""Rows times labels, where there are several."""
PATIENCE = 2.0
"""Rounds times learning rate without a smaller loss on held-out rows, after which boosting ends."""
FEW, MANY = 1500, 6000
"""Up to so many rows five inner folds choose the rounds, then three, then a single held-out fifth."""
LIGHT = 5e5
"""Rows times columns times classes, above which three inner folds and one shape of trees are tried, and the
fit to all rows keeps the learning rate of the search."""
FALLBACK = 30
"""Rounds that are trained where no rows are held out."""
WORK = 3e9
"""Rows times columns times trees: bounds the number of rounds of a large table."""
FEWEST_ROUNDS, MOST_TREES = 20, 3000
RATE = 0.05
HASTY = 20.0
"""Seconds left below which the fit to all rows keeps the learning rate of the search, twice that."""
LAST_FIT = 0.4
"""Share of the time that is kept for the fit to all rows, once the rounds are chosen."""
TREES = "trees.txt"


@dataclass(frozen=True)
class Chosen:
    """What was chosen for one model: extremely randomized trees or usual ones, their rounds and rate.

    Attributes:
        narrow: Whether the columns of words, pixels and spectra (:attr:`Reduction.many`) are left out, where
            there are others: among many columns with little information, trees rarely see the few with much.
    """

    extra: bool
    rounds: int
    rate: float
    narrow: bool = False

    def options(self) -> Settings:
        """As options of LightGBM, without the rounds."""
        return {"extra_trees": self.extra, "learning_rate": self.rate}


def missing_library() -> str:
    """Why LightGBM cannot be used on this machine, in one line; empty where it can."""
    try:
        import lightgbm  # noqa: F401
    except (ImportError, OSError) as error:  # its wheel needs the system's libgomp.so.1
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return f"LightGBM cannot be loaded ({reason}). Install lightgbm, and libgomp1 of the system"
    return ""


@LEARNERS.register("boosting")
class BoostingLearner(Learner["lightgbm.Booster | Trees"]):
    """Gradient-boosted trees (Ke et al. 2017), with native missing values and categories.

    The number of rounds is chosen on inner folds; then all rows are fitted to. Sparse and wide blocks are
    reduced by a truncated singular value decomposition, the latter of their standard scores.
    """

    name = "boosting"
    method = "TreeSHAP"
    rank = 3.0

    def __init__(self) -> None:
        super().__init__()
        self.reduction = Reduction()
        self.chosen: dict[int, Chosen] = {}  # by label: one that is constant in some rows has no model
        self._given: dict[int, Chosen] = {}

    def settle(self, like: Learner[lightgbm.Booster | Trees]) -> None:
        """Train as many rounds of the same trees as a learner that chose them by inner folds."""
        if isinstance(like, BoostingLearner):
            self._given = dict(like.chosen)

    def can_fit(self, goal: Goal, blocks: Blocks) -> str:
        """A line where LightGBM is missing, there are no columns, or too many classes or labels."""
        if not any(block.values.shape[1] for block in blocks.values()):
            return "no columns to learn from"
        if goal.outputs > MOST_CLASSES:
            noun = "labels" if goal.kind == "labels" else "classes"
            return f"{goal.outputs} {noun}, at most {MOST_CLASSES} (a tree for each per round takes too long)"
        reason = too_many_labels(goal, MOST_CELLS)
        if reason:
            return reason
        return missing_library()

    def prepare(self, blocks: Blocks, goal: Goal, seed: int) -> Matrix:
        """Learn the reduction of sparse and wide blocks."""
        self.chosen = {}
        return self.reduction.fit(blocks, seed)

    def join(self, blocks: Blocks) -> Matrix:
        """``(rows, columns)`` with NaN where a value is missing."""
        return self.reduction.transform(blocks)

    def fit_part(self, matrix: Matrix, goal: Goal, seed: int) -> lightgbm.Booster:
        """Choose extremely randomized or usual trees and the number of rounds, then fit to all rows.

        Raises:
            RunError: In place of an error of LightGBM.
        """
        import lightgbm

        try:
            return self._train(matrix, goal, seed)
        except lightgbm.basic.LightGBMError as error:
            raise RunError(f"LightGBM failed: {(str(error).splitlines() or [''])[0]}") from error

    def _train(self, matrix: Matrix, goal: Goal, seed: int) -> lightgbm.Booster:
        import lightgbm

        chosen = self._given.get(goal.label)
        if chosen is None:
            chosen = self.choose(matrix, goal, seed)
        self.chosen[goal.label] = chosen
        data, options = self._view(matrix, goal, seed, chosen.narrow)
        stops: list[Callable[..., object]] = [StopInTime(self, self.deadline)] if self.deadline.is_set else []
        return lightgbm.train(options | chosen.options(), data, chosen.rounds, callbacks=stops)

    def _view(self, matrix: Matrix, goal: Goal, seed: int, narrow: bool) -> tuple[lightgbm.Dataset, Settings]:
        """The data and options of LightGBM; columns that are left out are empty there, and never split on."""
        columns = matrix.shape[1]
        if narrow:
            matrix, columns = np.array(matrix), columns - len(self.reduction.many)
            matrix[:, self.reduction.many] = np.nan
        return self._data(matrix, goal, columns), self.options(goal, seed, columns)

    def options(self, goal: Goal, seed: int, columns: int) -> Settings:
        """Options of LightGBM by the size of the table, without those that are chosen."""
        return options_by_size(goal, seed, self.threads, columns)

    def choose(self, matrix: Matrix, goal: Goal, seed: int) -> Chosen:
        """What inner folds choose: columns of texts or not, and of small tables both shapes of trees."""
        rows = len(goal)
        if rows < FEWEST_ROWS or not inner_folds(goal, seed, 3):
            return Chosen(False, FALLBACK, 2 * RATE)
        has_both = 0 < len(self.reduction.many) < matrix.shape[1]
        settings = [
            Chosen(extra, 0, 2 * RATE, narrow)
            for narrow in ((False, True) if has_both else (False,))
            for light in (self._is_light(matrix, goal, narrow),)
            for extra in ((False,) if rows > MANY else (True, False) if light else (True,))
        ]
        tried: list[tuple[float, Chosen]] = []
        for number, each in enumerate(settings):
            if not tried or self.in_time(0.0):
                allowed = self.deadline.before(LAST_FIT * self.deadline.left).share(len(settings) - number)
                tried.append(self._try(matrix, goal, seed, each, StopInTime(self, allowed)))
        chosen = min(tried, key=lambda entry: entry[0])[1]
        finer = replace(chosen, rate=RATE, rounds=2 * chosen.rounds)  # half the rate needs twice the rounds
        is_small = finer.rounds * _trees_per_round(goal) <= MOST_TREES
        light = is_small and self._is_light(matrix, goal, chosen.narrow)
        return finer if light and self.deadline.left > HASTY else chosen

    def _columns(self, matrix: Matrix, narrow: bool) -> int:
        return matrix.shape[1] - (len(self.reduction.many) if narrow else 0)

    def _is_light(self, matrix: Matrix, goal: Goal, narrow: bool) -> bool:
        outputs = goal.outputs if goal.kind != "numbers" else 1
        return len(goal) * self._columns(matrix, narrow) * outputs <= LIGHT

    def _try(
        self, matrix: Matrix, goal: Goal, seed: int, setting: Chosen, stop: StopInTime
    ) -> tuple[float, Chosen]:
        """The loss on inner folds, and the setting with the rounds that have it; on one fold if many rows."""
        rows, light = len(goal), self._is_light(matrix, goal, setting.narrow)
        folds = inner_folds(goal, seed, 5 if (light and rows <= FEW) or rows > MANY else 3)
        data, options = self._view(matrix, goal, seed, setting.narrow)
        most = _most_rounds(goal, self._columns(matrix, setting.narrow))
        folds = folds[:1] if rows > MANY else folds
        loss, rounds = _rounds(data, options | setting.options(), folds, most, stop)
        return loss, replace(setting, rounds=rounds)

    def predict_part(self, model: lightgbm.Booster | Trees, matrix: Matrix) -> np.ndarray:
        """Probabilities or standardized numbers."""
        dense = as_dense(matrix)
        result = np.asarray(model.predict(dense, num_threads=threads_for(self.threads, dense.size)))
        if self.fitted is not None and self.fitted.kind != "numbers" and result.ndim == 1:
            return np.stack([1 - result, result], axis=1)
        return result

    def part_scores(self, model: lightgbm.Booster | Trees, matrix: Matrix) -> np.ndarray:
        """See :class:`Learner`; LightGBM gives two classes one score, the log-odds of the second."""
        booster, dense = _booster(model), as_dense(matrix)
        threads = threads_for(self.threads, dense.size)
        result = np.asarray(booster.predict(dense, raw_score=True, num_threads=threads))
        result = result / self.divisor(booster)
        if self.fitted is not None and self.fitted.kind != "numbers" and result.ndim == 1:
            return np.stack([np.zeros(len(result)), result], axis=1)
        return result.reshape(matrix.shape[0], -1)

    def part_contributions(
        self, model: lightgbm.Booster | Trees, matrix: Matrix, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Learner`: TreeSHAP (Lundberg et al. 2020), exact Shapley values of the columns.

        The base is the mean score of the training rows.
        """
        booster, dense = _booster(model), as_dense(matrix)
        threads = threads_for(self.threads, dense.size)
        shares = np.asarray(booster.predict(dense, pred_contrib=True, num_threads=threads))
        shares = shares.reshape(matrix.shape[0], -1, matrix.shape[1] + 1) / self.divisor(booster)
        used = weights[:, -shares.shape[1] :]  # of two classes that of the second
        summed = np.einsum("rk,rkc->rc", used, shares)
        return summed[:, :-1], summed[:, -1]

    def divisor(self, model: lightgbm.Booster) -> int:
        """What LightGBM's sums over trees are divided by in its answers."""
        return 1

    def by_block(self, blocks: Blocks, found: np.ndarray) -> dict[str, BlockShare]:
        """See :class:`Learner`; what reduced columns add is shared out to the columns they come from."""
        return self.reduction.by_block(blocks, found)

    def state(self) -> tuple[Settings, Arrays]:
        """The columns of each block, and the reductions."""
        return self.reduction.state()

    def restore(self, settings: Settings, arrays: Arrays) -> None:
        """Take over columns and reductions."""
        self.reduction = Reduction.restore(settings, arrays)

    def write_part(self, model: lightgbm.Booster | Trees, folder: Path) -> None:
        """Write the model's text."""
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / TREES, _booster(model).model_to_string())

    def read_part(self, folder: Path) -> lightgbm.Booster | Trees:
        """Read the model's text, once it is known to be one."""
        return read_trees(folder / TREES)

    def check_part(self, model: lightgbm.Booster | Trees, outputs: int) -> None:
        """Refuse trees of other columns or classes: LightGBM would read outside of the matrix."""
        width = self.reduction.width
        per_round = outputs if outputs > 2 else 1
        if model.num_feature() != width or model.num_model_per_iteration() != per_round:
            raise ValueError(f"trees of {model.num_feature()} columns, expected {width}")

    def _data(self, matrix: Matrix, goal: Goal, columns: int) -> lightgbm.Dataset:
        import lightgbm

        bins = 255 if columns <= MANY_COLUMNS else 63
        options = {"verbosity": -1, "min_data_in_bin": 1 if len(goal) < FEW else 3, "max_bin": bins}
        return lightgbm.Dataset(
            matrix,
            goal.values,
            weight=goal.row_weights,
            categorical_feature=self.reduction.categories,
            params=options,
            free_raw_data=False,
        )


class StopInTime:
    """A callback of LightGBM that ends the training at a deadline.

    Args:
        learner: Gets ``hurried``.
        deadline: Of the training.
    """

    order = 40  # after the early stopping

    def __init__(self, learner: BoostingLearner, deadline: Deadline) -> None:
        self.learner, self.deadline = learner, deadline

    def __call__(self, env: lightgbm.callback.CallbackEnv) -> None:
        """Stop after this round if the deadline has passed."""
        import lightgbm

        if self.deadline.left < 0 and env.iteration + 1 < env.end_iteration:
            self.learner.hurried = True
            raise lightgbm.callback.EarlyStopException(env.iteration, env.evaluation_result_list or [])


def _rounds(
    data: lightgbm.Dataset, options: Settings, folds: list[Fold], most: int, in_time: StopInTime
) -> tuple[float, int]:
    """The smallest mean loss on held-out rows, and the number of rounds that has it.

    Of standardized numbers it is the mean of squared and absolute errors, as a blend is chosen by.
    """
    import lightgbm

    patience = round(PATIENCE / float(str(options["learning_rate"])))
    stop = lightgbm.early_stopping(patience, first_metric_only=True, verbose=False)
    callbacks: list[Callable[..., object]] = [stop, in_time] if in_time.deadline.is_set else [stop]
    history = lightgbm.cv(options, data, most, folds=folds, callbacks=callbacks)
    losses = [
        values for name, values in history.items() if name.endswith("-mean") and isinstance(values, list)
    ]
    means = np.mean(losses, axis=0)
    return float(means.min()), int(means.argmin()) + 1


def _trees_per_round(goal: Goal) -> int:
    return goal.outputs if goal.kind != "numbers" and goal.outputs > 2 else 1


def _most_rounds(goal: Goal, columns: int) -> int:
    """The bound of the number of rounds that time allows."""
    trees = _trees_per_round(goal)
    return int(np.clip(WORK / (len(goal) * max(columns, 1) * trees), FEWEST_ROUNDS, MOST_TREES // trees))


def read_trees(path: Path) -> lightgbm.Booster:
    """A booster from its text.

    Raises:
        RunError: If LightGBM is missing.
        ValueError: If the text is not a valid model.
    """
    reason = missing_library()
    if reason:
        raise RunError(reason)
    import lightgbm

    try:
        return lightgbm.Booster(model_str=checked_text(read_text(path)))
    except lightgbm.basic.LightGBMError as error:
        raise ValueError(f"LightGBM cannot read {path.name}") from error


def _booster(model: lightgbm.Booster | Trees) -> lightgbm.Booster:
    """The model of LightGBM.

    Raises:
        RunError: If only its trees were read, which answer and do nothing else.
    """
    if isinstance(model, Trees):
        raise RunError("the trees of an export answer rows alone. Load the run itself: polymodal.load(RUN)")
    return model
