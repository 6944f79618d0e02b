"""What the parts of `pretraining.py` share: a pre-training of pairs, and InfoNCE as one would write it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from timing import keep_rows
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import set_seed

from polymodal.training.opening import open_job
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.request import FitRequest
from polymodal.training.warm_start.load import build_started


class PlainPairs(nn.Module):
    """InfoNCE between two inputs, as one would write it: both directions, a learned scale.

    Every row counts as unlike the others; `contrastive` leaves out pairs of equal content.

    Args:
        learning: A :class:`PolymodalForPreTraining`, whose encoders, embedding and shared space are taken.
        temperature: At the start.
    """

    def __init__(self, learning: Any, temperature: float = 0.07) -> None:
        super().__init__()
        self.model = learning.model
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def forward(self, index: Tensor, inputs: Mapping[str, Any], targets: Any = None) -> Any:
        """The loss of rows that have both inputs."""
        first, second = self.model.space(self.model.embed(index, inputs)).values()
        logits = self.log_scale.exp().clamp(max=100) * first @ second.T
        own = torch.arange(len(index), device=logits.device)
        return SimpleNamespace(loss=(F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2)


def open_pairs(table: Path, inputs: Sequence[str], rows: int, settings: Sequence[str] = ()) -> PredictionJob:
    """The pre-training of a table's rows that have all ``inputs``, at most ``rows`` of them (0: all).

    Only the inputs are compared, not fused parts of them: that is what :class:`PlainPairs` learns by.
    """
    settings = ["objectives.contrastive.fused=false", "train.epochs=1", "data.cache_disk=0", *settings]
    job = open_job(FitRequest(table, inputs=list(inputs), settings=settings, pretraining=True))
    train = job.splits["train"]
    whole = np.array([all(row[name] for name in inputs) for row in train.rows()]).nonzero()[0]
    job.splits["train"], job.numbers["train"] = train.select(whole), job.numbers["train"][whole]
    keep_rows(job, rows)
    return job


def built(job: PredictionJob) -> Any:
    """The untrained model, the same each time."""
    set_seed(job.declaration.train.seed)
    return build_started(job, job.declaration)


SAME = 1e-4
"""Share of a number by which two ways to the same one may differ."""


def equal(made: Sequence[float], who: str, what: str = "loss") -> None:
    """Refuse numbers that are not the same.

    Raises:
        SystemExit: If they are not.
    """
    if not all(math.isclose(made[0], other, rel_tol=SAME) for other in made):
        raise SystemExit(f"{who} make another {what} of the same rows: {', '.join(map(str, made))}")
