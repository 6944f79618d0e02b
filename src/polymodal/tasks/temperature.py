"""Temperature scaling of heads that give probabilities (Guo et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from polymodal.config import TargetConfig
from polymodal.evaluation.metrics import calibration
from polymodal.models.heads import Head
from polymodal.tasks.base import Answered, Task, Tuned, Tuning

SHOWN = ("nll", "ece", "brier")
"""Figures of the probabilities that are recorded before and after the temperature."""


class Tempered(Protocol):
    """A head whose logits are divided by a temperature."""

    temperature: Tensor
    classes: list[str]

    def answer(self, logits: Tensor) -> Tensor:
        """Probabilities ``(batch, classes)``."""

    def as_logits(self, answer: Tensor) -> Tensor:
        """See :meth:`Head.as_logits`."""


def probability_columns(head: Tempered, name: str) -> list[str]:
    """The columns of ``predictions.parquet`` that hold the probability of each class."""
    return [f"{name}_probability_{entry}" for entry in head.classes]


def kept_logits(head: Tempered, probabilities: Tensor) -> Tensor:
    """Logits of ``probabilities`` ``(rows, classes)``, up to what makes no difference."""
    return (head.as_logits(probabilities.double()) * head.temperature.cpu()).float()


@torch.no_grad()
def before_and_after(
    head: Tempered, logits: Tensor, target: Tensor, weight: Tensor | None = None
) -> calibration.TemperatureEffect:
    """The reliability of a head's predictions without and with its temperature, which is not changed.

    Args:
        head: With the temperature.
        logits: ``(rows, classes)``.
        target: As :func:`polymodal.evaluation.metrics.calibration.fit_temperature` takes it.
        weight: ``(rows,)`` sample weights; by default all equal.
    """
    logits = logits.to(head.temperature.device)
    held = float(head.temperature)

    def measured(temperature: float) -> calibration.Reliability | None:
        head.temperature.fill_(temperature)
        return calibration.reliability(head.answer(logits).cpu(), target, weight=weight)

    before = measured(1.0)
    return calibration.TemperatureEffect(temperature=held, before=before, after=measured(held))


def reliability(head: Tempered, logits: Tensor, rows: Answered) -> calibration.TemperatureEffect:
    """:func:`before_and_after` of the rows of a report."""
    weight = None if rows.weights is None else torch.from_numpy(rows.weights)
    return before_and_after(head, logits, rows.targets, weight)


def tune_temperature(head: Tempered, rows: Tuning) -> Tuned:
    """Set the temperature of ``head``; 1 where rows are too few, or log loss or ECE gets worse."""
    head.temperature.fill_(1.0)
    few = rows.rows < calibration.FEWEST_ROWS
    # A head of another package may have logits of another form, which the temperature does not fit.
    if not few and rows.logits.shape == (len(rows.target), len(head.classes)):
        head.temperature.fill_(calibration.fit_temperature(rows.logits, rows.target, rows.weight))
    effect = before_and_after(head, rows.logits, rows.target, rows.weight)
    if effect.after and effect.before and _is_worse(effect.after, effect.before):
        head.temperature.fill_(1.0)
        effect = before_and_after(head, rows.logits, rows.target, rows.weight)
    needed = f"{rows.counted}, and it needs {calibration.FEWEST_ROWS} or more"
    shown = {key: {name: effect[key][name] for name in SHOWN} for key in ("before", "after") if effect[key]}
    note = [f"the temperature stays 1: {needed}"] if few else []
    return Tuned({"temperature": effect.temperature, **shown}, notes=note)


def _is_worse(one: calibration.Reliability, other: calibration.Reliability) -> bool:
    """Whether the probabilities are less likely, or less like the shares of right answers."""
    return one.nll > other.nll or one.ece > other.ece


class ProbabilityTask(Task):
    """Base of tasks whose head gives the probability of each class and has a temperature.

    Attributes:
        head_class: Of such a head; one of another package that shares the task may be another.
    """

    head_class: ClassVar[type[Any]]

    def calibration(
        self,
        head: Head,
        rows: Answered,
        metrics: Mapping[str, float],
        config: TargetConfig,
    ) -> calibration.TemperatureEffect | calibration.IntervalCoverage | None:
        """The reliability of the probabilities before and after the temperature."""
        if isinstance(head, self.head_class) and rows.logits is not None:
            return reliability(head, rows.logits, rows)
        return super().calibration(head, rows, metrics, config)

    def kept_columns(self, head: Head, name: str) -> list[str]:
        """The probability of each class."""
        if isinstance(head, self.head_class):
            return probability_columns(head, name)
        return super().kept_columns(head, name)

    def kept_answer(self, head: Head, values: Tensor) -> tuple[Tensor, Tensor | None]:
        """Probabilities, and logits up to what makes no difference."""
        if isinstance(head, self.head_class):
            return values, kept_logits(head, values)
        return super().kept_answer(head, values)
