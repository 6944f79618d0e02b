"""Loss normalizers of an optimizer step, over its batches and processes, and encoders that it does not use.

A target's loss is divided by its labelled rows, or by the sum of their weights. The mean of means over
processes, or over the batches of one accumulated step, is not the overall mean where these have unequal
numbers of labelled rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers import TrainerCallback

from polymodal.models.heads import Head
from polymodal.models.language.language_modeling import PolymodalForConditionalGeneration
from polymodal.utils.distributed import waiting_group


def step_normalizers(
    heads: Mapping[str, Head], batches: Sequence[Mapping[str, Any]], device: torch.device, processes: int = 1
) -> dict[str, Tensor]:
    """By target, the sum of its head's normalizers over ``batches`` and all processes.

    Args:
        heads: By target.
        batches: The batches of one step of this process, with ``targets``, and ``weight`` of weighted rows.
        device: Device of the sums.
        processes: Number of processes of the step, each with batches of its own.
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


def idle_encoders(encoder_of: Mapping[str, int], batches: Sequence[Mapping[str, Any]]) -> list[int]:
    """The indices of encoders that no row of a step needs, in any process.

    With one process their weights have no gradient, and the optimizer skips them; with several they have a
    gradient of zero, and weight decay and momentum would change them.

    Args:
        encoder_of: The encoder's index by input.
        batches: The batches of one step of this process, with ``inputs``.
    """
    needed = torch.zeros(max(encoder_of.values()) + 1)
    for batch in batches:
        for name, values in batch["inputs"].items():
            needed[encoder_of[name]] += len(values.get("row", values.get("present", ())))
    dist.all_reduce(needed, group=waiting_group())
    return (needed == 0).nonzero().flatten().tolist()


class DropIdleGradients(TrainerCallback):
    """Drops the zero gradients of idle encoders before the optimizer step.

    Attributes:
        encoders: Indices of the idle encoders: see :func:`idle_encoders`.
    """

    def __init__(self) -> None:
        self.encoders: list[int] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Drop the gradients, after they were reduced and clipped."""
        for index in self.encoders:
            for parameter in kwargs["model"].model.encoder_parameters(index):
                parameter.grad = None


class IdleInputs(TrainerCallback):
    """Drops the zero gradients of blank items, before weight decay and momentum act on them.

    A single process has no gradients there, and its optimizer skips these weights; see
    :func:`polymodal.training.loop.loss_normalizers.idle_encoders`.
    """

    def __init__(self) -> None:
        self.names: list[str] = []

    def find_idle(self, names: Sequence[str], batches: Sequence[Mapping[str, Any]]) -> None:
        """Find the inputs that no row of a step has, in any process.

        Args:
            names: Names of all inputs.
            batches: The batches of one step of this process.
        """
        indices = {name: index for index, name in enumerate(names)}
        self.names = [names[index] for index in idle_encoders(indices, batches)] if indices else []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Drop the gradients, after they were reduced and clipped."""
        for parameter in idle_parameters(
            cast(PolymodalForConditionalGeneration, kwargs["model"]), self.names
        ):
            parameter.grad = None


def idle_parameters(model: PolymodalForConditionalGeneration, names: Sequence[str]) -> Iterator[nn.Parameter]:
    """The weights that are unused where no row has the inputs ``names``."""
    for name in names:
        connector = model.connector(name)
        yield from (weight for weight in connector.parameters() if weight is not connector.missing)
    for index, encoder in enumerate(model.encoders):
        if all(name in names for name, number in model.encoder_of.items() if number == index):
            yield from encoder.parameters()
