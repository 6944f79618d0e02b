"""The argument of every metric: predictions beside the ground truth, as arrays and as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from polymodal.evaluation.arrays import Values, as_array
from polymodal.evaluation.metrics.weighted import mean

if TYPE_CHECKING:
    from torch import Tensor


class Rows:
    """Predictions beside the ground truth, of rows whose truth is known: the argument of every metric.

    Each is there as an array, which our own metrics use, and as a tensor: torch is imported by the first.

    Args:
        prediction: What the head answers: probabilities ``(rows, classes)``, or numbers ``(rows,)``.
        target: Indices of classes ``(rows,)``, labels ``(rows, classes)`` int64 (1 where the row has it), or
            numbers ``(rows,)``.
        weight: ``(rows,)`` float64, above 0 with mean 1: how much each row counts. None: all the same.
        decided: What the head decides on its answers, such as ``predicted``, or ``low`` and ``high``, each
            ``(rows, …)``; see :meth:`polymodal.models.heads.Head.decide`.
        classes: Number of classes or labels; 0 for numbers.

    Attributes:
        answers: ``prediction`` as an array.
        targets: ``target`` as an array.
        decisions: ``decided`` as arrays.
        is_weighted: Whether rows count differently.
    """

    def __init__(
        self,
        prediction: Values,
        target: Values,
        weight: Values | None = None,
        decided: Mapping[str, Values] | None = None,
        classes: int = 0,
    ) -> None:
        self.answers, self.targets, self.classes = as_array(prediction), as_array(target), classes
        self.decisions = {name: as_array(values) for name, values in (decided or {}).items()}
        self.is_weighted = weight is not None
        ones = np.ones(len(self.targets)) if weight is None else as_array(weight)
        self.weights = ones.astype(np.float64)

    @cached_property
    def choices(self) -> np.ndarray:
        """The predicted class ``(rows,)`` or labels ``(rows, classes)``; default: the likeliest, or p ≥ ½."""
        if "predicted" in self.decisions:
            return self.decisions["predicted"]
        return self.answers >= 0.5 if self.targets.ndim > 1 else self.answers.argmax(axis=-1)

    @cached_property
    def shares(self) -> np.ndarray:
        """:attr:`answers` in double precision, between 0 and 1, which rounding may exceed a little."""
        return self.answers.astype(np.float64).clip(0, 1)

    def mean(self, values: Values) -> float:
        """The (weighted) mean of ``values`` ``(rows,)``."""
        return mean(as_array(values).astype(np.float64), self.weights)

    @cached_property
    def prediction(self) -> Tensor:
        """:attr:`answers` as a tensor."""
        return as_tensor(self.answers)

    @cached_property
    def target(self) -> Tensor:
        """:attr:`targets` as a tensor."""
        return as_tensor(self.targets)

    @cached_property
    def weight(self) -> Tensor | None:
        """:attr:`weights` as a tensor; None where all rows count the same."""
        return as_tensor(self.weights) if self.is_weighted else None

    @cached_property
    def decided(self) -> dict[str, Tensor]:
        """:attr:`decisions` as tensors."""
        return {name: as_tensor(values) for name, values in self.decisions.items()}

    @cached_property
    def predicted(self) -> Tensor:
        """:attr:`choices` as a tensor."""
        return as_tensor(self.choices)

    @cached_property
    def probabilities(self) -> Tensor:
        """:attr:`shares` as a tensor."""
        return as_tensor(self.shares)


def as_tensor(values: np.ndarray) -> Tensor:
    import torch  # for metrics of other packages alone

    return torch.from_numpy(np.ascontiguousarray(values))
