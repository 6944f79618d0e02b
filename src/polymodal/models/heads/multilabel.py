"""Any number of several classes, none of them too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from polymodal.answers import LabelDecoder
from polymodal.answers.base import check_thresholds, class_names
from polymodal.config import TargetConfig
from polymodal.data.targets import TargetReader
from polymodal.models.heads.base import HEADS, DecodedHead, divisor, per_class, weighed
from polymodal.utils.records import Settings


@HEADS.register("multilabel")
class MultilabelClassifier(DecodedHead):
    """Each class is present or absent: a binary cross-entropy per class.

    Args:
        classes: Their number, or their names in the order of the logits.
        pos_weight: A factor for each class's loss where the row has it, as PyTorch names it.
        thresholds: The probability from which a class is predicted, one for all or one per class.
        weight: Share of this target in the model's loss.
        dropout: Before the last layer.
    """

    task = family = "multilabel"
    pos_weight: Tensor
    temperature: Tensor

    def __init__(
        self,
        classes: int | Sequence[str],
        *,
        pos_weight: Sequence[float] | None = None,
        thresholds: float | Sequence[float] = 0.5,
        weight: float = 1.0,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(weight=weight, dropout=dropout)
        self.classes = class_names(classes)
        each = [thresholds] * len(self.classes) if isinstance(thresholds, int | float) else thresholds
        self.thresholds = [float(value) for value in each]
        check_thresholds(self.thresholds, len(self.classes))
        self.register_buffer("pos_weight", per_class(pos_weight, len(self.classes), "pos_weight"))
        self.register_buffer("temperature", torch.ones(()))

    @classmethod
    def configured(
        cls, config: TargetConfig, target: TargetReader, answers: np.ndarray, weights: np.ndarray | None
    ) -> dict[str, Any]:
        """See :class:`Head`."""
        balanced = config.class_weights == "balanced"
        return {
            "classes": target.classes,
            "pos_weight": _pos_weight(answers, weights) if balanced else None,
            "thresholds": config.thresholds if isinstance(config.thresholds, float) else 0.5,
        }

    @property
    def outputs(self) -> int:
        """See :class:`Head`."""
        return len(self.classes)

    def loss(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Binary cross-entropy of ``logits`` with ``target`` ``(batch, classes)``, 1 where the row has the
        class.

        The mean over classes and over rows whose target is known; that of the others is NaN. For ``weight``
        see :meth:`Head.loss`.
        """
        known = self.known(target).unsqueeze(1)
        each = F.binary_cross_entropy_with_logits(
            logits.float(), target.nan_to_num(), pos_weight=self.pos_weight, reduction="none"
        )
        total = weighed(known, weight).sum() * len(self.classes)
        return weighed(torch.where(known, each, 0.0), weight).sum() / divisor(total)

    def answer(self, logits: Tensor) -> Tensor:
        """Each class's own probability, ``(batch, classes)``, after the calibration temperature."""
        return (logits.float() / self.temperature).sigmoid()

    def saved_decoder(self) -> LabelDecoder:
        """See :class:`DecodedHead`."""
        return LabelDecoder(self.classes, thresholds=self.thresholds, temperature=float(self.temperature))

    def settings(self) -> Settings:
        """See :class:`Head`."""
        return super().settings() | {
            "classes": self.classes,
            "pos_weight": self.pos_weight.tolist(),
            "thresholds": self.thresholds,
        }


def _pos_weight(answers: np.ndarray, weights: np.ndarray | None) -> list[float]:
    """Rows without each class over rows with it, as PyTorch proposes; ``answers`` ``(rows, classes)``."""
    filled = ~np.isnan(answers).any(axis=1)
    counted = np.ones(int(filled.sum())) if weights is None else weights[filled]
    positives = counted @ answers[filled]
    ratio = (counted.sum() - positives) / np.where(positives > 0, positives, 1)
    return np.where(positives > 0, ratio, 1.0).clip(min=1e-3).tolist()
