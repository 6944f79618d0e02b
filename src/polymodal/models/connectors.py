"""Connectors: from an encoder's tokens to embeddings of a language model."""

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
"""Standard deviation of new embeddings: that of language models' own."""


class Connector(nn.Module):
    """Base of all connectors; it also holds the embedding of a missing input.

    Args:
        width: Width of the encoder's tokens.
        language_width: Width of the language model's embeddings.
    """

    def __init__(self, *, width: int, language_width: int) -> None:
        super().__init__()
        self.width, self.language_width = width, language_width
        self.missing = nn.Parameter(torch.randn(language_width) * DEVIATION)

    def forward(self, sequence: TokenSequence) -> tuple[Tensor, Tensor]:
        """Embeddings ``(items, k, language_width)`` and their mask ``(items, k)``, content first."""
        raise TypeError(f"{type(self).__name__} has no forward of its own")

    def count(self, tokens: Tensor) -> Tensor:
        """Number of embeddings ``(items,)`` of items with ``tokens`` ``(items,)`` encoder tokens."""
        return tokens

    def settings(self) -> Settings:
        """The keyword arguments, besides the widths, that rebuild it."""
        return {}


CONNECTORS: Registry[type[Connector]] = Registry("connector", group="polymodal.connectors", base=Connector)


@CONNECTORS.register("mlp")
class MlpConnector(Connector):
    """One embedding per token: two linear layers with GELU between them (LLaVA-1.5; Liu et al. 2024)."""

    def __init__(self, *, width: int, language_width: int) -> None:
        super().__init__(width=width, language_width=language_width)
        self.linear_1 = nn.Linear(width, language_width)
        self.linear_2 = nn.Linear(language_width, language_width)

    def forward(self, sequence: TokenSequence) -> tuple[Tensor, Tensor]:
        """Embeddings ``(items, length, language_width)`` and their mask ``(items, length)``."""
        hidden = nn.functional.gelu(self.linear_1(sequence.tokens))
        return self.linear_2(hidden), sequence.mask


@CONNECTORS.register("resampler")
class ResamplerConnector(Connector):
    """Perceiver resampler (Flamingo; Alayrac et al. 2022, section 3.1.1): a fixed number of learned queries.

    The queries attend to the item's tokens in each layer. Sinusoidal position embeddings are added to the
    tokens (Vaswani et al. 2017, section 3.5), for attention itself ignores their order.

    Args:
        width: Width of the encoder's tokens.
        language_width: Width of the language model's embeddings.
        queries: Number of embeddings per item, whatever its number of tokens.
        layers: Number of cross-attention layers.
        heads: Number of attention heads.
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
        """Embeddings ``(items, queries, language_width)`` and their mask, all true."""
        tokens = self.project(sequence.tokens)
        tokens = self.norm(tokens + sinusoids(tokens.shape[1], tokens.shape[2]).to(tokens))
        state = self.queries.expand(tokens.shape[0], -1, -1).to(tokens.dtype)
        for read in self.read:
            state = read(state, tokens, sequence.mask)
        return self.out(state), torch.ones(state.shape[:2], dtype=torch.bool, device=state.device)

    def count(self, tokens: Tensor) -> Tensor:
        """Number of embeddings ``(items,)``: that of the queries."""
        return torch.full_like(tokens, len(self.queries))

    def settings(self) -> Settings:
        """The keyword arguments, besides the widths, that rebuild it."""
        return {"queries": len(self.queries), "layers": self.depth, "heads": self.heads}


def sinusoids(length: int, width: int) -> Tensor:
    """Sinusoidal position embeddings ``(length, width)`` (Vaswani et al. 2017, section 3.5)."""
    index = torch.arange(length).unsqueeze(1)
    rate = torch.exp(torch.arange(0, width, 2) * (-torch.log(torch.tensor(10000.0)) / width))
    angle = index * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width]


def build_connector(type: str, width: int, language_width: int, options: dict[str, Any]) -> Connector:
    """Build a connector by name.

    Raises:
        ConfigError: If there is none of that name, or it does not have or refuses an option.
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
