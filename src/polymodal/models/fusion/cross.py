"""Fusions by cross-attention: from each input to the others, or from a few latents to all tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from polymodal.models.fusion.base import (
    FUSIONS,
    Fusion,
    join,
    masked_mean,
    require_heads,
    require_positive,
    transformer_layer,
)
from polymodal.models.outputs import EmbeddedInput, FusedState


class CrossAttentionLayer(nn.Module):
    """``x + attention(norm(x) → norm(source))``, then a feed-forward part as in :func:`transformer_layer`.

    Raises:
        ValueError: If the heads do not divide the width.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        require_heads(width, heads)
        self.norm, self.source_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.feedforward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        """``x`` ``(batch, n, width)`` reads ``source`` ``(batch, length, width)`` where ``mask`` is true."""
        source = self.source_norm(source)
        read, _ = self.attention(self.norm(x), source, source, key_padding_mask=~mask, need_weights=False)
        x = x + self.dropout(read)
        return x + self.feedforward(x)


class CrossModalStream(nn.Module):
    """One input's tokens: they read each source through layers of its own, then one another.

    Args:
        width: The shared width.
        sources: How many there are; none where the model has one input only.
        layers: Cross-attention layers a source.
        heads: Attention heads.
        dropout: Inside the layers.
    """

    def __init__(self, *, width: int, sources: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.cross = nn.ModuleList(
            nn.ModuleList(CrossAttentionLayer(width, heads, dropout) for _ in range(layers))
            for _ in range(sources)
        )
        self.combine = nn.Linear(sources * width, width) if sources > 1 else nn.Identity()
        self.own = transformer_layer(width, heads, dropout)

    def forward(self, tokens: Tensor, mask: Tensor, sources: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """``tokens`` ``(batch, length, width)`` and what they read; each source is its tokens and mask."""
        streams = []
        for layers, (source, source_mask) in zip(self.cross, sources, strict=True):
            stream = tokens
            for layer in layers:  # type: ignore[attr-defined]
                stream = layer(stream, source, source_mask)
            streams.append(stream)
        joined = self.combine(torch.cat(streams, dim=-1)) if streams else tokens
        return self.own(joined, src_key_padding_mask=~mask)


@FUSIONS.register("cross_attention")
class CrossAttentionFusion(Fusion):
    """Each input's tokens read every other input's, then one another (MulT; Tsai et al. 2019, section 3).

    In the paper each ordered pair of inputs has a cross-modal Transformer of its own, of which there are
    n (n - 1). That holds up to ``pairwise`` inputs; above, each input reads all others through one
    Transformer, their tokens side by side (the segment tells them apart), so that the cost grows with n.
    What a target read of its sources is projected to the shared width before it attends to itself; the
    answer is a projection of the streams' mean vectors (the paper: of their last tokens).

    Args:
        layers: Cross-attention layers a pair, or an input.
        heads: Attention heads.
        pairwise: Most inputs for which each pair has its own layers.
        dropout: Inside the layers.
    """

    gives_tokens = True

    def __init__(
        self,
        inputs: Sequence[str],
        *,
        width: int,
        layers: int = 2,
        heads: int = 4,
        pairwise: int = 3,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(inputs, width=width)
        require_positive(layers=layers, pairwise=pairwise)
        others = {name: [other for other in self.inputs if other != name] for name in self.inputs}
        apart = len(self.inputs) <= max(2, pairwise)
        self.sources = {
            name: [[other] for other in read] if apart else [read] for name, read in others.items()
        }
        self.streams = nn.ModuleList(
            CrossModalStream(width=width, sources=len(groups), layers=layers, heads=heads, dropout=dropout)
            for groups in self.sources.values()
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(len(self.inputs) * width, width)

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> FusedState:
        """See :meth:`Fusion.forward`."""
        streams = []
        for name, stream in zip(self.inputs, self.streams, strict=True):
            sources = [join({other: embedded[other] for other in group})[:2] for group in self.sources[name]]
            streams.append(self.norm(stream(embedded[name].tokens, embedded[name].mask, sources)))
        means = [
            masked_mean(tokens, embedded[name].mask)
            for name, tokens in zip(self.inputs, streams, strict=True)
        ]
        _, mask, spans = join(embedded)
        return FusedState(self.out(torch.cat(means, dim=-1)), torch.cat(streams, dim=1), mask, spans)


@FUSIONS.register("perceiver")
class PerceiverFusion(Fusion):
    """A few learned latents read all tokens, then one another, in turns (Perceiver; Jaegle et al. 2021).

    Section 3.1 there. The cost grows with the number of tokens, not with its square. The answer is the
    latents' mean.

    Args:
        latents: How many there are.
        layers: Turns of one cross-attention and one self-attention layer, with weights of their own.
        heads: Attention heads.
        dropout: Inside the layers.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        *,
        width: int,
        latents: int = 16,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(inputs, width=width)
        require_positive(latents=latents, layers=layers)
        self.latents = nn.Parameter(torch.randn(1, latents, width) * 0.02)
        self.read = nn.ModuleList(CrossAttentionLayer(width, heads, dropout) for _ in range(layers))
        self.own = nn.ModuleList(transformer_layer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> FusedState:
        """See :meth:`Fusion.forward`; gives no tokens: the latents are no input's."""
        tokens, mask, _ = join(embedded)
        state = self.latents.expand(len(tokens), -1, -1).to(tokens.dtype)
        for read, own in zip(self.read, self.own, strict=True):
            state = own(read(state, tokens, mask))
        return FusedState(self.norm(state.mean(dim=1)))
