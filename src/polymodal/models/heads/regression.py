"""A number, and the interval it lies in."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymodal.config import TargetConfig
from polymodal.data.targets import TargetReader
from polymodal.data.values.numbers import mean_and_deviation
from polymodal.models.heads.base import HEADS, Head, divisor, weighed
from polymodal.utils.records import Settings

LARGEST_LOG = 80.0
"""Largest predicted logarithm: an untrained model may exceed e^88, where a 32-bit float is infinite."""


@HEADS.register("regression")
class Regressor(Head):
    """A number, by squared error on the standardized target.

    Args:
        mean: Of the target in training, after ``transform``.
        deviation: Of the same.
        transform: ``log`` learns ``log(1 + x)``, for amounts that span orders of magnitude.
        half_width: Of the prediction interval, in the unit of the target after ``transform``; None for no
            interval. See :func:`polymodal.evaluation.statistics.conformal.conformal_quantile`.
        nonnegative: Whether no number in training was below zero: intervals then end at zero.
        weight: Share of this target in the model's loss.
        dropout: Before the last layer.
    """

    task = family = "regression"
    variance_factor = 0.5

    def __init__(
        self,
        *,
        mean: float = 0.0,
        deviation: float = 1.0,
        transform: str = "none",
        half_width: float | None = None,
        nonnegative: bool = False,
        weight: float = 1.0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(weight=weight, dropout=dropout)
        if transform not in ("none", "log"):
            raise ValueError(f"transform is '{transform}', expected 'none' or 'log'")
        if half_width is not None and half_width < 0:
            raise ValueError(f"half_width is {half_width:g}, expected 0 or more")
        self.mean, self.deviation, self.transform = mean, deviation, transform
        self.half_width, self.nonnegative = half_width, nonnegative

    @classmethod
    def configured(
        cls, config: TargetConfig, target: TargetReader, answers: np.ndarray, weights: np.ndarray | None
    ) -> dict[str, Any]:
        """See :class:`Head`."""
        if config.transform == "auto":
            raise ValueError("transform is 'auto', which a fit resolves to 'none' or 'log' before training")
        filled = ~np.isnan(answers)
        numbers, counted = answers[filled], None if weights is None else weights[filled]
        nonnegative = bool(len(numbers)) and bool((numbers >= 0).all())
        numbers = np.log1p(np.clip(numbers, 0, None)) if config.transform == "log" else numbers
        mean, deviation = mean_and_deviation(numbers, counted)
        learned = {"mean": mean, "deviation": deviation, "transform": config.transform}
        return learned | {"nonnegative": nonnegative}

    def loss(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Squared error of ``logits`` ``(batch, 1)`` with ``target`` ``(batch,)``, NaN where it is empty.

        For ``weight`` see :meth:`Head.loss`.
        """
        known = ~target.isnan()
        scaled = (torch.where(known, self._transformed(target), self.mean) - self.mean) / self.deviation
        error = (logits.float().squeeze(-1) - scaled) * known
        return weighed(error.square(), weight).sum() / divisor(weighed(known, weight).sum())

    def answer(self, logits: Tensor) -> Tensor:
        """Numbers ``(batch,)`` in the target's own unit."""
        value = logits.float().squeeze(-1) * self.deviation + self.mean
        return value.clamp(max=LARGEST_LOG).expm1().clamp(min=0) if self.transform == "log" else value

    def as_logits(self, answer: Tensor) -> Tensor:
        """See :class:`Head`; ``(batch, 1)`` standardized numbers."""
        return ((self._transformed(answer) - self.mean) / self.deviation).unsqueeze(-1)

    def residuals(self, answer: Tensor, target: Tensor) -> Tensor:
        """How far off each answer ``(rows,)`` is after ``transform``; what is below zero is never reached."""
        residuals = (self._transformed(answer.double()) - self._transformed(target.double())).abs()
        return residuals.masked_fill(target < 0, torch.inf) if self.transform == "log" else residuals

    def decide(self, answer: Tensor) -> dict[str, Tensor]:
        """``low`` and ``high`` ``(batch,)`` in the target's own unit, where the head has an interval.

        Of a target that was never negative in training, neither is below zero. ``log`` ``(batch,)`` is the
        logarithm of the answers, where that is learned.

        The width is the same for all rows after ``transform``: a logarithm's interval is as wide as its
        answer is large.
        """
        middle = self._transformed(answer.double())
        decided = {"log": middle} if self.transform == "log" else {}
        if self.half_width is None:
            return decided
        low, high = middle - self.half_width, middle + self.half_width
        if self.transform == "log":
            low, high = low.expm1().clamp(min=0), high.clamp(max=LARGEST_LOG).expm1()
        if self.nonnegative:
            low, high = low.clamp(min=0), high.clamp(min=0)
        return decided | {"low": low.to(answer.dtype), "high": high.to(answer.dtype)}

    def columns(self, name: str, answer: Tensor, probabilities: bool = False) -> dict[str, Any]:
        """``<target>``, and ``<target>_low`` and ``<target>_high`` where the head has an interval."""
        decided = self.decide(answer)
        bounds = {f"{name}_{side}": decided[side].numpy() for side in ("low", "high") if side in decided}
        return {name: answer.numpy()} | bounds

    def settings(self) -> Settings:
        """See :class:`Head`."""
        own: Settings = {"mean": self.mean, "deviation": self.deviation, "transform": self.transform}
        return super().settings() | own | {"half_width": self.half_width, "nonnegative": self.nonnegative}

    def _transformed(self, value: Tensor) -> Tensor:
        return value.clamp(min=0).log1p() if self.transform == "log" else value
