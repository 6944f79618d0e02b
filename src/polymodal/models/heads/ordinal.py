"""One of several classes that have an order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from polymodal.answers import OrderedDecoder
from polymodal.answers.base import IGNORED, class_names
from polymodal.config import TargetConfig
from polymodal.data.targets import TargetReader
from polymodal.models.heads.base import HEADS, DecodedHead, Head, divisor, weighed
from polymodal.models.outputs import FusedState


@HEADS.register("ordinal")
class OrdinalClassifier(DecodedHead):
    """One of several ordered classes, by a cumulative link model (proportional odds, McCullagh 1980).

    One number per row, ``f``, lies on a scale that ordered thresholds cut into the classes:
    ``P(class ≤ k) = sigmoid(threshold_k - f)``. So neighbouring classes are confused before distant ones, and
    the probabilities always belong to one order, which independent logits do not promise.

    Args:
        classes: Their number, or their names from the lowest to the highest; two or more.
        weight: Share of this target in the model's loss.
        dropout: Before the last layer.

    Example:
        >>> head = OrdinalClassifier(["low", "mid", "high"]).bind(8)
        >>> head.answer(head(FusedState(torch.zeros(1, 8)))).argmax().item()
        1
    """

    task, family = "ordinal", "classification"
    temperature: Tensor

    def __init__(self, classes: int | Sequence[str], *, weight: float = 1.0, dropout: float = 0.1) -> None:
        super().__init__(weight=weight, dropout=dropout)
        self.classes = class_names(classes)
        if len(self.classes) < 2:
            raise ValueError(f"{len(self.classes)} ordered class, expected two or more")
        # Where f is 0 all classes are equally likely.
        shares = torch.arange(1, len(self.classes), dtype=torch.float64) / len(self.classes)
        first = shares.logit()
        self.first = nn.Parameter(first[:1].float())
        self.gaps = nn.Parameter(first.diff().expm1().log().float())  # the inverse of softplus
        self.register_buffer("temperature", torch.ones(()))

    def bind(self, width: int) -> Head:
        """Build the weights for a fused state of ``width``: its offset lies in the cuts."""
        if self.out is None:
            self.out = nn.Linear(width, 1, bias=False)
            nn.init.normal_(self.out.weight, std=1 / math.sqrt(width))
        return self

    @classmethod
    def configured(
        cls, config: TargetConfig, target: TargetReader, answers: np.ndarray, weights: np.ndarray | None
    ) -> dict[str, Any]:
        """See :class:`Head`."""
        return {"classes": target.classes}

    @property
    def outputs(self) -> int:
        """See :class:`Head`."""
        return len(self.classes)

    @property
    def cuts(self) -> Tensor:
        """``(classes - 1,)``, ascending."""
        return torch.cat([self.first, self.first + F.softplus(self.gaps).cumsum(dim=0)])

    def forward(self, state: FusedState) -> Tensor:
        """Log-probabilities ``(batch, classes)``, which are logits too.

        Raises:
            ValueError: If :meth:`bind` was never called.
        """
        height = super().forward(state).float()  # (batch, 1)
        cuts = self.cuts.float() - height  # (batch, classes - 1)
        # P(k) = σ(b) - σ(a) = σ(b) σ(-a) (1 - e^(a - b)), each factor in logarithms.
        inner = torch.log(-torch.expm1(-F.softplus(self.gaps.float())))
        inner = inner + F.logsigmoid(cuts[:, 1:]) + F.logsigmoid(-cuts[:, :-1])
        return torch.cat([F.logsigmoid(cuts[:, :1]), inner, F.logsigmoid(-cuts[:, -1:])], dim=1)

    def loss(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Negative log-likelihood of ``target`` ``(batch,)``, -100 where empty; ``logits`` of the forward.

        For ``weight`` see :meth:`Head.loss`.
        """
        each = F.cross_entropy(logits.float(), target, ignore_index=IGNORED, reduction="none")
        return weighed(each, weight).sum() / divisor(self.normalizer(target, weight))

    def answer(self, logits: Tensor) -> Tensor:
        """Probabilities ``(batch, classes)`` after the calibration temperature."""
        return (logits.float() / self.temperature).softmax(dim=-1)

    def saved_decoder(self) -> OrderedDecoder:
        """See :class:`DecodedHead`."""
        return OrderedDecoder(self.classes, temperature=float(self.temperature))

    def settings(self) -> dict[str, Any]:
        """See :class:`Head`."""
        return super().settings() | {"classes": self.classes}
