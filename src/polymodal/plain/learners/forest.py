"""Forest learner: the mean of deep trees, each fitted to a sample of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from polymodal.plain.learners.base import LEARNERS
from polymodal.plain.learners.boosting import BoostingLearner, Chosen
from polymodal.plain.learners.goal import Goal
from polymodal.plain.sparse import Matrix
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    import lightgbm

TREES = 100
LEAVES = 256
SMALLEST_LEAF = 2
SHARE = 1 - 1 / np.e
"""Of the rows that a tree is fitted to: as many different ones as a bootstrap sample has."""
COLUMNS, FEWEST_COLUMNS = 1 / 3, 3
"""Share of the columns that a split is chosen from (Breiman 2001, for numbers), of few columns at least so
many: a single one is chosen blindly."""


@LEARNERS.register("forest")
class ForestLearner(BoostingLearner):
    """A random forest (Breiman 2001) of LightGBM for numbers.

    Its answers lie within those of the training rows and hardly depend on single ones, so that it is often
    the best model of a small table with a long tail. No setting is chosen. Columns of reduced texts are left
    out where there are others.
    """

    name = "forest"
    learns = ("numbers",)
    rank = 2.5

    def choose(self, matrix: Matrix, goal: Goal, seed: int) -> Chosen:
        """The same for every table."""
        has_both = 0 < len(self.reduction.many) < matrix.shape[1]
        return Chosen(False, TREES, 1.0, has_both)

    def divisor(self, model: lightgbm.Booster) -> int:
        """The number of trees: a forest answers with their mean."""
        return max(1, model.num_trees())

    def options(self, goal: Goal, seed: int, columns: int) -> Settings:
        """Options of a forest."""
        own: Settings = {
            "boosting": "rf",
            "num_leaves": LEAVES,
            "min_data_in_leaf": SMALLEST_LEAF,
            "min_data_per_group": 5,
            "cat_smooth": 1.0,
            "cat_l2": 1.0,
            "lambda_l2": 0.0,
            "bagging_fraction": SHARE,
            "feature_fraction": 1.0,
            "feature_fraction_bynode": max(COLUMNS, min(1.0, FEWEST_COLUMNS / max(columns, 1))),
        }
        return super().options(goal, seed, columns) | own
