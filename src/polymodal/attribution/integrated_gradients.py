"""Integrated gradients over all inputs of a row at once.

Sundararajan, Taly & Yan, "Axiomatic Attribution for Deep Networks" (2017), equation 1: the attribution
of a feature is its distance from the baseline times the mean gradient on the straight line there. All
attributions add up to ``f(x) − f(baseline)`` (completeness, proposition 1), by which the error of the
quadrature with finitely many points is measured.
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

from polymodal.attribution.attribution_sites import Inlet, encode_at
from polymodal.attribution.explained_answers import value_of
from polymodal.models.encoders import Encoder
from polymodal.models.heads import Head
from polymodal.models.modeling import PolymodalForPrediction
from polymodal.utils.cancelling import stop_if_cancelled

STEPS, MOST_STEPS = 16, 1024
"""Points of the Gauss–Legendre quadrature on a segment of the path, and the most on all segments."""
NEARER = 16
"""A segment that begins at the baseline is split at one part in so many of its length."""
AIM, LIMIT = 0.01, 0.05
"""Relative error of completeness that is aimed at, and above which a row is flagged."""
AT_ONCE = 16
"""Points per forward pass."""

Values = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True)
class Attribution:
    """The attribution of one prediction of one row.

    Attributes:
        parts: ``(items, …)`` by input and tensor, of the inlets' shapes.
        value: The attributed value at the row.
        base: The same at the baseline.
        steps: Points of the quadrature.
    """

    parts: dict[tuple[str, str], np.ndarray]
    value: float
    base: float
    steps: int

    @property
    def total(self) -> float:
        """The sum of all parts."""
        return float(sum(part.sum() for part in self.parts.values()))

    @property
    def error(self) -> float:
        """The completeness error: the absolute difference to ``value − base``."""
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
    """The paths from the baseline to one row, as a function that captum can integrate.

    Args:
        model: In evaluation mode.
        inputs: The row's tensors by input, on the model's device.
        inlets: Attribution sites of the row; all other content is constant.
    """

    def __init__(self, model: PolymodalForPrediction, inputs: Values, inlets: Sequence[Inlet]) -> None:
        self.model, self.inputs, self.inlets = model, inputs, list(inlets)

    def logits(self, head: Head, *points: Tensor) -> Tensor:
        """Logits ``(steps, outputs)`` at ``points``, one ``(steps, items, …)`` per inlet."""
        stop_if_cancelled()
        base, steps = self.model.model, len(points[0]) if points else 1
        sequences = {}
        for name, values in self.inputs.items():
            own = [index for index, inlet in enumerate(self.inlets) if inlet.name == name]
            encoder = cast(Encoder, base.encoders[base.encoder_of[name]])
            sequences[name] = encode_at(
                encoder,
                values,
                [self.inlets[index] for index in own],
                [points[index] for index in own],
                steps,
            )
        return head(base.fusion(base.embedding(sequences, steps)))

    def value(self, head: Head, output: int, *points: Tensor) -> Tensor:
        """The attributed value at ``points``, ``(steps,)``."""
        return value_of(head, self.logits(head, *points), output)


@dataclass(frozen=True)
class Stretch:
    """A segment of the path from the baseline (0) to the row (1), integrated separately.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        parts: The attribution of each inlet on it.
        gain: The increase of the attributed value on it.
    """

    start: float
    end: float
    parts: tuple[Tensor, ...]
    gain: float

    @property
    def error(self) -> float:
        """The completeness error of the segment."""
        return abs(sum(float(part.sum()) for part in self.parts) - self.gain)

    def halves(self) -> list[tuple[float, float]]:
        """Start and end of both halves; at the baseline, where networks change most, the first is shorter."""
        middle = self.end / NEARER if self.start == 0 else (self.start + self.end) / 2
        return [(self.start, middle), (middle, self.end)]


def attribute(path: RowPath, head: Head, output: int) -> Attribution:
    """Integrated gradients of one output over all inlets together.

    Networks that normalize their inputs change little on most of the path, and much near the baseline. So
    the path is split adaptively: completeness holds on every segment, which gives the error of each one, and
    the segment of the largest error is halved until the sum of errors is below :data:`AIM` of the whole or
    :data:`MOST_STEPS` are used. The sum over the segments is the integral over the path.

    Args:
        path: Of the row.
        head: Of the target.
        output: Index of its output; see :func:`polymodal.attribution.explained_answers.value_of`.

    Returns:
        The attribution; a large error is flagged, see :attr:`Attribution.flagged`.
    """
    function = partial(path.value, head, output)
    there = tuple(inlet.value.float().unsqueeze(0) for inlet in path.inlets)
    gone = tuple(inlet.baseline.float().unsqueeze(0) for inlet in path.inlets)
    with torch.no_grad():
        value, base = float(function(*there)[0]), float(function(*gone)[0])
    if not there:
        return Attribution({}, value, base, 0)
    stretches, steps = [_integrate(function, gone, there, 0.0, 1.0)], STEPS
    while sum(s.error for s in stretches) > AIM * abs(value - base) and steps + 2 * STEPS <= MOST_STEPS:
        worst = max(stretches, key=lambda stretch: stretch.error)
        stretches.remove(worst)
        stretches += [_integrate(function, gone, there, *half) for half in worst.halves()]
        steps += 2 * STEPS
    parts = {
        (inlet.name, inlet.key): sum(s.parts[index] for s in stretches)[0].cpu().numpy()  # type: ignore[index]
        for index, inlet in enumerate(path.inlets)
    }
    return Attribution(parts, value, base, steps)


def _integrate(
    function: Any, gone: tuple[Tensor, ...], there: tuple[Tensor, ...], start: float, end: float
) -> Stretch:
    """Integrate one segment by Gauss–Legendre quadrature."""
    ends = [
        tuple(torch.lerp(g, t, share) for g, t in zip(gone, there, strict=True)) for share in (start, end)
    ]
    integrate: Any = IntegratedGradients(function)
    parts = integrate.attribute(
        ends[1], ends[0], n_steps=STEPS, method="gausslegendre", internal_batch_size=AT_ONCE
    )
    with torch.no_grad():
        first, last = (float(function(*point)[0]) for point in ends)
    return Stretch(start, end, tuple(part.detach().double() for part in parts), last - first)
