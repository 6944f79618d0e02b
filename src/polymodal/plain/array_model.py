"""Plain models that answer in numpy alone, without LightGBM."""

from __future__ import annotations

from pathlib import Path

from polymodal.plain.learners import BoostingLearner, ForestLearner, Learner
from polymodal.plain.learners.boosting import TREES
from polymodal.plain.learners.tree_arrays import Trees
from polymodal.plain.model import LOG, PlainModel
from polymodal.plain.storage import read_text


class ArrayBoosting(BoostingLearner):
    """Boosted trees as arrays."""

    def read_part(self, folder: Path) -> Trees:
        """Read the model's text, once it is known to be one."""
        return Trees.of_text(read_text(folder / TREES))


class ArrayForest(ForestLearner):
    """A forest as arrays."""

    def read_part(self, folder: Path) -> Trees:
        """Read the model's text, once it is known to be one."""
        return Trees.of_text(read_text(folder / TREES))


class ArrayModel(PlainModel):
    """A fitted plain model whose answers need no library but numpy; it is read, and never fitted."""

    def _kind(self, name: str) -> type[Learner]:
        arrays: dict[str, type[Learner]] = {each.name: each for each in (ArrayBoosting, ArrayForest)}
        return arrays.get(name.removesuffix(LOG)) or super()._kind(name)
