"""The training loss as it goes: its parts for the log, and a stop where it cannot come to anything."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from polymodal.errors import RunError

EVERY = 25
"""Steps between two looks: each makes a GPU wait."""
STANDSTILL = 200
"""Steps over which a loss that does not move is given up."""
MOVES = 1e-5
"""By less than this share of itself it does not move."""


class LossWatch:
    """Adds up losses where they are made, and looks at them now and then.

    Args:
        learning_rate: For the message.
        stands: Whether a loss that does not move is given up; a fit may know its rows to the last bit.
    """

    def __init__(self, learning_rate: float, *, stands: bool) -> None:
        self.learning_rate, self.stands = learning_rate, stands
        self.sums: dict[str, Tensor] = {}
        self.steps = 0
        self.seen: list[Tensor] = []
        self.since = 0

    def add(self, loss: Tensor, parts: Mapping[str, Tensor], step: int) -> None:
        """Take a batch's loss and its named parts in.

        Raises:
            RunError: If the loss is not a number, or has not moved for long.
        """
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.detach()
        self.steps += 1
        self.seen.append(loss.detach())
        if len(self.seen) >= EVERY:
            self._look(step)

    def means(self) -> dict[str, float]:
        """By ``loss.<name>`` the mean of each part since this was last asked."""
        found = {f"loss.{name}": float(value) / max(1, self.steps) for name, value in self.sums.items()}
        self.sums, self.steps = {}, 0
        return found

    def _look(self, step: int) -> None:
        losses = torch.stack(self.seen)
        self.seen = self.seen[-1:]
        low, high = float(losses.min()), float(losses.max())
        if not math.isfinite(low + high):
            raise RunError(
                f"the training loss is {low + high} by step {step}: most often the learning rate "
                f"({self.learning_rate:g}) is too high, or precision fp16 overflows. "
                f"Try --set train.learning_rate={self.learning_rate / 10:g}, or train.precision=bf16"
            )
        self.since = self.since + len(losses) - 1 if high - low <= MOVES * abs(high) else 0
        if self.stands and self.since >= STANDSTILL:
            raise RunError(
                f"the training loss has stood at {high:.6g} for {self.since} steps: most often all rows hold "
                f"the same, so that nothing tells them apart, or nothing learns (everything frozen, or a "
                f"learning rate of {self.learning_rate:g} that is too low). See polymodal check"
            )
