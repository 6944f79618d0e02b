"""Boosting learner: gradient-boosted trees of LightGBM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD

from polymodal.errors import RunError
from polymodal.plain.blocks import Block, Blocks
from polymodal.plain.learners.base import LEARNERS, Goal, Learner
from polymodal.plain.learners.design import Matrix, numbers_of
from polymodal.plain.learners.trees_text import checked_text
from polymodal.plain.learners.tuning import Fold, inner_folds
from polymodal.plain.storage import Arrays, as_count, as_list, read_text
from polymodal.utils.atomic import write_text
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    import lightgbm

MOST_CLASSES = 100
"""A tree per class and round: with more classes it takes too long."""
REDUCED = 64
"""Columns that a sparse block is reduced to."""
PATIENCE = 20
"""Rounds without a smaller loss on held-out rows, after which boosting ends."""
MIDDLE = 2000
"""From so many rows trees have 31 leaves, below 15."""
FEW, MANY = 1500, 6000
"""Up to so many rows five inner folds choose the rounds, then three, then a single held-out fifth."""
FEWEST_ROWS, FALLBACK = 10, 30
"""With fewer rows none are held out, and so many rounds are trained."""
WORK = 3e9
"""Rows times columns times trees: bounds the number of rounds of a large table."""
FEWEST_ROUNDS, MOST_TREES = 20, 3000
RATE = 0.1
TREES = "trees.txt"


def missing_library() -> str:
    """Why LightGBM cannot be used on this machine, in one line; empty where it can."""
    try:
        import lightgbm  # noqa: F401
    except (ImportError, OSError) as error:  # its wheel needs the system's libgomp.so.1
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return f"LightGBM cannot be loaded ({reason}). Install lightgbm, and libgomp1 of the system"
    return ""


@LEARNERS.register("boosting")
class BoostingLearner(Learner["lightgbm.Booster"]):
    """Gradient-boosted trees (Ke et al. 2017), with native missing values and categories.

    The number of rounds is chosen on inner folds; then all rows are fitted to. Sparse blocks are reduced by
    a truncated singular value decomposition.
    """

    name = "boosting"

    def __init__(self) -> None:
        super().__init__()
        self.columns: dict[str, int] = {}
        self.bases: dict[str, np.ndarray] = {}
        self.categories: list[int] = []

    def can_fit(self, goal: Goal, blocks: Blocks) -> str:
        """A line where LightGBM is missing, there are no columns, or too many classes."""
        if not any(block.values.shape[1] for block in blocks.values()):
            return "no columns to learn from"
        if goal.kind != "labels" and goal.outputs > MOST_CLASSES:
            return (
                f"{goal.outputs} classes, at most {MOST_CLASSES} (a tree per class and round takes too long)"
            )
        return missing_library()

    def prepare(self, blocks: Blocks, goal: Goal, seed: int) -> Matrix:
        """Learn the reduction of sparse blocks."""
        self.columns = {name: block.values.shape[1] for name, block in blocks.items()}
        self.bases, self.categories, width = {}, [], 0
        for name, block in blocks.items():
            if isinstance(block.values, csr_matrix):
                self.bases[name] = _basis(block, seed)
            size = self.bases[name].shape[1] if name in self.bases else self.columns[name]
            self.categories += range(width, width + size) if block.columns.kind == "category" else ()
            width += size
        return self.join(blocks)

    def join(self, blocks: Blocks) -> Matrix:
        """``(rows, columns)`` with NaN where a value is missing."""
        parts = []
        for name, count in self.columns.items():
            if name not in blocks or blocks[name].values.shape[1] != count:
                raise RunError(f"no block '{name}' of {count} columns, which the model was fitted to")
            block = blocks[name]
            if isinstance(block.values, csr_matrix):
                reduced = np.asarray(block.values @ self.bases[name])
                parts.append(np.where(block.present[:, None], reduced, np.nan))
            else:
                parts.append(numbers_of(block))
        return np.hstack(parts) if parts else np.zeros((0, 0))

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

        data = self._data(matrix, goal)
        options, most = _options(goal, seed, self.threads), _most_rounds(goal, matrix.shape[1])
        folds = inner_folds(goal, seed, 5 if len(goal) <= FEW or len(goal) > MANY else 3)
        if not folds or len(goal) < FEWEST_ROWS:
            return lightgbm.train(options | {"bagging_fraction": 1.0}, data, FALLBACK)
        shapes = [{"extra_trees": extra} for extra in ((True, False) if len(goal) <= MANY else (False,))]
        tried = [
            _rounds(data, options | shape, folds[:1] if len(goal) > MANY else folds, most) for shape in shapes
        ]
        best = int(np.argmin([loss for loss, _ in tried]))
        return lightgbm.train(options | shapes[best], data, tried[best][1])

    def predict_part(self, model: lightgbm.Booster, matrix: Matrix) -> np.ndarray:
        """Probabilities or standardized numbers."""
        result = np.asarray(model.predict(matrix, num_threads=self.threads or 0))
        if self.fitted is not None and self.fitted.kind != "numbers" and result.ndim == 1:
            return np.stack([1 - result, result], axis=1)
        return result

    def state(self) -> tuple[Settings, Arrays]:
        """The columns of each block, and the bases of the sparse ones."""
        bases = {
            f"basis{number}": self.bases[name]
            for number, name in enumerate(self.columns)
            if name in self.bases
        }
        return {"columns": list(self.columns.items())}, bases

    def restore(self, settings: Settings, arrays: Arrays) -> None:
        """Take over columns and bases."""
        self.columns = {}
        for entry in as_list(settings["columns"], "columns"):
            name, count = as_list(entry, "columns")
            self.columns[str(name)] = as_count(count, "columns")
        names = list(enumerate(self.columns))
        self.bases = {name: arrays[f"basis{number}"] for number, name in names if f"basis{number}" in arrays}

    def write_part(self, model: lightgbm.Booster, folder: Path) -> None:
        """Write the model's text."""
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / TREES, model.model_to_string())

    def read_part(self, folder: Path) -> lightgbm.Booster:
        """Read the model's text, once it is known to be one."""
        return read_trees(folder / TREES)

    def _data(self, matrix: Matrix, goal: Goal) -> lightgbm.Dataset:
        import lightgbm

        options = {"verbosity": -1, "min_data_in_bin": 1 if len(goal) < FEW else 3}
        return lightgbm.Dataset(
            matrix,
            goal.values,
            weight=goal.row_weights,
            categorical_feature=self.categories,
            params=options,
            free_raw_data=False,
        )


def _rounds(data: lightgbm.Dataset, options: Settings, folds: list[Fold], most: int) -> tuple[float, int]:
    """The smallest mean loss on held-out rows, and the number of rounds that has it."""
    import lightgbm

    stop = lightgbm.early_stopping(PATIENCE, verbose=False)
    history = lightgbm.cv(options, data, most, folds=folds, callbacks=[stop])
    means = next(values for values in history.values() if isinstance(values, list))  # deviations follow
    return min(means), int(np.argmin(means)) + 1


def _basis(block: Block, seed: int) -> np.ndarray:
    """``(columns, reduced)``: the directions of the largest singular values (Halko et al. 2011)."""
    rows, columns = block.values.shape
    size = min(REDUCED, columns - 1, rows - 1)
    if size < 1 or not abs(block.values).sum() > 0:
        return np.eye(columns)[:, :1]
    reduction = TruncatedSVD(size, n_iter=4, random_state=seed).fit(block.values.astype(np.float64))
    return np.ascontiguousarray(reduction.components_.T)


def _options(goal: Goal, seed: int, threads: int | None) -> Settings:
    """Options of LightGBM by the size of the table.

    Few rows: small trees, each of a part of the rows and columns, so that single rows decide little.
    """
    rows, classes = len(goal), goal.outputs if goal.kind != "numbers" else 1
    options: Settings = {
        "objective": "regression" if goal.kind == "numbers" else "multiclass" if classes > 2 else "binary",
        "learning_rate": RATE,
        "num_leaves": 15 if rows < MIDDLE else 31,
        "min_data_in_leaf": int(np.clip(rows // 50, 3, 20)),
        "min_data_per_group": int(np.clip(rows // 20, 5, 100)),
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "seed": seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads or 0,
        "verbosity": -1,
    }
    return options | ({"num_class": classes} if classes > 2 else {})


def _most_rounds(goal: Goal, columns: int) -> int:
    """The bound of the number of rounds that time allows."""
    trees = goal.outputs if goal.kind != "numbers" and goal.outputs > 2 else 1
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
