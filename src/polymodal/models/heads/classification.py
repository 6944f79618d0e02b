"""One of several classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from polymodal.answers import ClassDecoder
from polymodal.answers.base import IGNORED, check_thresholds, class_names
from polymodal.config import TargetConfig
from polymodal.data.targets import TargetReader
from polymodal.models.heads.base import HEADS, DecodedHead, divisor, per_class, weighed
from polymodal.utils.records import Settings


@HEADS.register("classification")
class Classifier(DecodedHead):
    """One of several classes, by cross-entropy.

    Args:
        classes: Their number, or their names in the order of the logits.
        class_weights: A factor for each class's loss.
        label_smoothing: Probability that the loss gives to the other classes.
        thresholds: One per class: the predicted class has the largest ratio of probability to threshold. With
            equal thresholds, or none, it is the most probable class.
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
        thresholds: Sequence[float] | None = None,
        weight: float = 1.0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(weight=weight, dropout=dropout)
        self.classes = class_names(classes)
        self.label_smoothing = label_smoothing
        self.thresholds = None if thresholds is None else [float(value) for value in thresholds]
        if self.thresholds is not None:
            check_thresholds(self.thresholds, len(self.classes))
        self.register_buffer("class_weights", per_class(class_weights, len(self.classes), "class_weights"))
        self.register_buffer("temperature", torch.ones(()))

    @classmethod
    def configured(
        cls, config: TargetConfig, target: TargetReader, answers: np.ndarray, weights: np.ndarray | None
    ) -> dict[str, Any]:
        """See :class:`Head`."""
        balanced = config.class_weights == "balanced"
        factors = balanced_weights(answers, len(target.classes), weights) if balanced else None
        smoothing = config.label_smoothing
        return {"classes": target.classes, "label_smoothing": smoothing, "class_weights": factors}

    @property
    def outputs(self) -> int:
        """See :class:`Head`."""
        return len(self.classes)

    def loss(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Cross-entropy of ``logits`` ``(batch, classes)`` with ``target`` ``(batch,)``, -100 where empty.

        For ``weight`` see :meth:`Head.loss`.
        """
        each = F.cross_entropy(
            logits.float(), target, self.class_weights, ignore_index=IGNORED,
            reduction="none", label_smoothing=self.label_smoothing,
        )  # fmt: skip
        given = () if weight is None else (weight,)  # a subclass may know nothing of weights
        return weighed(each, weight).sum() / divisor(self.normalizer(target, *given))

    def normalizer(self, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """See :class:`Head`; a row counts as much as its class weighs."""
        return weighed(self.class_weights[target.clamp(min=0)] * (target != IGNORED), weight).sum()

    def answer(self, logits: Tensor) -> Tensor:
        """Probabilities ``(batch, classes)`` after the calibration temperature."""
        return (logits.float() / self.temperature).softmax(dim=-1)

    def saved_decoder(self) -> ClassDecoder:
        """See :class:`DecodedHead`."""
        return ClassDecoder(self.classes, thresholds=self.thresholds, temperature=float(self.temperature))

    def settings(self) -> Settings:
        """See :class:`Head`."""
        return super().settings() | {
            "classes": self.classes,
            "class_weights": self.class_weights.tolist(),
            "label_smoothing": self.label_smoothing,
            "thresholds": self.thresholds,
        }


def balanced_weights(answers: np.ndarray, classes: int, weights: np.ndarray | None) -> list[float]:
    """A weight per class, the larger the rarer it is; a class without a row that counts has weight 1."""
    known = answers >= 0
    counted = None if weights is None else weights[known]
    counts = np.bincount(answers[known].astype(int), counted, minlength=classes)
    occurs = counts > 0
    return np.where(occurs, counts.sum() / (len(counts) * np.where(occurs, counts, 1)), 1.0).tolist()
