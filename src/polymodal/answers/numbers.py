"""Answers of one number, and the interval it lies in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from polymodal.answers.base import DECODERS, SavedDecoder
from polymodal.data.targets import TargetReader
from polymodal.data.values.numbers import mean_and_deviation
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    from polymodal.config import TargetConfig

LARGEST_LOG = 80.0
"""Largest predicted logarithm: an untrained model may exceed e^88, where a 32-bit float is infinite."""


@DECODERS.register("regression")
class NumberDecoder(SavedDecoder):
    """A number, learned as a standardized one.

    Args:
        mean: Of the target in training, after ``transform``.
        deviation: Of the same.
        transform: ``log`` where ``log(1 + x)`` is learned, for amounts that span orders of magnitude.
        half_width: Of the prediction interval, in the unit of the target after ``transform``; None for no
            interval. See :func:`polymodal.evaluation.statistics.conformal.conformal_quantile`.
        nonnegative: Whether no number in training was below zero: intervals then end at zero.
        clamped: Whether answers end at zero too. Not so in runs of before, which answer as they were trained.
    """

    task = family = "regression"
    saved = frozenset({"mean", "deviation", "transform", "half_width", "nonnegative", "clamped"})
    of_head = ("mean", "deviation", "transform", "half_width", "nonnegative", "clamped", "weight", "dropout")

    def __init__(
        self,
        *,
        mean: float = 0.0,
        deviation: float = 1.0,
        transform: str = "none",
        half_width: float | None = None,
        nonnegative: bool = False,
        clamped: bool = False,
    ) -> None:
        if transform not in ("none", "log"):
            raise ValueError(f"transform is '{transform}', expected 'none' or 'log'")
        if half_width is not None and half_width < 0:
            raise ValueError(f"half_width is {half_width:g}, expected 0 or more")
        self.mean, self.deviation, self.transform = mean, deviation, transform
        self.half_width, self.nonnegative, self.clamped = half_width, nonnegative, clamped

    @property
    def outputs(self) -> int:
        """See :class:`Decoder`."""
        return 1

    def answer(self, logits: np.ndarray) -> np.ndarray:
        """Numbers ``(batch,)`` in the target's own unit."""
        value = logits.astype(np.float32)[..., 0] * self.deviation + self.mean
        if self.transform != "log":
            return np.maximum(value, 0) if self.clamped else value
        amounts = np.expm1(np.minimum(value, LARGEST_LOG).astype(np.float64)).astype(np.float32)
        return np.maximum(amounts, 0)

    def as_logits(self, answer: np.ndarray) -> np.ndarray:
        """See :class:`Decoder`; ``(batch, 1)`` standardized numbers."""
        return ((self._transformed(answer) - self.mean) / self.deviation)[..., None]

    def residuals(self, answer: np.ndarray, target: np.ndarray) -> np.ndarray:
        """How far off each answer ``(rows,)`` is after ``transform``; what is below zero is never reached."""
        off = np.abs(
            self._transformed(answer.astype(np.float64)) - self._transformed(target.astype(np.float64))
        )
        return np.where(target < 0, np.inf, off) if self.transform == "log" else off

    def decide(self, answer: np.ndarray) -> dict[str, np.ndarray]:
        """``low`` and ``high`` ``(batch,)`` in the target's own unit, where there is an interval.

        Of a target that was never negative in training, neither is below zero. ``log`` ``(batch,)`` is the
        logarithm of the answers, where that is learned.

        The width is the same for all rows after ``transform``: a logarithm's interval is as wide as its
        answer is large.
        """
        middle = self._transformed(answer.astype(np.float64))
        decided = {"log": middle} if self.transform == "log" else {}
        if self.half_width is None:
            return decided
        low, high = middle - self.half_width, middle + self.half_width
        if self.transform == "log":
            low, high = np.maximum(np.expm1(low), 0), np.expm1(np.minimum(high, LARGEST_LOG))
        if self.nonnegative:
            low, high = np.maximum(low, 0), np.maximum(high, 0)
        return decided | {"low": low.astype(answer.dtype), "high": high.astype(answer.dtype)}

    def columns(self, name: str, answer: np.ndarray, probabilities: bool = False) -> dict[str, Any]:
        """``<target>``, and ``<target>_low`` and ``<target>_high`` where there is an interval."""
        decided = self.decide(answer)
        return {name: answer} | {
            f"{name}_{side}": decided[side] for side in ("low", "high") if side in decided
        }

    @classmethod
    def configured(
        cls, config: TargetConfig, target: TargetReader, answers: np.ndarray, weights: np.ndarray | None
    ) -> Self:
        """See :class:`SavedDecoder`."""
        if config.transform == "auto":
            raise ValueError("transform is 'auto', which a fit resolves to 'none' or 'log' before training")
        filled = ~np.isnan(answers)
        numbers, counted = answers[filled], None if weights is None else weights[filled]
        nonnegative = bool(len(numbers)) and bool((numbers >= 0).all())
        numbers = np.log1p(np.clip(numbers, 0, None)) if config.transform == "log" else numbers
        mean, deviation = mean_and_deviation(numbers, counted)
        return cls(
            mean=mean, deviation=deviation, transform=config.transform,
            nonnegative=nonnegative, clamped=nonnegative,
        )  # fmt: skip

    def settings(self) -> Settings:
        """See :class:`SavedDecoder`."""
        own: Settings = {"mean": self.mean, "deviation": self.deviation, "transform": self.transform}
        return own | {
            "half_width": self.half_width, "nonnegative": self.nonnegative, "clamped": self.clamped,
        }  # fmt: skip

    def _transformed(self, value: np.ndarray) -> np.ndarray:
        return np.log1p(np.maximum(value, 0)) if self.transform == "log" else value
