"""Temperature scaling of heads that give probabilities (Guo et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from polymodal.answers import TemperedDecoder
from polymodal.config import TargetConfig
from polymodal.evaluation.arrays import Values, as_array
from polymodal.evaluation.metrics import calibration
from polymodal.tasks.base import Answered, AnyHead, Task, Tuned, Tuning, saved_decoder_of

SHOWN = ("nll", "ece", "brier")
"""Figures of the probabilities that are recorded before and after the temperature."""


def tempered_of(head: AnyHead) -> TemperedDecoder | None:
    """The decoder of a head with a temperature; None where it has none."""
    decoder = saved_decoder_of(head)
    return decoder if isinstance(decoder, TemperedDecoder) else None


def kept_logits(decoder: TemperedDecoder, probabilities: np.ndarray) -> np.ndarray:
    """Logits of ``probabilities`` ``(rows, classes)``, up to what makes no difference."""
    return (decoder.as_logits(probabilities.astype(np.float64)) * decoder.temperature).astype(np.float32)


def before_and_after(
    decoder: TemperedDecoder, logits: Values, target: Values, weight: Values | None = None
) -> calibration.TemperatureEffect:
    """The reliability of predictions without and with the temperature, which is not changed.

    Args:
        decoder: With the temperature.
        logits: ``(rows, classes)``.
        target: As :func:`polymodal.evaluation.metrics.calibration.fit_temperature` takes it.
        weight: ``(rows,)`` sample weights; by default all equal.
    """
    given, held = as_array(logits), decoder.temperature

    def measured(temperature: float) -> calibration.Reliability | None:
        decoder.temperature = temperature
        return calibration.reliability(decoder.answer(given), target, weight=weight)

    before = measured(1.0)
    return calibration.TemperatureEffect(temperature=held, before=before, after=measured(held))


def tune_temperature(decoder: TemperedDecoder, rows: Tuning) -> Tuned:
    """Set the temperature of ``decoder``; 1 where rows are too few, or log loss or ECE gets worse."""
    decoder.temperature = 1.0
    few = rows.rows < calibration.FEWEST_ROWS
    # A head of another package may have logits of another form, which the temperature does not fit.
    if not few and rows.logits.shape == (len(rows.target), len(decoder.classes)):
        fitted = calibration.fit_temperature(rows.logits, rows.target, rows.weight)
        decoder.temperature = float(np.float32(fitted))  # as heads keep it
    effect = before_and_after(decoder, rows.logits, rows.target, rows.weight)
    if effect.after and effect.before and _is_worse(effect.after, effect.before):
        decoder.temperature = 1.0
        effect = before_and_after(decoder, rows.logits, rows.target, rows.weight)
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
        decoder_class: Of such a head; one of another package that shares the task may have none.
    """

    decoder_class: ClassVar[type[TemperedDecoder]]

    def tempered(self, head: AnyHead) -> TemperedDecoder | None:
        """The decoder of a head of this kind; None of another one's."""
        decoder = tempered_of(head)
        return decoder if isinstance(decoder, self.decoder_class) else None

    def calibration(
        self,
        head: AnyHead,
        rows: Answered,
        metrics: Mapping[str, float],
        config: TargetConfig,
    ) -> calibration.TemperatureEffect | calibration.IntervalCoverage | None:
        """The reliability of the probabilities before and after the temperature."""
        decoder = self.tempered(head)
        if decoder is not None and rows.logits is not None:
            return before_and_after(decoder, rows.logits, rows.targets, rows.weights)
        return super().calibration(head, rows, metrics, config)

    def kept_columns(self, head: AnyHead, name: str) -> list[str]:
        """The probability of each class."""
        decoder = self.tempered(head)
        if decoder is not None:
            return [f"{name}_probability_{entry}" for entry in decoder.classes]
        return super().kept_columns(head, name)

    def kept_answer(self, head: AnyHead, values: Values) -> tuple[Values, Values | None]:
        """Probabilities, and logits up to what makes no difference."""
        decoder = self.tempered(head)
        if decoder is not None:
            return values, kept_logits(decoder, as_array(values))
        return super().kept_answer(head, values)
