"""Heads: the fused state in, the answer for one target out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from polymodal.models.outputs import FusedState
from polymodal.registry import Registry

IGNORED = -100
"""What stands for an empty target of a classification (an empty number is NaN)."""


class Head(nn.Module):
    """Base of all heads; built in two steps, for the width is known only beside a fusion.

    Attributes:
        task: The name it is registered under.
        family: The task of this library whose target cells and whose metrics are its too; its own by default.
    """

    task: ClassVar[str]
    family: ClassVar[str] = ""

    def __init__(self, *, weight: float = 1.0, dropout: float = 0.1) -> None:
        super().__init__()
        self.weight, self.dropout = weight, nn.Dropout(dropout)
        self.out: nn.Linear | None = None

    def bind(self, width: int) -> Head:
        """Build the weights for a fused state of ``width``."""
        if self.out is None:
            self.out = nn.Linear(width, self.outputs)
        return self

    @property
    def outputs(self) -> int:
        """Numbers a row that the head gives."""
        return 1

    def forward(self, state: FusedState) -> Tensor:
        """The logits, ``(batch, outputs)``.

        Raises:
            ValueError: If :meth:`bind` was never called.
        """
        if self.out is None:
            raise ValueError(f"{type(self).__name__} does not know its width yet: call bind(width)")
        return self.out(self.dropout(state.pooled))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """The mean loss over the rows whose target is not empty; 0 where all are."""
        raise TypeError(f"{type(self).__name__} has no loss of its own")

    def normalizer(self, target: Tensor) -> Tensor:
        """What :meth:`loss` divides its sum by, a scalar: the number of rows whose target is not empty."""
        known = ~target.isnan() if target.is_floating_point() else target != IGNORED
        return known.reshape(len(target), -1).any(dim=1).sum().float()

    def answer(self, logits: Tensor) -> Tensor:
        """What is shown: probabilities ``(batch, classes)``, or numbers ``(batch,)`` in the user's unit."""
        raise TypeError(f"{type(self).__name__} has no answer of its own")

    def settings(self) -> dict[str, Any]:
        """The keyword arguments, JSON values all, that build this head again (without its weights)."""
        return {"weight": self.weight, "dropout": self.dropout.p}


def family_of(head: Head | type[Head]) -> str:
    """The task whose cells and metrics are those of ``head``."""
    return head.family or head.task


HEADS: Registry[type[Head]] = Registry("head", group="polymodal.heads", base=Head)


def build_head(settings: dict[str, Any]) -> Head:
    """The head that ``{"task": …, **head.settings()}`` describes, with fresh weights."""
    settings = dict(settings)
    return HEADS[settings.pop("task")](**settings)


@HEADS.register("classification")
class Classifier(Head):
    """One of several classes, by cross-entropy.

    Args:
        classes: Their number, or their names in the order of the logits.
        class_weights: A factor for each class's loss.
        label_smoothing: Probability that the loss gives to the other classes.
        weight: Share of this target in the model's loss.
        dropout: Before the last layer.
    """

    task = family = "classification"
    class_weights: Tensor
    temperature: Tensor

    def __init__(
        self,
        classes: int | Sequence[str],
        *,
        class_weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        weight: float = 1.0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(weight=weight, dropout=dropout)
        self.classes = [str(c) for c in (range(classes) if isinstance(classes, int) else classes)]
        self.label_smoothing = label_smoothing
        weights = class_weights or [1.0] * len(self.classes)
        if len(weights) != len(self.classes):
            raise ValueError(f"{len(weights)} class_weights for {len(self.classes)} classes")
        self.register_buffer("class_weights", torch.tensor(weights, dtype=torch.float32))
        self.register_buffer("temperature", torch.ones(()))

    @property
    def outputs(self) -> int:
        """See :class:`Head`."""
        return len(self.classes)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of ``logits`` ``(batch, classes)`` with ``target`` ``(batch,)``, -100 where empty."""
        each = F.cross_entropy(
            logits.float(), target, self.class_weights, ignore_index=IGNORED,
            reduction="none", label_smoothing=self.label_smoothing,
        )  # fmt: skip
        return each.sum() / self.normalizer(target).clamp(min=1e-8)

    def normalizer(self, target: Tensor) -> Tensor:
        """See :class:`Head`; a row counts as much as its class weighs."""
        return (self.class_weights[target.clamp(min=0)] * (target != IGNORED)).sum()

    def answer(self, logits: Tensor) -> Tensor:
        """Probabilities ``(batch, classes)`` after the calibration temperature."""
        return (logits.float() / self.temperature).softmax(dim=-1)

    def settings(self) -> dict[str, Any]:
        """See :class:`Head`."""
        return super().settings() | {
            "classes": self.classes,
            "class_weights": self.class_weights.tolist(),
            "label_smoothing": self.label_smoothing,
        }


@HEADS.register("regression")
class Regressor(Head):
    """A number, by squared error on the standardized target.

    Args:
        mean: Of the target in training, after ``transform``.
        deviation: Of the same.
        transform: ``log`` learns ``log(1 + x)``, for amounts that span orders of magnitude.
        weight: Share of this target in the model's loss.
        dropout: Before the last layer.
    """

    task = family = "regression"

    def __init__(
        self,
        *,
        mean: float = 0.0,
        deviation: float = 1.0,
        transform: str = "none",
        weight: float = 1.0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(weight=weight, dropout=dropout)
        if transform not in ("none", "log"):
            raise ValueError(f"transform is '{transform}', expected 'none' or 'log'")
        self.mean, self.deviation, self.transform = mean, deviation, transform

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Squared error of ``logits`` ``(batch, 1)`` with ``target`` ``(batch,)``, NaN where it is empty."""
        known = ~target.isnan()
        if self.transform == "log":
            target = target.clamp(min=0).log1p()
        scaled = (torch.where(known, target, self.mean) - self.mean) / self.deviation
        error = (logits.float().squeeze(-1) - scaled) * known
        return error.square().sum() / known.sum().clamp(min=1)

    def answer(self, logits: Tensor) -> Tensor:
        """Numbers ``(batch,)`` in the target's own unit."""
        value = logits.float().squeeze(-1) * self.deviation + self.mean
        # Beyond e^80 a float is infinite, and an untrained model may well say so.
        return value.clamp(max=80).expm1().clamp(min=0) if self.transform == "log" else value

    def settings(self) -> dict[str, Any]:
        """See :class:`Head`."""
        own = {"mean": self.mean, "deviation": self.deviation, "transform": self.transform}
        return super().settings() | own
