"""Metrics as functions of sums over rows, so that any resampling of the rows is one matrix product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from polymodal.models.heads import Head, family_of

MOST_CLASSES = 50
"""Above it classes are scored by accuracy: a sum a class, a row and a subset would fill the memory."""


@dataclass(frozen=True)
class Score:
    """A metric, the higher the better, of what rows add up to.

    Attributes:
        name: ``accuracy``, ``balanced_accuracy``, ``macro_f1``, ``micro_f1`` or ``r2``.
        classes: Number of classes, for metrics that average over them.
    """

    name: str
    classes: int = 0

    def statistics(self, answer: Tensor, target: Tensor, decided: Mapping[str, Tensor]) -> np.ndarray:
        """What each row adds, ``(rows, sums)``; every target must be known.

        Args:
            answer: Of the head, ``(rows, classes)`` or ``(rows,)``.
            target: ``(rows,)``, or ``(rows, classes)`` for labels.
            decided: See :meth:`polymodal.models.heads.Head.decide`.
        """
        if self.name == "r2":
            truth = target.double()
            error = (answer.double() - truth).square()
            return torch.stack([error, truth, truth.square(), torch.ones_like(truth)], dim=1).numpy()
        if self.name == "micro_f1":
            said, true = decided["predicted"].bool(), target.bool()
            both = (said & true).sum(dim=1)
            return torch.stack([both, said.sum(dim=1) + true.sum(dim=1)], dim=1).double().numpy()
        said = decided.get("predicted", answer.argmax(dim=-1))
        if self.name == "accuracy":
            right = (said == target).double()
            return torch.stack([right, torch.ones_like(right)], dim=1).numpy()
        hot, true = F.one_hot(said, self.classes), F.one_hot(target, self.classes)
        return torch.cat([hot * true, hot, true], dim=1).double().numpy()

    def value(self, sums: np.ndarray) -> np.ndarray:
        """The metric of sums ``(…, sums)``: ``(…)``, NaN where it is not defined."""
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.name == "r2":
                error, total, squares, count = np.moveaxis(sums, -1, 0)
                spread = squares - total**2 / count
                # Equal targets leave nothing but rounding to be explained.
                return np.where(spread > 1e-12 * squares, 1 - error / spread, np.nan)
            if self.name == "micro_f1":
                return 2 * sums[..., 0] / sums[..., 1]
            if self.name == "accuracy":
                return sums[..., 0] / sums[..., 1]
            both, said, true = np.split(sums, 3, axis=-1)
            if self.name == "balanced_accuracy":
                return np.nanmean(np.where(true > 0, both / true, np.nan), axis=-1)
            return np.nanmean(np.where(said + true > 0, 2 * both / (said + true), np.nan), axis=-1)


def score_of(head: Head, metric: str | None = None) -> Score:
    """What ``head`` is scored by: ``metric`` where it can be, else the usual one of its task."""
    family = family_of(head)
    if family == "regression":
        return Score("r2")
    if family == "multilabel":
        return Score("micro_f1")
    classes = head.outputs
    if metric in ("balanced_accuracy", "macro_f1") and classes <= MOST_CLASSES:
        return Score(metric, classes)
    return Score("accuracy")
