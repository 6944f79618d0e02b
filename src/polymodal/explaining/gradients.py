"""Integrated gradients over all inputs of a row at once.

Sundararajan, Taly & Yan, "Axiomatic Attribution for Deep Networks" (2017), equation 1: what a feature adds is
its distance from the baseline times the mean gradient on the straight way there. Over all features these add
up to ``f(x) − f(baseline)`` (their completeness, proposition 1), which is how far the sum over finitely many
places can be checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from polymodal.explaining.answers import value_of
from polymodal.explaining.inlets import Inlet, encode_at
from polymodal.models.encoders import Encoder
from polymodal.models.heads import Head
from polymodal.models.modeling import PolymodalForPrediction

STEPS, MOST_STEPS = 64, 512
"""Places of the Gauss–Legendre quadrature at first, and at most: they double while the error is large."""
AIM, LIMIT = 0.01, 0.05
"""Relative error of completeness that is aimed at, and above which a row is flagged."""
AT_ONCE = 16
"""Places that go through the model together."""

Values = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Attribution:
    """One answer to one row, taken apart.

    Attributes:
        parts: ``(items, …)`` by input and tensor, of the inlets' shapes.
        value: What was taken apart, at the row.
        base: The same at the baseline.
        steps: Places of the quadrature.
    """

    parts: dict[tuple[str, str], np.ndarray]
    value: float
    base: float
    steps: int

    @property
    def total(self) -> float:
        """What all parts add up to."""
        return float(sum(part.sum() for part in self.parts.values()))

    @property
    def error(self) -> float:
        """How far that is from ``value − base``."""
        return abs(self.total - (self.value - self.base))

    @property
    def relative(self) -> float:
        """The same as a share of ``|value − base|``; infinite where that is zero and the error is not."""
        whole = abs(self.value - self.base)
        return self.error / whole if whole else float("inf") if self.error else 0.0

    @property
    def flagged(self) -> bool:
        """Whether the error is above :data:`LIMIT`."""
        return not self.relative <= LIMIT


class RowPath:
    """The ways from the baseline to one row, as a function that captum can integrate.

    Args:
        model: In evaluation mode.
        inputs: The row's tensors by input, on the model's device.
        inlets: Where the row is varied; all other content stays as it is.
    """

    def __init__(self, model: PolymodalForPrediction, inputs: Values, inlets: Sequence[Inlet]) -> None:
        self.model, self.inputs, self.inlets = model, inputs, list(inlets)

    def logits(self, head: Head, *points: Tensor) -> Tensor:
        """Logits ``(steps, outputs)`` at ``points``, one ``(steps, items, …)`` an inlet."""
        base, steps = self.model.model, len(points[0]) if points else 1
        sequences = {}
        for name, values in self.inputs.items():
            own = [place for place, inlet in enumerate(self.inlets) if inlet.name == name]
            encoder = cast(Encoder, base.encoders[base.encoder_of[name]])
            sequences[name] = encode_at(
                encoder,
                values,
                [self.inlets[place] for place in own],
                [points[place] for place in own],
                steps,
            )
        return head(base.fusion(base.embedding(sequences, steps)))

    def value(self, head: Head, output: int, *points: Tensor) -> Tensor:
        """The number that is taken apart, ``(steps,)``."""
        return value_of(head, self.logits(head, *points), output)


def attribute(path: RowPath, head: Head, output: int, *, steps: int = STEPS) -> Attribution:
    """Integrated gradients of one output over all inlets together.

    Args:
        path: Of the row.
        head: That answers.
        output: Which of its outputs; see :func:`polymodal.explaining.answers.value_of`.
        steps: Places of the quadrature at first. They double up to :data:`MOST_STEPS` while the relative error
            is above :data:`AIM`; the last one is kept.

    Returns:
        The attribution, whatever its error is: see :attr:`Attribution.flagged`.
    """
    function = partial(path.value, head, output)
    there = tuple(inlet.value.float().unsqueeze(0) for inlet in path.inlets)
    gone = tuple(inlet.baseline.float().unsqueeze(0) for inlet in path.inlets)
    with torch.no_grad():
        value, base = float(function(*there)[0]), float(function(*gone)[0])
    if not there:
        return Attribution({}, value, base, 0)
    integrate: Any = IntegratedGradients(function)
    while True:
        found = integrate.attribute(
            there, gone, n_steps=steps, method="gausslegendre", internal_batch_size=AT_ONCE
        )
        parts = {
            (inlet.name, inlet.key): part[0].detach().cpu().double().numpy()
            for inlet, part in zip(path.inlets, found, strict=True)
        }
        done = Attribution(parts, value, base, steps)
        if done.relative <= AIM or 2 * steps > MOST_STEPS:
            return done
        steps *= 2
