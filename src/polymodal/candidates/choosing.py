"""The choice of a blend: each model's weight, by the validation rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from polymodal.candidates.base import Tried
from polymodal.config import TargetConfig
from polymodal.evaluation.statistics.ensemble_selection import RowLoss, Selection, row_loss, select
from polymodal.models.heads import Head
from polymodal.training.prediction_job import PredictionJob
from polymodal.utils.records import Record

FEWEST = 8
"""Validation rows with an answer, below which all models get the same weight."""


@dataclass(frozen=True, kw_only=True)
class Choice(Record):
    """The blend of one target.

    Attributes:
        weights: By model, above 0, with sum 1.
        reason: Why, in one line.
        losses: By model the mean loss on the validation rows; empty where there were too few.
        rows: Validation rows that it was chosen by.
        loss: Mean loss of the blend on them.
    """

    weights: dict[str, float]
    reason: str
    losses: dict[str, float]
    rows: int
    loss: float | None = None


def choose_blend(
    job: PredictionJob, tried: Mapping[str, Tried], heads: Mapping[str, Head], truth: Mapping[str, Tensor]
) -> dict[str, Choice]:
    """The weights of all models, by target.

    Args:
        job: Of the fit.
        tried: By candidate, fitted to the training rows alone.
        heads: Of the blend, by target.
        truth: By target ``(validation rows, …)``.
    """
    return {name: _choose(job, name, _models(tried, name), heads[name], truth[name]) for name in heads}


def _models(tried: Mapping[str, Tried], target: str) -> dict[str, np.ndarray]:
    """By model its answers to the validation rows; without validation rows an empty array."""
    return {
        name: answer
        for candidate in tried.values()
        for name, answer in candidate.answers.get("validation", {}).get(target, {}).items()
    }


def _choose(
    job: PredictionJob, target: str, models: Mapping[str, np.ndarray], head: Head, truth: Tensor
) -> Choice:
    known = head.known(truth).numpy()
    weights = job.rows("validation").weights
    known &= True if weights is None else weights > 0
    count = int(known.sum())
    if count < FEWEST:
        even = dict.fromkeys(models, 1 / len(models))
        return Choice(
            weights=even, reason=f"{count} validation rows are too few to choose by", losses={}, rows=count
        )
    result: Selection = select(
        {name: answer[known] for name, answer in models.items()},
        _loss(job.declaration.targets[target], truth[torch.from_numpy(known)].numpy()),
        None if weights is None else weights[known],
        clusters=_clusters(job, known),
        seed=job.declaration.train.seed,
    )
    return Choice(
        weights=dict(result.weights),
        reason=result.reason,
        losses=dict(result.losses),
        rows=count,
        loss=result.losses[result.best] if result.choice == "single" else result.blend_loss,
    )


def _loss(config: TargetConfig, truth: np.ndarray) -> RowLoss:
    """What the blend is chosen by; of numbers, as their head averages them."""
    if truth.ndim > 1:
        return row_loss("labels", truth)
    if truth.dtype.kind == "i":
        return row_loss("classes", truth)
    return row_loss("numbers", truth, transform="log" if config.transform == "log" else "none")


def _clusters(job: PredictionJob, known: np.ndarray) -> np.ndarray | None:
    """Rows of one group are drawn together; None without a group column."""
    column, table = job.declaration.data.group, job.splits["validation"]
    if column is None or column not in table.columns:
        return None
    names = [
        str(cell) if cell is not None else f"row {row}"
        for row, cell in enumerate(table.values(column).to_pylist())
    ]
    return np.unique(np.array(names)[known], return_inverse=True)[1].reshape(-1)
