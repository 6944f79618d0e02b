"""Connectors: an encoder's tokens in, vectors that stand among a language model's own embeddings out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from polymodal.errors import ConfigError
from polymodal.models.fusion.base import require_positive
from polymodal.models.fusion.cross import CrossAttentionLayer
from polymodal.models.outputs import TokenSequence
from polymodal.utils.records import Settings
from polymodal.utils.registry import Registry, accepted

DEVIATION = 0.02
"""Of what is learned from nothing: that of language models' own embeddings."""


class Connector(nn.Module):
    """Base of all connectors; it also holds what stands where a row lacks the input.

    Args:
        width: Of the encoder's tokens.
        language_width: Of the language model's embeddings.
    """

    def __init__(self, *, width: int, language_width: int) -> None:
        super().__init__()
        self.width, self.language_width = width, language_width
        self.missing = nn.Parameter(torch.randn(language_width) * DEVIATION)

    def forward(self, sequence: TokenSequence) -> tuple[Tensor, Tensor]:
        """Vectors ``(items, k, language_width)`` and their mask ``(items, k)``, content first."""
        raise TypeError(f"{type(self).__name__} has no forward of its own")

    def count(self, tokens: Tensor) -> Tensor:
        """How many vectors an item gives of whom the encoder gives ``tokens`` ``(items,)``."""
        return tokens

    def settings(self) -> Settings:
        """The keyword arguments, beside the widths, that build it again."""
        return {}


CONNECTORS: Registry[type[Connector]] = Registry("connector", group="polymodal.connectors", base=Connector)


@CONNECTORS.register("mlp")
class MlpConnector(Connector):
    """A vector a token: two linear layers with GELU between them (LLaVA-1.5; Liu et al. 2024)."""

    def __init__(self, *, width: int, language_width: int) -> None:
        super().__init__(width=width, language_width=language_width)
        self.linear_1 = nn.Linear(width, language_width)
        self.linear_2 = nn.Linear(language_width, language_width)

    def forward(self, sequence: TokenSequence) -> tuple[Tensor, Tensor]:
        """See :class:`Connector`."""
        hidden = nn.functional.gelu(self.linear_1(sequence.tokens))
        return self.linear_2(hidden), sequence.mask


@CONNECTORS.register("resampler")
class ResamplerConnector(Connector):
    """A fixed number of learned queries read an item's tokens (perceiver resampler; Alayrac et al. 2022).

    As in section 3.1.1 there the queries attend to the tokens, layer after layer. Attention does not see in
    which order tokens stand, so that sinusoids of their places are added (Vaswani et al. 2017, section 3.5).

    Args:
        width: Of the encoder's tokens.
        language_width: Of the language model's embeddings.
        queries: Vectors an item gives, however many tokens it has.
        layers: Of cross-attention.
        heads: Of attention.
    """

    def __init__(
        self, *, width: int, language_width: int, queries: int = 16, layers: int = 2, heads: int = 4
    ) -> None:
        super().__init__(width=width, language_width=language_width)
        require_positive(queries=queries, layers=layers, heads=heads)
        self.depth, self.heads = layers, heads
        self.queries = nn.Parameter(torch.randn(queries, language_width) * DEVIATION)
        self.project = nn.Linear(width, language_width)
        self.norm = nn.LayerNorm(language_width)
        self.read = nn.ModuleList(CrossAttentionLayer(language_width, heads, 0.0) for _ in range(layers))
        self.out = nn.Linear(language_width, language_width)

    def forward(self, sequence: TokenSequence) -> tuple[Tensor, Tensor]:
        """See :class:`Connector`."""
        tokens = self.project(sequence.tokens)
        tokens = self.norm(tokens + sinusoids(tokens.shape[1], tokens.shape[2]).to(tokens))
        state = self.queries.expand(len(tokens), -1, -1).to(tokens.dtype)
        for read in self.read:
            state = read(state, tokens, sequence.mask)
        return self.out(state), torch.ones(state.shape[:2], dtype=torch.bool, device=state.device)

    def count(self, tokens: Tensor) -> Tensor:
        """See :class:`Connector`."""
        return torch.full_like(tokens, len(self.queries))

    def settings(self) -> Settings:
        """See :class:`Connector`."""
        return {"queries": len(self.queries), "layers": self.depth, "heads": self.heads}


def sinusoids(length: int, width: int) -> Tensor:
    """Sines and cosines of so many places, ``(length, width)`` (Vaswani et al. 2017, section 3.5)."""
    place = torch.arange(length).unsqueeze(1)
    rate = torch.exp(torch.arange(0, width, 2) * (-torch.log(torch.tensor(10000.0)) / width))
    angle = place * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width]


def build_connector(type: str, width: int, language_width: int, options: dict[str, Any]) -> Connector:
    """The connector of that name.

    Raises:
        ConfigError: If there is none, or it refuses an option.
    """
    kind = CONNECTORS[type]
    known = [name for name in accepted(kind) if name not in ("width", "language_width")]
    for name in options:
        if name not in known:
            has = f"Its options are {', '.join(known)}" if known else "It has none"
            raise ConfigError(f"the connector '{type}' has no option '{name}'. {has}")
    try:
        return kind(width=width, language_width=language_width, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the connector '{type}' refuses {options}: {error}") from None
