"""The objectives of a model over one batch: their losses, named, to be weighed beside those of targets."""

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
    """Whether a batch is for the objectives: in training always, else if their ``contents`` are given."""
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
    """A batch as objectives see it; for the arguments see :class:`View` and :func:`learn`.

    Without ``draws`` chance is PyTorch's in training and hangs on the row's number in evaluation, and without
    ``contents`` no two rows are known to hold the same.
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
    """The objectives' losses of a batch; they and their parts are noted in ``output``.

    Args:
        model: Encodes, embeds and fuses.
        objectives: By name.
        view: The batch.
        output: ``losses`` takes them in, in evaluation ``parts`` too.
        share: Of the batch in a step that several batches or processes make.
    """
    terms: dict[str, Term] = {}
    told: dict[str, Tensor] = {}
    for name, objective in objectives.items():
        loss, parts = objective.loss(model, objective.prepare(view))
        # In evaluation NaN is "nothing to tell apart in this batch", which counts nothing.
        silent = not model.training and loss.isnan()
        terms[name] = Term(loss.nan_to_num() if silent else loss, objective.weight, 0.0 if silent else share)
        told |= {name: loss} | {f"{name}.{part}": value for part, value in parts.items()}
    output.losses = (output.losses or {}) | told
    if not torch.is_grad_enabled():
        output.parts = {name: loss.detach().expand(len(view.index)) for name, loss in told.items()}
    return terms
