"""The losses of a model's objectives over one batch, by name, to be weighted with those of the targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from polymodal.models.objectives.base import Objective
from polymodal.models.objectives.batch_view import ObjectiveModel, View
from polymodal.models.weighting import Term

if TYPE_CHECKING:
    from polymodal.models.base import Inputs
    from polymodal.models.outputs import EmbeddedInput, FusedState, PolymodalOutput


def is_learning(model: nn.Module, learned: Mapping[str, Any]) -> bool:
    """Whether the objectives are computed: always in training, in evaluation if ``contents`` are passed."""
    return model.training or learned.get("contents") is not None


def seen(
    index: Tensor,
    inputs: Inputs,
    embedded: dict[str, EmbeddedInput] | None = None,
    state: FusedState | None = None,
    *,
    contents: Mapping[str, Tensor] | None = None,
    draws: Tensor | None = None,
    piece: int | None = None,
    share: Any = None,
) -> View:
    """The view of a batch for the objectives; for the arguments see :class:`View` and :func:`learn`.

    Without ``draws`` the random numbers come from PyTorch's generator in training and from the row's number
    in evaluation. Without ``contents`` no two rows are known to have the same content.
    """
    if draws is None:
        draws = torch.randint_like(index, 2**62) if torch.is_grad_enabled() else index
    return View(index, inputs, contents or {}, draws, piece, embedded, state)


def learn(
    model: ObjectiveModel,
    objectives: Mapping[str, Objective],
    view: View,
    output: PolymodalOutput,
    share: float = 1.0,
) -> dict[str, Term]:
    """The objectives' losses of a batch; they and their parts are written to ``output``.

    Args:
        model: Encodes, embeds and fuses.
        objectives: By name.
        view: The batch.
        output: The losses are added to ``losses``, and in evaluation to ``parts``.
        share: Share of the batch in an optimizer step of several batches or processes.
    """
    terms: dict[str, Term] = {}
    losses: dict[str, Tensor] = {}
    for name, objective in objectives.items():
        loss, parts = objective.loss(model, objective.prepare(view))
        # In evaluation NaN means that the batch has nothing to compare; it is not counted.
        undefined = not model.training and loss.isnan()
        terms[name] = Term(
            loss.nan_to_num() if undefined else loss, objective.weight, 0.0 if undefined else share
        )
        losses |= {name: loss} | {f"{name}.{part}": value for part, value in parts.items()}
    output.losses = (output.losses or {}) | losses
    if not torch.is_grad_enabled():
        output.parts = {name: loss.detach().expand(len(view.index)) for name, loss in losses.items()}
    return terms
