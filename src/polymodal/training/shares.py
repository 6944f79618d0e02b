"""Several batches that make one optimizer step: each one's part in the loss, target by target.

The mean of the batches' means is not the mean of all rows where targets are empty or classes weigh more: a
batch with one answer would count as much as one with thirty. So each batch's loss is multiplied by its part
in the mass (see :meth:`polymodal.models.heads.Head.mass`) of all that are taken together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from polymodal.models.modeling import PolymodalForPrediction


def add_shares(
    model: PolymodalForPrediction,
    batches: Sequence[dict[str, Any]],
    *,
    reduce: Callable[[Tensor], Tensor] = lambda mass: mass,
    processes: int = 1,
) -> None:
    """Give each batch its ``shares``, a scalar a target.

    Args:
        model: Whose heads weigh the targets.
        batches: Those of one step in this process; changed in place.
        reduce: Sums a tensor over all processes.
        processes: Their number, by which gradients are divided when they meet.
    """
    heads = [(name, head) for name, head in model.named_heads() if batches and name in batches[0]["targets"]]
    if not heads:
        return
    masses = torch.stack(
        [
            torch.stack([head.mass(batch["targets"][name].to(model.device)).float() for name, head in heads])
            for batch in batches
        ]
    )  # (batches, targets)
    # A target that is empty in all of them has no part in the step.
    shares = masses * processes / reduce(masses.sum(dim=0)).clamp(min=1e-8)
    for batch, own in zip(batches, shares, strict=True):
        batch["shares"] = {name: own[place] for place, (name, _) in enumerate(heads)}
