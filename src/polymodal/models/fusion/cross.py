"""Fusions by cross-attention: between inputs (MulT), or from latents to all tokens (Perceiver)."""

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
from polymodal.utils.module_lists import ModuleListOf


class CrossAttentionLayer(nn.Module):
    """``x + attention(norm(x) → norm(source))``, then a feed-forward layer as in :func:`transformer_layer`.

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
    """The stream of one input in MulT: cross-attention to each source, then self-attention.

    Args:
        width: The shared width.
        sources: Number of sources; 0 where the model has one input only.
        layers: Cross-attention layers per source.
        heads: Attention heads.
        dropout: Inside the layers.
    """

    def __init__(self, *, width: int, sources: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.cross = ModuleListOf(
            ModuleListOf(CrossAttentionLayer(width, heads, dropout) for _ in range(layers))
            for _ in range(sources)
        )
        self.combine = nn.Linear(sources * width, width) if sources > 1 else nn.Identity()
        self.own = transformer_layer(width, heads, dropout)

    def forward(self, tokens: Tensor, mask: Tensor, sources: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Let ``tokens`` ``(batch, length, width)`` attend to the sources, each its tokens and their mask."""
        streams = []
        for layers, (source, source_mask) in zip(self.cross, sources, strict=True):
            stream = tokens
            for layer in layers:
                stream = layer(stream, source, source_mask)
            streams.append(stream)
        joined = self.combine(torch.cat(streams, dim=-1)) if streams else tokens
        return self.own(joined, src_key_padding_mask=~mask)


@FUSIONS.register("cross_attention")
class CrossAttentionFusion(Fusion):
    """Multimodal Transformer: cross-attention between pairs of inputs (MulT; Tsai et al. 2019, section 3).

    In the paper each of the n (n - 1) ordered pairs of inputs has its own cross-modal Transformer. That holds
    up to ``pairwise`` inputs; above, each input attends to all others through one Transformer, their tokens
    concatenated (the segment embedding distinguishes them), so that the cost grows with n. The results of the
    cross-attention are projected to the shared width before self-attention; the pooled state is a projection
    of the streams' mean vectors (in the paper: of their last tokens).

    Args:
        layers: Cross-attention layers per pair, or per input.
        heads: Attention heads.
        pairwise: Largest number of inputs for which each pair has its own layers.
        dropout: Inside the layers.
    """

    gives_tokens = True
    tensor_rules = {
        "streams.<input>.cross.<source>.*": (),
        "streams.<input>.combine.weight": (1,),
        "streams.<input>.combine.bias": (),
        "streams.<input>.own.*": (),
        "norm.*": (),
        "out.weight": (1,),
        "out.bias": (),
    }

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
        """Fuse the embedded inputs of a batch: see :meth:`Fusion.forward`."""
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
    """Learned latents attend to all tokens (Perceiver; Jaegle et al. 2021, section 3.1).

    The cost is linear in the number of tokens. The pooled state is the mean of the latents.

    Args:
        latents: Number of latents.
        layers: Number of blocks of one cross-attention and one self-attention layer; weights are not shared.
        heads: Attention heads.
        dropout: Inside the layers.
    """

    tensor_rules = {"*": ()}

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
        """Fuse the embedded inputs; no tokens are returned, for the latents belong to no input."""
        tokens, mask, _ = join(embedded)
        state = self.latents.expand(tokens.shape[0], -1, -1).to(tokens.dtype)
        for read, own in zip(self.read, self.own, strict=True):
            state = own(read(state, tokens, mask))
        return FusedState(self.norm(state.mean(dim=1)))
