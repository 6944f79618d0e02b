"""What is learned and what was: the answers of one target, and the models that were fitted to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeAlias, TypeVar

import numpy as np

from polymodal.errors import ConfigError
from polymodal.plain.blocks import Blocks
from polymodal.plain.storage import Arrays, as_array, as_count
from polymodal.utils.records import Settings

Kind: TypeAlias = Literal["classes", "ordered", "labels", "numbers"]
KINDS: tuple[Kind, ...] = ("classes", "ordered", "labels", "numbers")
P = TypeVar("P")


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


def read_fitted(written: Settings) -> Fitted:
    """Kind and outputs of a learner, without its parts.

    Raises:
        ValueError: If they are none that a fit writes.
    """
    kind = next((known for known in KINDS if known == written["kind"]), None)
    outputs = as_count(written["outputs"], "outputs")
    if kind is None or not outputs or (kind == "numbers" and outputs != 1):
        raise ValueError(f"a learner of the kind {written['kind']!r} with {outputs} outputs")
    return Fitted(kind, outputs, str(written["transform"]))


def read_part(tables: Arrays, number: int, fitted: Fitted) -> Part:
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


def counted(blocks: Blocks, goal: Goal) -> tuple[Blocks, Goal]:
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


def parts_of(goal: Goal) -> list[Goal]:
    """The goal itself, or one goal of two classes per label."""
    if goal.kind != "labels":
        return [goal]
    labels = np.asarray(goal.values).astype(np.int64).T
    return [
        replace(goal, kind="classes", values=values, outputs=2, label=label)
        for label, values in enumerate(labels)
    ]
