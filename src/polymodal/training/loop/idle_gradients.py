"""What rests in a step of several processes: encoders and connectors whose inputs no row has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from torch import nn
from transformers import TrainerCallback

from polymodal.models.language.language_modeling import PolymodalForConditionalGeneration
from polymodal.training.loop.loss_normalizers import encoders_at_rest


class InputsAtRest(TrainerCallback):
    """Takes away the gradients of zero that a blank item gave, before weight decay and momentum act on them.

    One process alone has no gradients there, and its optimizer leaves these weights as they are; see
    :func:`polymodal.training.loop.loss_normalizers.encoders_at_rest`.
    """

    def __init__(self) -> None:
        self.names: list[str] = []

    def look_at(self, names: Sequence[str], batches: Sequence[Mapping[str, Any]]) -> None:
        """See which of the inputs no row of a step has, in any process.

        Args:
            names: Of all inputs.
            batches: Of one step of this process.
        """
        places = {name: place for place, name in enumerate(names)}
        self.names = [names[place] for place in encoders_at_rest(places, batches)] if places else []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called when gradients have been gathered and clipped."""
        for parameter in resting(cast(PolymodalForConditionalGeneration, kwargs["model"]), self.names):
            parameter.grad = None


def resting(model: PolymodalForConditionalGeneration, names: Sequence[str]) -> Iterator[nn.Parameter]:
    """The weights that nothing goes through where rows lack the inputs ``names``."""
    for name in names:
        connector = model.connector(name)
        yield from (weight for weight in connector.parameters() if weight is not connector.missing)
    for place, encoder in enumerate(model.encoders):
        if all(name in names for name, number in model.encoder_of.items() if number == place):
            yield from encoder.parameters()
