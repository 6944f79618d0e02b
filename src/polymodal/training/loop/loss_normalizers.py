"""What a step holds as a whole, however it is cut into batches: known rows, and inputs that some row has.

A target's loss is divided by its known rows, or by the sum of their weights. The mean of means over
processes, or over the batches of one accumulated step, is not the mean where the parts know unequal numbers
of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from transformers import TrainerCallback

from polymodal.models.heads import Head
from polymodal.utils.distributed import waiting_group


def step_normalizers(
    heads: Mapping[str, Head], batches: Sequence[Mapping[str, Any]], device: torch.device, processes: int = 1
) -> dict[str, Tensor]:
    """By target, the sum of its head's normalizers over ``batches`` and all processes.

    Args:
        heads: By target.
        batches: Of one step of this process, with their ``targets``, and ``weight`` where rows have some.
        device: To reckon on.
        processes: How many take part in the step, each with batches of its own.
    """
    totals = torch.zeros(len(heads), device=device)
    for batch in batches if heads else ():
        targets = batch["targets"]
        given = {"weight": batch["weight"].to(device)} if "weight" in batch else {}
        parts = [head.normalizer(targets[name].to(device), **given) for name, head in heads.items()]
        totals += torch.stack(parts)
    if processes > 1 and heads:
        dist.all_reduce(totals)
    return dict(zip(heads, totals, strict=True))


def encoders_at_rest(encoder_of: Mapping[str, int], batches: Sequence[Mapping[str, Any]]) -> list[int]:
    """The encoders that no row of a step needs, in any process.

    In one process their weights have no gradient, and the optimizer leaves them alone; beside others they
    have one of zero, and weight decay and momentum would move them.

    Args:
        encoder_of: The encoder's number by input.
        batches: Of one step of this process, with their ``inputs``.
    """
    needed = torch.zeros(max(encoder_of.values()) + 1)
    for batch in batches:
        for name, values in batch["inputs"].items():
            needed[encoder_of[name]] += len(values.get("row", values.get("present", ())))
    dist.all_reduce(needed, group=waiting_group())
    return (needed == 0).nonzero().flatten().tolist()


class Rest(TrainerCallback):
    """Takes the gradients of encoders at rest away before the optimizer's step.

    Attributes:
        encoders: See :func:`encoders_at_rest`.
    """

    def __init__(self) -> None:
        self.encoders: list[int] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called when gradients have been gathered and clipped."""
        for place in self.encoders:
            for parameter in kwargs["model"].model.encoder_parameters(place):
                parameter.grad = None
