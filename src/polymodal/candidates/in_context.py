"""Answers in context: TabICL predicts a row from all training rows at once, without being fitted to them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
import torch

from polymodal.candidates.in_context_weights import FILES, LARGEST, Network, read_network
from polymodal.errors import RunError, one_line
from polymodal.plain.blocks import Blocks
from polymodal.plain.learners import Goal, Learner
from polymodal.plain.learners.goal import Kind
from polymodal.plain.learners.reduction import Reduction, reduced_width
from polymodal.plain.model import PlainModel
from polymodal.plain.sparse import Matrix
from polymodal.plain.storage import Arrays, as_array, as_count, read_state, write_state
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    from tabicl import TabICLClassifier, TabICLRegressor

NAME = "tabicl"
MOST_ROWS, MOST_COLUMNS = 10_000, 500
"""Largest context: its time grows with rows times columns, and with the square of the rows."""
VIEWS: tuple[int, ...] = (8, 4, 2, 1)
"""Answers are means over so many views of the context, whose columns and classes are in other orders and
scales; fewer under a time limit."""
PROBE = 64
"""Rows of the context by which the time of the whole is estimated."""
SHARE = 0.4
"""Share of the time left that reading the context may take: rows are answered after it."""
CACHE_BYTES = 2**31
"""Most memory for keys and values of the context; above it they are computed again for each batch."""
Networks: TypeAlias = Mapping[str, Network]
"""By kind of answer."""


@dataclass
class Context:
    """The training rows of one answer.

    Attributes:
        features: ``(rows, columns)`` float32, without missing values.
        answers: ``(rows,)`` class or standardized number.
        factors: ``(classes,)`` by which probabilities are multiplied; empty for numbers.
        views: See :data:`VIEWS`.
        seed: Of the views.
        estimator: Has read the context, on ``device``; None before.
    """

    features: np.ndarray
    answers: np.ndarray
    factors: np.ndarray
    views: int
    seed: int
    estimator: TabICLClassifier | TabICLRegressor | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def read(self, network: Network) -> TabICLClassifier | TabICLRegressor:
        """The estimator that has read the context, on the network's device."""
        device = network.device
        if self.estimator is None or self.device != device:
            self.estimator, self.device = _estimator(self, network, device), device
        return self.estimator


@dataclass
class Filling:
    """Missing values filled in, and marked; values within the range of the training rows.

    Attributes:
        centre: ``(columns,)`` the mean; -1 for codes of categories.
        low: ``(columns,)`` the smallest value.
        high: ``(columns,)`` the largest.
        lacking: ``(marks,)`` columns whose missing values are marked by a column of their own: those that
            miss values in other training rows than each other.
    """

    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray
    lacking: np.ndarray

    @classmethod
    def learn(cls, matrix: np.ndarray, categories: list[int]) -> Filling:
        """From the training rows."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a column without any value
            centre, low, high = (
                np.nan_to_num(of(matrix, axis=0)) for of in (np.nanmean, np.nanmin, np.nanmax)
            )
        centre[categories] = -1.0
        missing = np.isnan(matrix)
        _, first = np.unique(missing, axis=1, return_index=True)
        some = [column for column in sorted(first.tolist()) if missing[:, column].any()]
        return cls(centre, low, high, np.array(some, dtype=np.int64))

    def apply(self, matrix: np.ndarray) -> np.ndarray:
        """``(rows, columns + marks)`` without missing values."""
        # A value that no training row reaches would be scaled to infinity in rare cases, for its whole batch.
        values = np.where(np.isnan(matrix), self.centre, np.clip(matrix, self.low, self.high))
        return np.hstack([values, np.isnan(matrix[:, self.lacking]).astype(float)])

    def arrays(self) -> Arrays:
        """What was learned."""
        return {"centre": self.centre, "low": self.low, "high": self.high, "lacking": self.lacking}

    @classmethod
    def restore(cls, arrays: Arrays, columns: int) -> Filling:
        """What :meth:`arrays` gave.

        Raises:
            ValueError: If an array is of another shape, or a column is out of range.
            KeyError: If one is missing.
        """
        lacking = as_array(arrays, "lacking", arrays["lacking"].size, kinds="i")
        if ((lacking < 0) | (lacking >= columns)).any():
            raise ValueError("'lacking' out of range")
        centre, low, high = (as_array(arrays, name, columns) for name in ("centre", "low", "high"))
        return cls(centre, low, high, lacking)


class InContextLearner(Learner[Context]):
    """TabICL (Qu et al. 2025, arXiv:2502.05564): a transformer over the cells of training rows and new ones.

    Nothing is fitted: the network, trained on synthetic tables, reads the training rows as its context.

    Args:
        networks: By kind of answer; those that are missing leave its targets out.
        missing: By kind of answer, why there is no network.
    """

    name = NAME
    rank = 5.0

    def __init__(self, networks: Networks | None = None, missing: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.networks = networks or {}
        self.missing = missing or {}
        self.reduction = Reduction()
        self.filling = Filling.learn(np.zeros((1, 0)), [])
        self.views = VIEWS

    def settle(self, like: Learner[Context]) -> None:
        """Use as many views as a learner that had the time for them."""
        if isinstance(like, InContextLearner) and like.fitted is not None and like.fitted.parts[0].model:
            self.views = (like.fitted.parts[0].model.views,)

    def can_fit(self, goal: Goal, blocks: Blocks) -> str:
        """A line for several labels, row weights, a context that is too large, or a missing network."""
        if goal.kind == "labels":
            return "several labels, expected classes or numbers"
        known = np.ones(0) if goal.weights is None else np.unique(goal.weights[goal.weights > 0])
        if len(known) > 1:
            return "row weights, which a context has not"
        if len(goal) > MOST_ROWS:
            return f"{len(goal):,} rows, at most {MOST_ROWS:,} in a context"
        columns = reduced_width(blocks)
        if not columns or columns > MOST_COLUMNS:
            return f"{columns:,} columns of features, expected 1 to {MOST_COLUMNS}"
        kind = _kind(goal.kind)
        if kind not in self.networks:
            return self.missing.get(kind, f"no network for {kind}")
        most, classes = self.networks[kind].most_classes, len(np.unique(goal.values))
        if kind == "classes" and classes > most:
            return f"{classes} classes, at most {most} that its weights know"
        return ""

    def prepare(self, blocks: Blocks, goal: Goal, seed: int) -> Matrix:
        """Learn the reduction of sparse and wide blocks, and how missing values are filled in."""
        matrix = self.reduction.fit(blocks, seed)
        self.filling = Filling.learn(matrix, self.reduction.categories)
        return self.filling.apply(matrix)

    def join(self, blocks: Blocks) -> Matrix:
        """``(rows, columns)`` without missing values."""
        return self.filling.apply(self.reduction.transform(blocks))

    def fit_part(self, matrix: Matrix, goal: Goal, seed: int) -> Context:
        """Read the context.

        Raises:
            RunError: In place of an error of PyTorch, such as too little memory.
        """
        factors = np.zeros(0)
        if goal.kind != "numbers":  # the weights of rows are those of their classes, see can_fit
            totals = np.bincount(goal.values, goal.row_weights)
            factors = totals / np.bincount(goal.values)
        context = Context(np.asarray(matrix, np.float32), goal.values, factors, 1, seed % 2**31)
        network = self.networks[_kind(goal.kind)]
        try:
            context.views = self._affordable(context, network)
            context.read(network)
        except RuntimeError as error:
            raise RunError(f"TabICL failed: {one_line(str(error), 200)}") from error
        return context

    def _affordable(self, context: Context, network: Network) -> int:
        """The most views of the context that there is time for."""
        if not self.deadline.is_set:
            return self.views[0]
        few = Context(context.features[:PROBE], context.answers[:PROBE], context.factors, 1, context.seed)
        begun = self.deadline.clock()
        few.read(network)
        pace = (self.deadline.clock() - begun) / _work(few.features)
        seconds, allowed = pace * _work(context.features), SHARE * self.deadline.left
        self.deadline.require(seconds / SHARE, "reading the context")
        views = next(count for count in self.views if count == self.views[-1] or count * seconds <= allowed)
        self.hurried = views < VIEWS[0]
        return views

    def predict_part(self, model: Context, matrix: Matrix) -> np.ndarray:
        """Probabilities or standardized numbers."""
        kind = "classes" if len(model.factors) else "numbers"
        if kind not in self.networks:
            raise RunError(f"the learner '{self.name}' has no network for {kind}")
        estimator = model.read(self.networks[kind])
        features = np.asarray(matrix, np.float32).astype(np.float64)
        if kind == "numbers":
            return np.asarray(estimator.predict(features), dtype=float)
        weighted = estimator.predict_proba(features) * model.factors
        return np.asarray(weighted / weighted.sum(axis=1, keepdims=True), dtype=float)

    def state(self) -> tuple[Settings, Arrays]:
        """The reduction, and how missing values are filled in."""
        settings, arrays = self.reduction.state()
        return settings, arrays | self.filling.arrays()

    def restore(self, settings: Settings, arrays: Arrays) -> None:
        """Take over what :meth:`state` gave."""
        self.reduction = Reduction.restore(settings, arrays)
        self.filling = Filling.restore(arrays, self.reduction.width)

    def write_part(self, model: Context, folder: Path) -> None:
        """Write the context; networks are written once for all targets, see :func:`write_network`."""
        arrays = {"features": model.features, "answers": model.answers, "factors": model.factors}
        write_state(folder, {"views": model.views, "seed": model.seed}, arrays)

    def read_part(self, folder: Path) -> Context:
        """Read the context."""
        settings, arrays = read_state(folder)
        answers = arrays["answers"]
        features = as_array(arrays, "features", answers.size, arrays["features"].shape[-1])
        views, seed = as_count(settings["views"], "views"), as_count(settings["seed"], "seed")
        if not 0 < views <= LARGEST or len(features) > 2 * MOST_ROWS:
            raise ValueError(f"a context of {len(features)} rows and {views} views")
        factors = as_array(arrays, "factors", arrays["factors"].size)
        kinds = "i" if len(factors) else "f"
        return Context(
            features, as_array(arrays, "answers", len(features), kinds=kinds), factors, views, seed
        )

    def check_part(self, model: Context, outputs: int) -> None:
        """Refuse a context of other columns or classes."""
        width = self.reduction.width + len(self.filling.lacking)
        if model.features.shape[1] != width:
            raise ValueError(f"a context of {model.features.shape[1]} columns, expected {width}")
        classes = len(model.factors)
        if classes and (set(model.answers.tolist()) != set(range(classes)) or (model.factors <= 0).any()):
            raise ValueError("a context of other classes than its answers")
        if (classes or 1) != outputs:
            raise ValueError(f"a context of {classes} classes, expected {outputs}")


class InContextModel(PlainModel):
    """The learner of each target, on features of all inputs; all share the networks.

    Attributes:
        networks: By kind of answer.
        missing: By kind of answer, why there is no network.
    """

    kinds: ClassVar[Mapping[str, type[Learner]]] = {NAME: InContextLearner}
    learns_both: ClassVar[bool] = False  # its answers take long
    networks: Networks
    missing: Mapping[str, str]

    def new_learner(self, name: str) -> Learner:
        """See :class:`PlainModel`."""
        return InContextLearner(self.networks, self.missing)

    def learners_in_use(self) -> list[InContextLearner]:
        """The fitted learners."""
        each = [member.learner for members in self.members.values() for member in members.values()]
        return [learner for learner in each if isinstance(learner, InContextLearner)]

    def kinds_in_use(self) -> list[str]:
        """The kinds of answers that its learners need a network for."""
        used = {_kind(learner.fitted.kind) for learner in self.learners_in_use() if learner.fitted}
        return [kind for kind in FILES if kind in used]

    def read_networks(self, folder: Path) -> None:
        """Read the networks that the learners need from a candidate's folder; nothing of it is executed.

        Raises:
            RunError: If a file is missing or is not what :func:`write_network` writes.
        """
        self.networks = {kind: read_network(folder / FILES[kind], kind) for kind in self.kinds_in_use()}
        for learner in self.learners_in_use():
            learner.networks = self.networks
            assert learner.fitted is not None
            for part in learner.fitted.parts:
                kind = _kind(learner.fitted.kind)
                if kind == "classes" and len(part.classes) > self.networks[kind].most_classes:
                    raise RunError(f"{folder}: a network of fewer classes than its context. Fit again")


def _kind(goal: Kind) -> str:
    return "numbers" if goal == "numbers" else "classes"


def _work(features: np.ndarray) -> float:
    """About proportional to the time of reading a context: of its cells, and of pairs of rows."""
    rows, columns = features.shape
    return rows * (columns + 16) * (1 + rows / 4000)


def _estimator(
    context: Context, network: Network, device: torch.device
) -> TabICLClassifier | TabICLRegressor:
    """An estimator of the package that has read the context; it is the same on every device and each time."""
    from tabicl import TabICLClassifier, TabICLRegressor

    size = len(context.features) * context.views * network.bytes_per_row
    estimator = (TabICLClassifier if len(context.factors) else TabICLRegressor)(
        n_estimators=context.views, random_state=context.seed, device=device,
        kv_cache="kv" if size <= CACHE_BYTES else "repr", use_amp=False, use_fa3=False,
        allow_auto_download=False,
    )  # fmt: skip
    # The weights are there already: no file is read, and nothing is downloaded.
    estimator.model_, estimator._load_model = network.module, lambda: None
    return estimator.fit(context.features.astype(np.float64), context.answers)
