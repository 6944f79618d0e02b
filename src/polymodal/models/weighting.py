"""Weighted sums of the losses of targets and objectives: with fixed, or with learned weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from polymodal.errors import ConfigError
from polymodal.utils.registry import Registry

LEARNING_RATE = 10.0
"""Factor on the learning rate for learned loss weights: Adam changes a parameter by about the learning rate
per step, whatever its gradient, so that in a thousand steps they would hardly change."""


@dataclass
class Term:
    """One part of a joint loss.

    Attributes:
        loss: A scalar.
        weight: Its fixed factor.
        share: The batch's share of it, where one step has several batches; 0 if the batch does not define it.
    """

    loss: Tensor
    weight: float = 1.0
    share: Tensor | float = 1.0


class Weighting(nn.Module):
    """Base of all weightings: from the parts of a joint loss to one scalar.

    Args:
        factors: By part of the loss, in order, the ``variance_factor`` of its head or objective.
    """

    def __init__(self, factors: Mapping[str, float]) -> None:
        super().__init__()
        self.factors = dict(factors)

    def forward(self, terms: Mapping[str, Term]) -> Tensor:
        """The joint loss, a scalar, of one or more parts."""
        raise TypeError(f"{type(self).__name__} has no forward of its own")

    def learned(self) -> dict[str, float]:
        """By part the current factor of its loss, where it is learned."""
        return {}


WEIGHTINGS: Registry[type[Weighting]] = Registry("weighting")


@WEIGHTINGS.register("fixed")
class FixedWeighting(Weighting):
    """The sum of the losses, each times its own fixed weight."""

    def forward(self, terms: Mapping[str, Term]) -> Tensor:
        """The weighted sum of the losses, a scalar."""
        return torch.stack([term.weight * term.loss * term.share for term in terms.values()]).sum()


@WEIGHTINGS.register("uncertainty")
class UncertaintyWeighting(Weighting):
    """Weights by homoscedastic uncertainty (Kendall, Gal & Cipolla 2018, equations 7 and 10).

    With ``s = log σ²`` learned per part, a squared error contributes ``exp(-s) / 2 · loss + s / 2`` and a
    cross-entropy ``exp(-s) · loss + s / 2``; the second term keeps the weights from vanishing. Learning the
    logarithm keeps the variance positive, as in the paper. At its optimum ``s`` is the logarithm of the loss,
    so that each loss counts by its relative change.

    A part that the batch does not define contributes nothing: its ``s`` has no gradient.
    """

    def __init__(self, factors: Mapping[str, float]) -> None:
        super().__init__(factors)
        self.log_variance = nn.Parameter(torch.empty(len(factors)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set all variances to 1."""
        nn.init.zeros_(self.log_variance)

    def forward(self, terms: Mapping[str, Term]) -> Tensor:
        """The weighted sum of the losses, a scalar.

        Raises:
            ConfigError: If a part has a fixed weight as well.
        """
        log_variance = dict(zip(self.factors, self.log_variance.unbind(), strict=True))
        parts = []
        for name, term in terms.items():
            check_unweighted({name: term.weight})
            s = log_variance[name]
            parts.append((self.factors[name] * (-s).exp() * term.loss + s / 2) * term.share)
        return torch.stack(parts).sum()

    def learned(self) -> dict[str, float]:
        """By part the current factor of its loss."""
        scales = self.log_variance.detach().neg().exp().tolist()
        return {
            name: factor * scale for (name, factor), scale in zip(self.factors.items(), scales, strict=True)
        }


def check_unweighted(weights: Mapping[str, float]) -> None:
    """Check that no part has a fixed weight where the weights are learned.

    Raises:
        ConfigError: If a weight is not 1.
    """
    for name, weight in weights.items():
        if weight != 1:
            raise ConfigError(
                f"'{name}' has the fixed weight {weight:g}, and weighting 'uncertainty' learns it. "
                "Leave one of them out"
            )
