"""How the losses of targets and objectives become one: by fixed numbers, or by weights that are learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from polymodal.errors import ConfigError
from polymodal.utils.registry import Registry

LEARNING_RATE = 10.0
"""How many times the learning rate of everything new the learned weights have: Adam moves a number by about
the learning rate a step whatever its gradient, and a fit of a thousand steps would leave them where they
began."""


@dataclass
class Term:
    """One part of a joint loss.

    Attributes:
        loss: A scalar.
        weight: Its fixed factor.
        share: The batch's part in it, where several batches make one step; 0 if the batch says nothing of it.
    """

    loss: Tensor
    weight: float = 1.0
    share: Tensor | float = 1.0


class Weighting(nn.Module):
    """Base of all weightings.

    Args:
        factors: For each part of the loss by name, in order, the ``variance_factor`` of its head.
    """

    def __init__(self, factors: Mapping[str, float]) -> None:
        super().__init__()
        self.factors = dict(factors)

    def forward(self, terms: Mapping[str, Term]) -> Tensor:
        """The joint loss, a scalar, of one part or more."""
        raise TypeError(f"{type(self).__name__} does not say how to weigh")

    def learned(self) -> dict[str, float]:
        """By name what each part's loss is multiplied by now, where that is learned."""
        return {}


WEIGHTINGS: Registry[type[Weighting]] = Registry("weighting")


@WEIGHTINGS.register("fixed")
class FixedWeighting(Weighting):
    """The sum of the losses, each times its own fixed weight."""

    def forward(self, terms: Mapping[str, Term]) -> Tensor:
        """See :class:`Weighting`."""
        return torch.stack([term.weight * term.loss * term.share for term in terms.values()]).sum()


@WEIGHTINGS.register("uncertainty")
class UncertaintyWeighting(Weighting):
    """Weights by homoscedastic uncertainty (Kendall, Gal & Cipolla 2018, equations 7 and 10).

    With ``s = log σ²`` learned for each part, a squared error counts ``exp(-s) / 2 · loss + s / 2`` and a
    cross-entropy ``exp(-s) · loss + s / 2``; the second term keeps a weight from falling to zero. Learning
    the logarithm keeps the variance positive, as they do. Left to itself ``s`` follows the logarithm of the
    loss, so that a loss counts by its relative change.

    A part of which the batch says nothing counts nothing: its ``s`` stays.
    """

    def __init__(self, factors: Mapping[str, float]) -> None:
        super().__init__(factors)
        self.log_variance = nn.Parameter(torch.empty(len(factors)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """All variances 1."""
        nn.init.zeros_(self.log_variance)

    def forward(self, terms: Mapping[str, Term]) -> Tensor:
        """See :class:`Weighting`.

        Raises:
            ConfigError: If a part has a fixed weight beside the learned one.
        """
        log_variance = dict(zip(self.factors, self.log_variance.unbind(), strict=True))
        parts = []
        for name, term in terms.items():
            check_unweighted({name: term.weight})
            s = log_variance[name]
            parts.append((self.factors[name] * (-s).exp() * term.loss + s / 2) * term.share)
        return torch.stack(parts).sum()

    def learned(self) -> dict[str, float]:
        """See :class:`Weighting`."""
        scales = self.log_variance.detach().neg().exp().tolist()
        return {
            name: factor * scale for (name, factor), scale in zip(self.factors.items(), scales, strict=True)
        }


def check_unweighted(weights: Mapping[str, float]) -> None:
    """Refuse fixed weights beside learned ones.

    Raises:
        ConfigError: If one is not 1.
    """
    for name, weight in weights.items():
        if weight != 1:
            raise ConfigError(
                f"'{name}' has the fixed weight {weight:g}, and weighting 'uncertainty' learns it. "
                "Leave one of them out"
            )
