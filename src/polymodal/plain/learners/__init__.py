"""Learners: linear models, boosted trees, forests and support vector machines on blocks of features."""

from polymodal.plain.learners.base import LEARNERS, Learner
from polymodal.plain.learners.boosting import BoostingLearner
from polymodal.plain.learners.extra_trees import ExtraTreesLearner
from polymodal.plain.learners.forest import ForestLearner
from polymodal.plain.learners.goal import Goal
from polymodal.plain.learners.kernel import KernelLearner
from polymodal.plain.learners.linear import LinearLearner

__all__ = [
    "LEARNERS",
    "BoostingLearner",
    "ExtraTreesLearner",
    "ForestLearner",
    "Goal",
    "KernelLearner",
    "Learner",
    "LinearLearner",
]
