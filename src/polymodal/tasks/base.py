"""Base class of tasks: metrics, calibration, explanation and report of one kind of target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

import numpy as np

from polymodal.answers.base import DECODERS, Decoder, SavedDecoder
from polymodal.config import TargetConfig
from polymodal.data.readers.content import Content
from polymodal.data.targets import TARGETS, TargetReader
from polymodal.errors import ConfigError
from polymodal.evaluation.arrays import Values, as_array
from polymodal.evaluation.metrics.calibration import IntervalCoverage, TemperatureEffect
from polymodal.evaluation.metrics.metrics import METRICS, Metric
from polymodal.evaluation.metrics.scores import Score, can_score
from polymodal.evaluation.metrics.weighted import effective_rows
from polymodal.utils.registry import Registry

if TYPE_CHECKING:  # plain models are measured without torch
    from torch import Tensor

    from polymodal.models.heads import Head

AnyHead: TypeAlias = "Head | Decoder"
"""What answers are made by: a head, or a decoder alone. Arrays and tensors may be given to either's task."""
TINY = 1e-7
"""How near to 0 and 1 a probability may come where a head gives nothing but probabilities."""


@dataclass(frozen=True)
class Tuning:
    """Validation rows whose truth is known, by which a head is calibrated after the training.

    Attributes:
        logits: ``(rows, outputs)``.
        target: ``(rows, …)``.
        weight: ``(rows,)`` above 0, how much each row counts; None where all count the same.
        metric: Name of the metric that picked the epoch, where it measures this target; else empty.
    """

    logits: Values
    target: Values
    weight: Values | None = None
    metric: str = ""

    @property
    def rows(self) -> float:
        """Effective number of rows: rows of equal weight that are worth as much."""
        return len(self.target) if self.weight is None else effective_rows(as_array(self.weight))

    @property
    def counted(self) -> str:
        """The number of rows as a phrase for messages."""
        as_many = "" if self.weight is None else f", which say as much as {self.rows:.3g} of equal weight"
        return f"{len(self.target)} validation rows have an answer{as_many}"


@dataclass
class Tuned:
    """What was chosen on the validation rows.

    Attributes:
        entry: What the head holds now; JSON values all.
        warnings: ``(what could not be chosen and why, the setting that would do without it)``.
        notes: What stays at its default although no setting requests that.
    """

    entry: dict[str, Any] = field(default_factory=dict)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Answered:
    """A head's answers beside the ground truth, of rows whose truth is known, in main memory.

    Attributes:
        answers: ``(rows, …)`` what the head answered.
        targets: ``(rows, …)`` the ground truth.
        known: ``(rows,)`` the rows' indices in the table.
        weights: ``(rows,)`` how much each row counts; None where all count the same.
        seed: Of whatever is drawn.
        logits: ``(rows, outputs)`` of which the answers were made; None where they are not known.
        unit: Of numbers, in words; empty where it is not known.
    """

    answers: Values
    targets: Values
    known: np.ndarray
    weights: np.ndarray | None = None
    seed: int = 0
    logits: Values | None = None
    unit: str = ""


class Shares(Protocol):
    """One row's answer, split into what each input adds; see :mod:`polymodal.importance.shares`."""

    @property
    def answer(self) -> np.ndarray:
        """``(outputs,)``."""

    def of(self, output: int = 0) -> Mapping[str, Any]:
        """``value``, ``base``, ``shares``, ``missing`` and ``exact`` of one output."""


class Task:
    """One kind of target: its metrics, calibration and error analysis, for training and analyses.

    A task of another package is a subclass, offered by the entry-point group ``polymodal.tasks``; its head by
    ``polymodal.heads`` under the same name. The cells are read by the target reader that the head's
    ``family`` names (:data:`polymodal.data.targets.TARGETS`): one of ours, or one offered by
    ``polymodal.targets``. Every method has a default that suits heads of which nothing else is known.

    Args:
        task: Name of the head, where it is another than :attr:`name`: a head that shares this task.

    Attributes:
        name: Of the task, its head and its metrics.
        default_metric: Picks the best epoch, where ``train.metric`` names none.
        default_score: The metric of intervals, subgroups, comparisons and the importance of inputs: one that
            is :class:`~polymodal.evaluation.metrics.metrics.Additive`, the higher the better.
        card_metrics: What the model card shows first.
        settings: Settings of a target (:class:`polymodal.config.TargetConfig`) that mean something to the
            task, besides those that its head takes as arguments.
        has_errors: Whether :meth:`errors`, :meth:`worst` and :meth:`card` are known.
        ordered: Whether its classes have an order, which the declaration or numeric labels give.
        tabular_tag: The hub's name of the task on tables; None where it has none.
        media_tag: The same on one medium, after its name, as ``classification`` in ``image-classification``.
    """

    name: ClassVar[str] = ""
    default_metric: ClassVar[str] = "loss"
    default_score: ClassVar[str] = ""
    card_metrics: ClassVar[tuple[str, ...]] = ()
    settings: ClassVar[frozenset[str]] = frozenset()
    has_errors: ClassVar[bool] = False
    ordered: ClassVar[bool] = False
    tabular_tag: ClassVar[str | None] = None
    media_tag: ClassVar[str | None] = None

    def __init__(self, task: str = "") -> None:
        self.task = task or self.name

    @property
    def reader(self) -> type[TargetReader]:
        """The reader of its target cells."""
        return TARGETS[family_of(self.task)]

    def metrics(self) -> list[Metric]:
        """The metrics that measure it."""
        return METRICS.of(self.task, family_of(self.task))

    def check(self, config: TargetConfig, options: Sequence[str]) -> None:
        """Settle and refuse settings of a target; ``options`` are the arguments that its head takes.

        Raises:
            ConfigError: If a setting has no meaning here.
        """

    def selection_metric(self, config: TargetConfig) -> str:
        """The validation metric that picks the best epoch, where ``train.metric`` names none."""
        return self.default_metric

    def score(self, head: AnyHead, metric: str | None = None) -> Score:
        """The score of a head's answers: ``metric`` where it can be resampled, else the default one."""
        for known in self.metrics() if metric else ():
            if known.name == metric and can_score(known, head.outputs):
                return Score(known.name, head.outputs, self.task)
        usual = {Content.NUMBER: "r2", Content.LABELS: "micro_f1"}.get(self.reader.holds, "accuracy")
        return Score(self.default_score or usual, head.outputs, self.task)

    def tunes(self, config: TargetConfig, head: AnyHead) -> bool:
        """Whether :meth:`tune` has something to choose on the validation rows."""
        return False

    def tune(self, head: AnyHead, rows: Tuning, config: TargetConfig) -> Tuned:
        """Set temperature, thresholds or interval of ``head`` by rows that it was not trained on."""
        return Tuned()

    def calibration(
        self,
        head: AnyHead,
        rows: Answered,
        metrics: Mapping[str, float],
        config: TargetConfig,
    ) -> TemperatureEffect | IntervalCoverage | None:
        """The report's section on probabilities or intervals: how far they are right.

        Args:
            head: Of the target.
            rows: The answers.
            metrics: By name, of these rows.
            config: Of the target.
        """
        if "coverage" not in metrics:
            return None
        coverage, width = metrics["coverage"], metrics["interval_width"]
        return IntervalCoverage(coverage=coverage, interval_width=width, promised=config.interval)

    def errors(self, head: AnyHead, rows: Answered) -> dict[str, Any]:
        """Tables of where the answers are wrong, by section of the report (``classes``, ``residuals``, …)."""
        return {}

    def headline(
        self, target: str, metrics: Mapping[str, float], rows: Answered, numbers: np.ndarray | None
    ) -> list[str]:
        """Sentences that lead the report's verdict, before the score with its interval.

        Args:
            target: The column.
            metrics: By name, of these rows.
            rows: The answers.
            numbers: Each table row's number in the user's file from 0; None where rows are not to be named.
        """
        return []

    def worst(self, head: AnyHead, answer: Values, target: Values) -> list[tuple[int, int]]:
        """Mistakes, the worst first: the row's index, and that of the output which is wrong."""
        return []

    def card(
        self, head: AnyHead, answer: Values, target: Values, output: int, shares: Shares
    ) -> dict[str, Any]:
        """What the report shows of one mistake.

        Args:
            head: Of the target.
            answer: ``(…)`` of the row.
            target: ``(…)`` of the row.
            output: Index of the output that is wrong.
            shares: What each input adds to the row's answer.
        """
        return dict(shares.of(output))

    def kept_columns(self, head: AnyHead, name: str) -> list[str]:
        """The columns of ``predictions.parquet`` from which :meth:`kept_answer` restores the answers."""
        return [name]

    def kept_answer(self, head: AnyHead, values: Values) -> tuple[Values, Values | None]:
        """Answers, and logits where they can be had, from kept columns ``(rows, columns)`` float32."""
        return as_array(values)[:, 0], None

    def explained(self, head: AnyHead, answer: Values) -> tuple[list[int], str]:
        """The outputs that explain one row's answer ``(1, classes)``, and a note."""
        return [int(predicted_class(as_array(answer), decided_of(head, answer))[0])], ""

    def attributed(self, head: Head, logits: Tensor, output: int) -> Tensor:
        """The number ``(batch,)`` of ``logits`` ``(batch, outputs)`` that is attributed to the inputs.

        A number in its own unit; of a class or label the log-odds ``log(p / (1 - p))`` of its probability: a
        sure answer's probability hardly changes on most of the path, its log-odds do; and unlike a single
        logit they do not change when all logits rise together.
        """
        import torch

        answer = head.answer(logits)
        if answer.ndim == 1:
            return answer
        probability = answer[:, output].clamp(TINY, 1 - TINY)
        return torch.log(probability) - torch.log1p(-probability)


TASKS: Registry[type[Task]] = Registry("task", group="polymodal.tasks", base=Task)


def task_of(name: str) -> Task:
    """The task of a head's name: its own, else that of the head's family, else one of defaults alone.

    Raises:
        ConfigError: If there is no such head.
    """
    if name in TASKS:
        return TASKS[name](name)
    family = family_of(name)
    return TASKS[family](name) if family in TASKS else Task(name)


def family_of(task: str) -> str:
    """The family of a task: that of its head.

    Raises:
        ConfigError: If there is no such head.
    """
    if task in DECODERS:
        return DECODERS[task].family
    from polymodal.models.heads import HEADS  # of other packages, which need torch

    return HEADS[task].reads()


def decoder_of(head: AnyHead) -> Decoder:
    """The decoder of a head, or what is given."""
    return head if isinstance(head, Decoder) else head.decoder()


def saved_decoder_of(head: AnyHead) -> SavedDecoder | None:
    """The decoder of a head of ours, or of a subclass of one; None of other packages' heads."""
    return head.saved_decoder()


def decided_of(head: AnyHead, answer: Values) -> dict[str, np.ndarray]:
    """What follows from answers, see :meth:`Decoder.decide`."""
    return decoder_of(head).decide(as_array(answer))


def predicted_class(answer: np.ndarray, decided: Mapping[str, np.ndarray]) -> np.ndarray:
    """``(rows,)`` the index of the predicted class."""
    return decided["predicted"] if "predicted" in decided else answer.argmax(axis=1)


def score_of(head: AnyHead, metric: str | None = None) -> Score:
    """The score of ``head``'s answers; see :meth:`Task.score`."""
    return task_of(head.task).score(head, metric)


def reader_name(task: str) -> str:
    """The name of the target reader of ``task``; ``task`` itself where there is no such head."""
    try:
        if task in DECODERS:
            return family_of(task)
        from polymodal.models.heads import HEADS  # of other packages, which need torch

        return HEADS[task].reads() if task in HEADS else task
    except ConfigError:  # of a broken package, which is refused by name once it is used
        return task
