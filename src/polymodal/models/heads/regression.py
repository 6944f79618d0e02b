"""A number, and the interval it lies in."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymodal.answers import NumberDecoder
from polymodal.answers.numbers import LARGEST_LOG
from polymodal.config import TargetConfig
from polymodal.data.targets import TargetReader
from polymodal.models.heads.base import HEADS, DecodedHead, divisor, weighed
from polymodal.utils.records import Settings


@HEADS.register("regression")
class Regressor(DecodedHead):
    """A number, by squared error on the standardized target.

    Args:
        mean: Of the target in training, after ``transform``.
        deviation: Of the same.
        transform: ``log`` learns ``log(1 + x)``, for amounts that span orders of magnitude.
        half_width: Of the prediction interval, in the unit of the target after ``transform``; None for no
            interval. See :func:`polymodal.evaluation.statistics.conformal.conformal_quantile`.
        nonnegative: Whether no number in training was below zero: intervals then end at zero.
        clamped: Whether answers end at zero too. Not so in runs of before, which answer as they were trained.
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
        clamped: bool = False,
        weight: float = 1.0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(weight=weight, dropout=dropout)
        if transform not in ("none", "log"):
            raise ValueError(f"transform is '{transform}', expected 'none' or 'log'")
        if half_width is not None and half_width < 0:
            raise ValueError(f"half_width is {half_width:g}, expected 0 or more")
        self.mean, self.deviation, self.transform = mean, deviation, transform
        self.half_width, self.nonnegative, self.clamped = half_width, nonnegative, clamped

    @classmethod
    def configured(
        cls, config: TargetConfig, target: TargetReader, answers: np.ndarray, weights: np.ndarray | None
    ) -> dict[str, Any]:
        """See :class:`Head`."""
        learned = NumberDecoder.configured(config, target, answers, weights).settings()
        return {name: learned[name] for name in ("mean", "deviation", "transform", "nonnegative", "clamped")}

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
        if self.transform != "log":
            return value.clamp(min=0) if self.clamped else value
        return value.clamp(max=LARGEST_LOG).expm1().clamp(min=0)

    def saved_decoder(self) -> NumberDecoder:
        """See :class:`DecodedHead`."""
        return NumberDecoder(
            mean=self.mean, deviation=self.deviation, transform=self.transform,
            half_width=self.half_width, nonnegative=self.nonnegative, clamped=self.clamped,
        )  # fmt: skip

    def residuals(self, answer: Tensor, target: Tensor) -> Tensor:
        """See :meth:`NumberDecoder.residuals`."""
        return torch.from_numpy(self.saved_decoder().residuals(answer.numpy(), target.numpy()))

    def settings(self) -> Settings:
        """See :class:`Head`."""
        own: Settings = {"mean": self.mean, "deviation": self.deviation, "transform": self.transform}
        own |= {"half_width": self.half_width, "nonnegative": self.nonnegative, "clamped": self.clamped}
        return super().settings() | own

    def _transformed(self, value: Tensor) -> Tensor:
        return value.clamp(min=0).log1p() if self.transform == "log" else value
