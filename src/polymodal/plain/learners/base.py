"""Learners: blocks of features to the answers for one target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Generic, Literal, Self, TypeAlias, TypeVar

import numpy as np

from polymodal.errors import ConfigError, RunError
from polymodal.plain.blocks import Blocks
from polymodal.plain.learners.design import Matrix
from polymodal.plain.storage import Arrays, as_array, as_count, as_list, read_state, refusing, write_state
from polymodal.utils.deadline import NO_LIMIT
from polymodal.utils.records import Settings
from polymodal.utils.registry import Registry

Kind: TypeAlias = Literal["classes", "ordered", "labels", "numbers"]
KINDS: tuple[Kind, ...] = ("classes", "ordered", "labels", "numbers")
P = TypeVar("P")
FLOOR = 1e-7
"""Smallest probability of a class, so that no log loss is infinite."""
MARGIN = 0.5
"""A number may leave the range of the training answers by this share of it; a log would explode otherwise."""


@dataclass(frozen=True)
class Goal:
    """The training answers of one target, for rows whose answer is known.

    Attributes:
        kind: What is predicted; ordered classes are learned as classes.
        values: ``(rows,)`` int64 class from 0; ``(rows, labels)`` 0 or 1; or ``(rows,)`` float64.
        outputs: Number of classes or labels; 1 for numbers.
        weights: ``(rows,)`` weight of each row: a row of weight 2 counts as two copies; None for all 1.
        transform: For numbers: "log" learns ``log(1 + value)``.
        both: For numbers of 0 or more: whether to learn them by each learner twice, as they are and as
            logarithms, in the place of ``transform``; see :meth:`of_log`.
        balanced: For classes: each class has the same total weight.
        groups: ``(rows,)`` int, rows that may not be separated when a setting is chosen on held-out rows.
        label: Of a goal of two classes, which of several labels it is.
    """

    kind: Kind
    values: np.ndarray
    outputs: int
    weights: np.ndarray | None = None
    transform: Literal["none", "log"] = "none"
    both: bool = False
    balanced: bool = False
    groups: np.ndarray | None = None
    label: int = 0

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, index: np.ndarray) -> Goal:
        """The goal of some rows, by their indices or a mask."""
        weights = None if self.weights is None else self.weights[index]
        groups = None if self.groups is None else self.groups[index]
        return replace(self, values=self.values[index], weights=weights, groups=groups)

    def of_log(self, log: bool) -> Goal:
        """One of the two goals in a goal of ``both``; any other goal is unchanged, unless by ``log``."""
        if log:
            return replace(self, values=np.clip(self.values, 0, None), transform="log", both=False)
        return replace(self, transform="none", both=False) if self.both else self

    @property
    def row_weights(self) -> np.ndarray:
        """``(rows,)`` float64 weights with mean 1, those of the classes balanced if requested."""
        weights = np.ones(len(self)) if self.weights is None else np.asarray(self.weights, dtype=float)
        weights = weights / weights.max() if len(weights) and weights.max() > 0 else weights
        if self.balanced and self.kind in ("classes", "ordered"):
            totals = np.bincount(self.values, weights, minlength=self.outputs)
            weights = weights / np.where(totals > 0, totals, 1)[self.values]
        return weights / max(weights.mean(), np.finfo(float).tiny) if len(weights) else weights


@dataclass(frozen=True)
class Part(Generic[P]):
    """One model of a learner: of all classes, of one label, or of the numbers.

    Attributes:
        model: The fitted model; None where the answers or all columns were constant.
        classes: ``(present,)`` int: the classes that the training rows have.
        prior: ``(classes,)`` their shares, by Laplace's rule; the answer without a model. For numbers: empty.
        centre: For numbers: mean of the (transformed) answers; the answer without a model.
        scale: For numbers: their standard deviation.
        low: For numbers: the smallest (transformed) answer that is predicted.
        high: For numbers: the largest.
    """

    model: P | None
    classes: np.ndarray
    prior: np.ndarray
    centre: float = 0.0
    scale: float = 1.0
    low: float = 0.0
    high: float = 0.0


@dataclass
class Fitted(Generic[P]):
    """What a learner is after ``fit``: the kind of goal and one part per model."""

    kind: Kind
    outputs: int
    transform: str = "none"
    parts: list[Part[P]] = field(default_factory=list)


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
    """

    name: ClassVar[str] = ""
    learns: ClassVar[tuple[Kind, ...]] = KINDS
    rank: ClassVar[float] = 4.0

    def __init__(self) -> None:
        self.fitted: Fitted[P] | None = None
        self.threads: int | None = None
        self.deadline = NO_LIMIT
        self.hurried = False

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
        blocks, goal = _counted(blocks, goal)
        matrix = self.prepare(blocks, goal, seed)
        self.fitted = Fitted(goal.kind, goal.outputs, goal.transform)
        whole, parts = self.deadline, _parts(goal)
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
            learner.fitted = _read_fitted(fitted)
            models = as_list(fitted["models"], "models")
            if len(models) != (learner.fitted.outputs if learner.fitted.kind == "labels" else 1):
                raise ValueError(f"{len(models)} models")
            for number, model in enumerate(models):
                part: Part[P] = _read_part(tables, number, learner.fitted)
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
        return Part(model, nothing, nothing, centre, scale, low - room, high + room)

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


def _read_fitted(written: Settings) -> Fitted:
    """Kind and outputs of a learner, without its parts.

    Raises:
        ValueError: If they are none that a fit writes.
    """
    kind = next((known for known in KINDS if known == written["kind"]), None)
    outputs = as_count(written["outputs"], "outputs")
    if kind is None or not outputs or (kind == "numbers" and outputs != 1):
        raise ValueError(f"a learner of the kind {written['kind']!r} with {outputs} outputs")
    return Fitted(kind, outputs, str(written["transform"]))


def _read_part(tables: Arrays, number: int, fitted: Fitted) -> Part:
    """Classes and scales of a part, without its model.

    Raises:
        ValueError: If they are none that a fit writes.
    """
    scales = [float(value) for value in as_array(tables, f"numbers{number}", 4)]
    count = {"numbers": 0, "labels": 2}.get(fitted.kind, fitted.outputs)
    prior, classes = as_array(tables, f"prior{number}", count), tables[f"classes{number}"]
    if fitted.kind == "numbers":
        return Part(None, as_array(tables, f"classes{number}", 0), prior, *scales)
    classes = as_array(tables, f"classes{number}", classes.size, kinds="i")
    if not len(classes) or classes[0] < 0 or classes[-1] >= count or (np.diff(classes) < 1).any():
        raise ValueError(f"classes other than 0 to {count - 1}")
    return Part(None, classes, prior, *scales)


def _counted(blocks: Blocks, goal: Goal) -> tuple[Blocks, Goal]:
    """Blocks and goal of the rows that count; the weights of these have mean 1."""
    values = np.asarray(goal.values)
    if not np.isfinite(values).all():
        raise ConfigError("an answer of the training rows is not finite. Leave such rows out")
    if goal.transform == "log" and goal.kind == "numbers" and len(values) and values.min() <= -1:
        raise ConfigError(f"a log transform of {values.min():g}, expected answers above -1. Use no transform")
    counts = goal.row_weights > 0
    if not counts.any():
        raise ConfigError("no training row has a known answer and a weight above 0")
    if not counts.all():
        blocks = {name: block.rows(counts) for name, block in blocks.items()}
        goal = goal.rows(counts)
    return blocks, replace(goal, weights=goal.row_weights, balanced=False)


def _parts(goal: Goal) -> list[Goal]:
    """The goal itself, or one goal of two classes per label."""
    if goal.kind != "labels":
        return [goal]
    labels = np.asarray(goal.values).astype(np.int64).T
    return [
        replace(goal, kind="classes", values=values, outputs=2, label=label)
        for label, values in enumerate(labels)
    ]
