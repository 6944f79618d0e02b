"""What a step holds as a whole, however it is cut into batches: known rows.

A target's loss is divided by its known rows. The mean of means over processes, or over the batches of one
accumulated step, is not the mean where the parts know unequal numbers of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from polymodal.models.heads import Head


def step_normalizers(
    heads: Mapping[str, Head], batches: Sequence[Mapping[str, Any]], device: torch.device, processes: int = 1
) -> dict[str, Tensor]:
    """By target, the sum of its head's normalizers over ``batches`` and all processes.

    Args:
        heads: By target.
        batches: Of one step of this process, with their ``targets``.
        device: To reckon on.
        processes: How many take part in the step, each with batches of its own.
    """
    totals = torch.zeros(len(heads), device=device)
    for batch in batches:
        targets = batch["targets"]
        totals += torch.stack([head.normalizer(targets[name].to(device)) for name, head in heads.items()])
    if processes > 1:
        dist.all_reduce(totals)
    return dict(zip(heads, totals, strict=True))
