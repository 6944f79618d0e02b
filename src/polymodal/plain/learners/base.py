"""Learners: blocks of features to the answers for one target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Generic, Self

import numpy as np

from polymodal.errors import RunError
from polymodal.plain.blocks import Blocks
from polymodal.plain.learners.contributions import (
    BlockShare,
    Contributions,
    against_others,
    constant,
    in_unit,
    of_prior,
)
from polymodal.plain.learners.goal import (
    KINDS,
    Fitted,
    Goal,
    Kind,
    P,
    Part,
    counted,
    parts_of,
    read_fitted,
    read_part,
)
from polymodal.plain.sparse import Matrix
from polymodal.plain.storage import Arrays, as_list, read_state, refusing, write_state
from polymodal.utils.deadline import NO_LIMIT
from polymodal.utils.records import Settings
from polymodal.utils.registry import Registry

FLOOR = 1e-7
"""Smallest probability of a class, so that no log loss is infinite."""
MARGIN = 0.5
"""A number may leave the range of the training answers by this share of it; a log would explode otherwise."""


class Learner(ABC, Generic[P]):
    """Predicts one target from blocks of features.

    This class handles what is common: weights, rows that do not count, constant answers, classes without
    rows, one model per label, the transform of numbers, and files. A subclass joins the blocks into its
    matrix and fits one model to it.

    Attributes:
        fitted: What was fitted; None before.
        threads: Most threads; None for the library's default.
        learns: The kinds of goals that it knows.
        rank: Under a time limit learners are fitted in this order: what is cheap for what it brings first.
        deadline: Set before :meth:`fit`: of one model of it, see :meth:`in_time`.
        hurried: Whether fewer settings were tried than without a time limit.
        method: How :meth:`contributions` are computed, in the field's words; empty: they are not known.
    """

    name: ClassVar[str] = ""
    method: ClassVar[str] = ""
    learns: ClassVar[tuple[Kind, ...]] = KINDS
    rank: ClassVar[float] = 4.0

    def __init__(self) -> None:
        self.fitted: Fitted[P] | None = None
        self.threads: int | None = None
        self.deadline = NO_LIMIT
        self.hurried = False

    @classmethod
    def suits(cls, kind: Kind, outputs: int) -> bool:
        """Whether this learner is meant for such goals; of others it is not named at all.

        Args:
            kind: Of the goal.
            outputs: Its classes or labels; 1 for numbers.
        """
        return kind in cls.learns

    def can_fit(self, goal: Goal, blocks: Blocks) -> str:
        """Why this learner cannot be used here, in one line; empty where it can."""
        return ""

    def settle(self, like: Learner[P]) -> None:
        """Take over what a fitted learner of the same kind chose by inner folds, where that costs time.

        Args:
            like: Fitted to most of the rows that this one is to be fitted to.
        """
        return

    def fit(self, blocks: Blocks, goal: Goal, *, seed: int, threads: int | None = None) -> Self:
        """Fit to the rows of ``blocks``.

        Args:
            blocks: Features of the rows of ``goal``.
            goal: The answers.
            seed: Seed of all draws: equal calls give equal models.
            threads: Most threads; None for the library's default.

        Raises:
            ConfigError: If no row counts, an answer is not finite, or one to take the log of is -1 or less.
        """
        self.threads = threads
        blocks, goal = counted(blocks, goal)
        matrix = self.prepare(blocks, goal, seed)
        self.fitted = Fitted(goal.kind, goal.outputs, goal.transform)
        whole, parts = self.deadline, parts_of(goal)
        for number, part in enumerate(parts):
            self.deadline = whole.share(len(parts) - number)
            self.fitted.parts.append(self._fit_one(matrix, part, seed))
        self.deadline = whole
        return self

    def in_time(self, seconds: float) -> bool:
        """Whether there is time for the next step of a search, and the last fit; a search ends where not."""
        if seconds <= self.deadline.left:
            return True
        self.hurried = True
        return False

    def predict(self, blocks: Blocks) -> np.ndarray:
        """The answers for the rows of ``blocks``.

        Returns:
            ``(rows, classes)`` probabilities that sum to 1; ``(rows, labels)`` probabilities; or ``(rows,)``
            numbers in the unit of the training answers.
        """
        if self.fitted is None:
            raise RunError(f"the learner '{self.name}' is not fitted")
        matrix = self.join(blocks)
        with np.errstate(over="ignore"):
            answers = [self._predict_one(part, matrix) for part in self.fitted.parts]
        if self.fitted.kind == "numbers":
            return answers[0]
        if self.fitted.kind == "labels":
            return np.stack([answer[:, 1] for answer in answers], axis=1)
        return answers[0]

    def contributions(self, blocks: Blocks, output: int = 0) -> Contributions:
        """What each column adds to the score of one output; see the module of :class:`Contributions`.

        Args:
            blocks: Features of rows.
            output: Index of the class or label; 0 for numbers.

        Raises:
            RunError: If the learner is not fitted, or has no :attr:`method`.
        """
        if self.fitted is None or not self.method:
            raise RunError(f"the learner '{self.name}' is not fitted, or its contributions are not known")
        matrix, rows = self.join(blocks), len(next(iter(blocks.values())))
        if self.fitted.kind == "numbers":
            part = self.fitted.parts[0]
            result = self._contributions(part.model, blocks, matrix, np.ones((rows, 1)))
            return in_unit(result, part, self.fitted.transform)
        is_label = self.fitted.kind == "labels"
        part, output = self.fitted.parts[output if is_label else 0], 1 if is_label else output
        index = np.flatnonzero(part.classes == output)
        if part.model is None or not len(index):
            return of_prior(part, output, rows)
        weights = against_others(self.part_scores(part.model, matrix), int(index[0]))
        return self._contributions(part.model, blocks, matrix, weights)

    def _contributions(
        self, model: P | None, blocks: Blocks, matrix: Matrix, weights: np.ndarray
    ) -> Contributions:
        """Of the weighted sum of the scores of one model; zero without a model."""
        if model is None:
            return constant(0.0, len(weights))
        result, base = self.part_contributions(model, matrix, weights)
        score = (weights * self.part_scores(model, matrix)).sum(axis=1)
        return Contributions(self.by_block(blocks, result), base, score)

    def part_scores(self, model: P, matrix: Matrix) -> np.ndarray:
        """``(rows, classes)`` scores whose softmax :meth:`predict_part` gives; or ``(rows, 1)`` numbers.

        This and the next two methods are those of a learner with a :attr:`method`.
        """
        raise NotImplementedError

    def part_contributions(
        self, model: P, matrix: Matrix, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """``(rows, width)`` what each column of the matrix adds to a sum of scores, and ``(rows,)`` its base.

        Args:
            model: One model.
            matrix: ``(rows, width)``.
            weights: ``(rows, classes)`` of each score in the sum.
        """
        raise NotImplementedError

    def by_block(self, blocks: Blocks, found: np.ndarray) -> dict[str, BlockShare]:
        """What each column of the blocks adds, from what each of the matrix does."""
        raise NotImplementedError

    @abstractmethod
    def prepare(self, blocks: Blocks, goal: Goal, seed: int) -> Matrix:
        """Learn how blocks are joined, and join those of the training rows."""

    @abstractmethod
    def join(self, blocks: Blocks) -> Matrix:
        """``(rows, columns)`` matrix of other rows, as :meth:`prepare` learned it."""

    @abstractmethod
    def fit_part(self, matrix: Matrix, goal: Goal, seed: int) -> P:
        """Fit one model to two or more classes, which all have rows, or to standardized numbers."""

    @abstractmethod
    def predict_part(self, model: P, matrix: Matrix) -> np.ndarray:
        """``(rows, classes)`` probabilities, or ``(rows,)`` standardized numbers."""

    @abstractmethod
    def state(self) -> tuple[Settings, Arrays]:
        """What :meth:`prepare` learned."""

    @abstractmethod
    def restore(self, settings: Settings, arrays: Arrays) -> None:
        """Take over what :meth:`state` gave."""

    @abstractmethod
    def write_part(self, model: P, folder: Path) -> None:
        """Write one model into an empty folder."""

    @abstractmethod
    def read_part(self, folder: Path) -> P:
        """Read what :meth:`write_part` wrote."""

    def check_part(self, model: P, outputs: int) -> None:
        """Refuse a model that was read, where it does not fit to what :meth:`restore` took over.

        Args:
            model: As :meth:`read_part` returned it.
            outputs: Classes that it knows; 1 for numbers.

        Raises:
            ValueError: If a shape does not agree: predictions would fail, or read outside of arrays.
        """

    def save(self, folder: Path) -> None:
        """Write the fitted learner into a new folder: JSON, arrays, and the text of trees; no pickle."""
        if self.fitted is None:
            raise RunError(f"the learner '{self.name}' is not fitted")
        settings, arrays = self.state()
        write_state(folder, settings, arrays)
        fitted: Settings = {"name": self.name, "kind": self.fitted.kind, "outputs": self.fitted.outputs}
        fitted |= {
            "transform": self.fitted.transform,
            "models": [part.model is not None for part in self.fitted.parts],
        }
        tables: Arrays = {}
        for number, part in enumerate(self.fitted.parts):
            tables |= {f"classes{number}": part.classes, f"prior{number}": part.prior}
            tables[f"numbers{number}"] = np.array([part.centre, part.scale, part.low, part.high])
            if part.model is not None:
                self.write_part(part.model, folder / f"part{number}")
        write_state(folder / "fitted", fitted, tables)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote; nothing of it is executed.

        Raises:
            RunError: If a file is missing or is not what :meth:`save` writes.
        """
        learner = cls()
        with refusing(folder):
            learner.restore(*read_state(folder))
            fitted, tables = read_state(folder / "fitted")
            learner.fitted = read_fitted(fitted)
            models = as_list(fitted["models"], "models")
            if len(models) != (learner.fitted.outputs if learner.fitted.kind == "labels" else 1):
                raise ValueError(f"{len(models)} models")
            for number, model in enumerate(models):
                part: Part[P] = read_part(tables, number, learner.fitted)
                if model:
                    read = learner.read_part(folder / f"part{number}")
                    learner.check_part(read, len(part.classes) or 1)
                    part = replace(part, model=read)
                learner.fitted.parts.append(part)
        return learner

    def _fit_one(self, matrix: Matrix, goal: Goal, seed: int) -> Part[P]:
        if goal.kind == "numbers":
            return self._fit_numbers(matrix, goal, seed)
        weights = goal.row_weights
        totals = np.bincount(goal.values, weights, minlength=goal.outputs)
        prior = (totals + 1 / goal.outputs) / (totals.sum() + 1)
        classes = np.flatnonzero(np.bincount(goal.values, minlength=goal.outputs))
        if len(classes) < 2 or not matrix.shape[1]:
            return Part(None, classes, prior)
        inner = replace(goal, values=np.searchsorted(classes, goal.values), outputs=len(classes))
        return Part(self.fit_part(matrix, inner, seed), classes, prior)

    def _fit_numbers(self, matrix: Matrix, goal: Goal, seed: int) -> Part[P]:
        values = np.log1p(goal.values) if goal.transform == "log" else np.asarray(goal.values, dtype=float)
        weights = goal.row_weights
        centre = float(np.average(values, weights=weights))
        scale = float(np.sqrt(np.average((values - centre) ** 2, weights=weights)))
        low, high = float(values.min()), float(values.max())
        room = MARGIN * (high - low)
        nothing = np.zeros(0)
        if not scale > 1e-12 * max(abs(low), abs(high)) or not matrix.shape[1]:
            return Part(None, nothing, nothing, centre, 1.0, low, high)
        model = self.fit_part(matrix, replace(goal, values=(values - centre) / scale), seed)
        lowest = (
            max(low - room, 0.0) if low >= 0 else low - room
        )  # what was never negative is not predicted so
        return Part(model, nothing, nothing, centre, scale, lowest, high + room)

    def _predict_one(self, part: Part[P], matrix: Matrix) -> np.ndarray:
        assert self.fitted is not None
        if self.fitted.kind == "numbers":
            standard = np.zeros(matrix.shape[0])
            if part.model is not None and matrix.shape[0]:
                standard = self.predict_part(part.model, matrix)
            values = np.clip(part.centre + part.scale * standard, part.low, part.high)
            return np.expm1(values) if self.fitted.transform == "log" else values
        result = np.tile(part.prior, (matrix.shape[0], 1))
        if part.model is not None and matrix.shape[0]:
            absent = np.delete(part.prior, part.classes).sum()
            result[:, part.classes] = (1 - absent) * self.predict_part(part.model, matrix)
        result = np.maximum(result, FLOOR)
        return result / result.sum(axis=1, keepdims=True)


LEARNERS: Registry[type[Learner]] = Registry("learner", group="polymodal.learners", base=Learner)
"""Learners by name; other packages may offer more."""


def too_many_labels(goal: Goal, most: int) -> str:
    """Why a model of each label takes too long, in one line; empty where it does not, or for other goals.

    Args:
        goal: The answers.
        most: Largest number of rows times labels.
    """
    if goal.kind != "labels" or goal.outputs < 2 or len(goal) * goal.outputs <= most:
        return ""
    cells = f"{len(goal):,} rows times {goal.outputs:,} labels"
    return f"{cells}, at most {most:,} together (it fits a model of each label)"
