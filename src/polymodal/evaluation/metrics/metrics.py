"""Metrics as single functions, registered by name for tasks: built in, or from other packages.

A metric is a function of :class:`Rows`::

    @METRICS.register("over_half", tasks=("regression",), higher_is_better=False)
    def over_half(rows: Rows) -> float:
        return rows.mean(np.abs(rows.answers - rows.targets) > 0.5)

One that depends on sums over rows alone (:class:`Additive`) is also used for intervals, subgroups,
comparisons and the importance of inputs. Another package offers its metrics by the entry-point group
``polymodal.metrics``: the name of the metric, and the registered function.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from polymodal.errors import ConfigError, PolymodalError, did_you_mean
from polymodal.evaluation.arrays import Values, as_array
from polymodal.evaluation.metrics.rows import Rows, as_tensor
from polymodal.utils.registry import Registry

if TYPE_CHECKING:
    pass

NO_ANSWER = -100
"""The class of a row whose target cell is empty, as PyTorch's losses have it."""

WholeTask = Callable[..., dict[str, float]]
"""All metrics of a task by one function: the form of older packages."""


@dataclass(frozen=True)
class Additive:
    """A metric of sums over rows, so that resampling rows is one matrix product.

    Attributes:
        rows: Gives what each row adds, ``(rows, sums)``.
        value: Gives the metric of sums ``(…, sums)``: ``(…)``, NaN where it is not defined.
    """

    rows: Callable[[Rows], np.ndarray]
    value: Callable[[np.ndarray], np.ndarray]

    def of(self, rows: Rows) -> float | None:
        """The metric of ``rows``; None where it is not defined."""
        value = float(self.value((self.rows(rows) * rows.weights[:, None]).sum(axis=0)))
        return value if math.isfinite(value) else None


@dataclass(frozen=True)
class Metric:
    """A registered metric; see :meth:`MetricRegistry.register`."""

    name: str
    tasks: tuple[str, ...]
    higher_is_better: bool
    compute: Callable[[Rows], float | None]
    weighted: bool = False
    selects: bool = True
    additive: Additive | None = None


class MetricRegistry:
    """Metrics by name and task, in the order in which they are registered, then those of other packages."""

    def __init__(self, group: str) -> None:
        self._metrics: list[Metric] = []
        self._whole: dict[str, WholeTask] = {}
        self._offers: Registry[object] = Registry("metric", group=group)
        self._seen: set[str] = set()

    def register(
        self,
        name: str,
        *,
        tasks: Iterable[str] = (),
        higher_is_better: bool | None = None,
        weighted: bool = False,
        selects: bool = True,
        additive: Additive | None = None,
    ) -> Callable[[Callable], Callable]:
        """A decorator that enters a function of :class:`Rows`; it returns None where it is not defined.

        Args:
            name: The metric's, as in ``metrics.json`` and ``train.metric``.
            tasks: Which it measures.
            higher_is_better: Its direction.
            weighted: Whether it heeds ``rows.weight``; if not, it is skipped where rows have weights.
            selects: Whether it may pick the best epoch.
            additive: Its form as a function of sums over rows, where it has one.

        Raises:
            ValueError: If there is one of that name for a task already, or the direction is missing.
        """

        def enter(compute: Callable) -> Callable:
            if not tasks:
                self._enter_whole(name, compute)
            elif higher_is_better is None:
                raise ValueError(f"the metric '{name}' needs higher_is_better=True or False")
            else:
                self.add(Metric(name, tuple(tasks), higher_is_better, compute, weighted, selects, additive))
            return compute

        return enter

    def add(self, metric: Metric) -> Metric:
        """Enter a metric.

        Raises:
            ValueError: If there is one of that name for one of its tasks, or for any of another direction.
        """
        for known in self._metrics:
            if known.name == metric.name and {*known.tasks} & {*metric.tasks}:
                raise ValueError(f"there is a metric named '{metric.name}' already: {known.compute!r}")
            if known.name == metric.name and known.higher_is_better != metric.higher_is_better:
                raise ValueError(f"the metric '{metric.name}' has the other direction for {known.tasks}")
        self._metrics.append(metric)
        return metric

    def of(self, task: str, family: str = "") -> list[Metric]:
        """The metrics of ``task``, or of its ``family`` where it has none of its own.

        Raises:
            ConfigError: If no metric measures that task.
        """
        self._load_offers()
        for name in (task, family):
            metrics = [metric for metric in self._metrics if name in metric.tasks]
            if metrics:
                return metrics
        raise ConfigError(f"there are no metrics of the task '{task}'. {did_you_mean(task, self.tasks)}")

    def whole(self, task: str) -> WholeTask | None:
        """The one function of all metrics of ``task`` that an older package registered."""
        self._load_offers()
        return self._whole.get(task)

    @property
    def tasks(self) -> list[str]:
        """Every task that has metrics."""
        self._load_offers()
        return list(
            dict.fromkeys([*(task for metric in self._metrics for task in metric.tasks), *self._whole])
        )

    def named(self, name: str, task: str = "") -> Metric:
        """The metric of that name: of ``task``, or the first one; one of another package may be imported.

        Raises:
            ConfigError: If there is none, or its package cannot be imported.
        """
        if name in self._offers and name not in self._seen:
            self._load(name)
        self._load_offers()
        metrics = [metric for metric in self._metrics if metric.name == name]
        of_task = [metric for metric in metrics if task in metric.tasks]
        if not metrics:
            raise ConfigError(f"there is no metric '{name}'. {did_you_mean(name, self)}")
        return (of_task or metrics)[0]

    def __iter__(self) -> Iterator[str]:
        self._load_offers()
        return iter(dict.fromkeys(metric.name for metric in self._metrics))

    def __contains__(self, name: object) -> bool:
        return name in list(self) or name in self._offers

    def _enter_whole(self, task: str, compute: WholeTask) -> None:
        warnings.warn(
            f"all metrics of the task '{task}' by one function: register them one by one, as "
            "METRICS.register(name, tasks=(…,), higher_is_better=…)",
            DeprecationWarning,
            stacklevel=3,
        )
        self._whole[task] = compute

    def _load_offers(self) -> None:
        """Import the metrics that other packages offer; a broken one is skipped with a warning."""
        for name in self._offers:
            if name not in self._seen:
                try:
                    self._load(name)
                except ConfigError as error:
                    self._seen.add(name)
                    warnings.warn(f"{error}. It is skipped", stacklevel=2)

    def _load(self, name: str) -> None:
        entry = self._offers[name]
        self._seen.add(name)
        if isinstance(entry, Metric):
            if entry not in self._metrics:
                self.add(entry)
        elif callable(entry) and all(metric.name != name for metric in self._metrics):
            self._enter_whole(name, entry)


METRICS = MetricRegistry("polymodal.metrics")


def evaluate(
    task: str,
    prediction: Values,
    target: Values,
    weight: Values | None = None,
    *,
    family: str = "",
    **decided: Values,
) -> dict[str, float]:
    """All metrics of ``task``, or of its ``family`` if it has none of its own; empty if no row has an answer.

    Args:
        task: Of the head.
        prediction: What the head answers: probabilities ``(rows, classes)`` or numbers ``(rows,)``.
        target: The ground truth; where unknown -100, or NaN.
        weight: ``(rows,)`` how much each row counts, 0 or more; a row of weight 0 is skipped. By default all
            count the same.
        family: The task whose metrics are used where ``task`` has none.
        decided: What the head decides on its answers, see :meth:`polymodal.models.heads.Head.decide`.

    Returns:
        Metric by name, without those that are not defined on these rows.

    Raises:
        ConfigError: If no metric measures that task.
        ValueError: If the shapes do not belong together.
        PolymodalError: If a prediction is not a finite number.
    """
    answers, targets = as_array(prediction), as_array(target)
    decisions = {name: as_array(values) for name, values in decided.items()}
    weights = None
    if weight is not None:
        counts = as_array(weight) > 0
        decisions = {name: values[counts] for name, values in decisions.items()}
        weights = as_array(weight)[counts].astype(np.float64)
        answers, targets = answers[counts], targets[counts]
        weights = weights / (weights.mean() if len(weights) else 1.0)
    whole = METRICS.whole(task)
    if whole is not None:
        each = {} if weights is None else {"weight": as_tensor(weights)}
        tensors = {name: as_tensor(values) for name, values in decisions.items()}
        return whole(as_tensor(answers), as_tensor(targets), **tensors, **each)
    metrics = METRICS.of(task, family)
    rows = known_rows(answers, targets, weights, decisions)
    if not len(rows.targets):
        return {}
    values = {m.name: m.compute(rows) for m in metrics if m.weighted or not rows.is_weighted}
    return {name: float(value) for name, value in values.items() if value is not None}


def known_rows(
    answers: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray | None,
    decided: Mapping[str, np.ndarray],
) -> Rows:
    """The rows whose truth is known, once they are found to be in order.

    Raises:
        ValueError: If the shapes do not belong together, or a target is none of the classes.
        PolymodalError: If a prediction is not a finite number.
    """
    is_class = targets.dtype.kind != "f"
    is_number = not is_class and answers.ndim == 1
    shapes = f"{answers.shape}, {targets.shape}"
    if is_class and (answers.ndim != 2 or targets.shape != answers.shape[:1]):
        raise ValueError(f"expected (rows, classes) and (rows,), got {shapes}")
    if not is_class and (targets.shape != answers.shape or answers.ndim > 2):
        raise ValueError(f"expected {'(rows,)' if is_number else '(rows, classes)'} twice, got {shapes}")
    empty = targets == NO_ANSWER if is_class else np.isnan(targets)
    known = ~(empty.any(axis=1) if empty.ndim > 1 else empty)
    answers, targets = answers[known], targets[known]
    classes = 0 if is_number else answers.shape[1]
    targets = targets.astype(np.float64 if is_number else np.int64)
    if is_class and len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < classes:
        reason = f"{int(targets.min())} to {int(targets.max())}"
        raise ValueError(f"expected targets from 0 to {classes - 1}, got {reason}")
    refuse_not_finite(answers[:, None] if is_number else answers)
    return Rows(
        answers.astype(np.float64) if is_number else answers,
        targets,
        None if weights is None else weights[known],
        {name: values[known] for name, values in decided.items()},
        classes,
    )


def weighs_metrics(task: str, family: str = "") -> bool:
    """Whether some metric of a task can be weighted row by row."""
    whole = METRICS.whole(task)
    if whole is None:
        return any(metric.weighted for metric in METRICS.of(task, family))
    names = inspect.signature(whole).parameters
    return "weight" in names or any(p.kind is p.VAR_KEYWORD for p in names.values())


def refuse_not_finite(answers: np.ndarray) -> None:
    """See that a training did not diverge; ``answers`` ``(rows, …)``.

    Raises:
        PolymodalError: If one of them is not a finite number.
    """
    broken = int((~np.isfinite(answers)).any(axis=1).sum())
    if broken:
        raise PolymodalError(
            f"the model's answers are not finite numbers in {broken} of {len(answers)} rows: "
            "the training diverged. Lower train.learning_rate"
        )
