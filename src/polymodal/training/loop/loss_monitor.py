"""Log loss components; abort on NaN or a stalled loss."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from polymodal.errors import RunError, option, worded

EVERY = 25
"""Steps between two checks, each of which synchronizes a GPU."""
STANDSTILL = 200
"""Steps after which a constant loss aborts the training."""
MOVES = 1e-5
"""Relative change below which the loss counts as constant."""


class LossMonitor:
    """Accumulates losses on their device, and checks them at intervals.

    Args:
        learning_rate: For the message.
        abort_on_stall: Whether a constant loss aborts the training; a fit may reach a constant minimum.
    """

    def __init__(self, learning_rate: float, *, abort_on_stall: bool) -> None:
        self.learning_rate, self.abort_on_stall = learning_rate, abort_on_stall
        self.sums: dict[str, Tensor] = {}
        self.steps = 0
        self.seen: list[Tensor] = []
        self.since = 0

    def add(self, loss: Tensor, parts: Mapping[str, Tensor], step: int) -> None:
        """Add a batch's loss and its named parts.

        Raises:
            RunError: If the loss is NaN, or has been constant for long.
        """
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.detach()
        self.steps += 1
        self.seen.append(loss.detach())
        if len(self.seen) >= EVERY:
            self._look(step)

    def means(self) -> dict[str, float]:
        """By ``loss.<name>`` the mean of each part since the last call."""
        result = {f"loss.{name}": float(value) / max(1, self.steps) for name, value in self.sums.items()}
        self.sums, self.steps = {}, 0
        return result

    def _look(self, step: int) -> None:
        losses = torch.stack(self.seen)
        self.seen = self.seen[-1:]
        low, high = float(losses.min()), float(losses.max())
        if not math.isfinite(low + high):
            lower = float(f"{self.learning_rate / 10:g}")
            raise RunError(
                f"the training loss is {low + high} by step {step}: most often the learning rate "
                f"({self.learning_rate:g}) is too high, or precision fp16 overflows. "
                f"Try {option('learning_rate', lower)}, or {option('precision', 'bf16')}"
            )
        self.since = self.since + len(losses) - 1 if high - low <= MOVES * abs(high) else 0
        if self.abort_on_stall and self.since >= STANDSTILL:
            raise RunError(
                f"the training loss has been constant at {high:.6g} for {self.since} steps: most often all "
                f"rows are equal, so that they cannot be distinguished, or nothing is trained (everything "
                f"frozen, or a learning rate of {self.learning_rate:g} that is too low). "
                f"See {worded('polymodal check', 'pm.check')}"
            )
