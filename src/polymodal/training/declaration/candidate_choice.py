"""The models and encoders that a fit tries where its declaration names none."""

from __future__ import annotations

from typing import Literal

from polymodal.config import Declaration
from polymodal.models.heads import HEADS, Head
from polymodal.training.declaration.source import resumed
from polymodal.training.request import FitRequest

NEURAL = ("fused",)
SEVERAL = ("plain", "fused")
"""Names of :data:`polymodal.candidates.CANDIDATES`, a package above: those that a fit tries by default."""
ENCODERS: Literal["scratch", "auto"] = "auto"
"""``train.encoders`` of a fit by default."""


def settle_candidates(declaration: Declaration, request: FitRequest, *, of_run: bool) -> None:
    """Fill in ``train.candidates`` and ``train.encoders``: the preset ``good`` where it can be.

    Plain models and the neural model are tried where they can be blended; otherwise the neural model alone.

    Args:
        declaration: Its section ``train`` is completed.
        request: Of the fit; one that is resumed keeps the choice of its folder. Comparisons of fusions and
            searches are of the neural model.
        of_run: It is the ``run.yaml`` of a run: what that does not name was not tried.
    """
    train, earlier = declaration.train, resumed(request)
    if earlier is not None:
        candidates, encoders = earlier.train.candidates, earlier.train.encoders
    elif of_run or not declaration.targets:
        candidates, encoders = list(NEURAL), "scratch"
    else:
        several = not (request.fusions or request.trials is not None) and _can_blend(declaration)
        candidates, encoders = list(SEVERAL if several else NEURAL), ENCODERS
    if train.candidates is None:
        train.candidates = candidates
    if train.encoders is None:
        train.encoders = encoders


def _can_blend(declaration: Declaration) -> bool:
    """Whether plain models can be fitted, and the answers of all heads be averaged as probabilities."""
    heads = [HEADS[target.task] for target in declaration.targets.values()]
    return not declaration.data.private and all(head.as_logits is not Head.as_logits for head in heads)
