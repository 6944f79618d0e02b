"""Fusions by self-attention: a single stream, or one stream per input with bottleneck tokens (MBT)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from polymodal.models.fusion.base import FUSIONS, Fusion, join, require_positive, transformer_layer
from polymodal.models.outputs import EmbeddedInput, FusedState
from polymodal.utils.module_lists import ModuleListOf


@FUSIONS.register("transformer")
class TransformerFusion(Fusion):
    """Single-stream Transformer over all tokens and a class token (VisualBERT; Li et al. 2019).

    Args:
        layers: Transformer layers.
        heads: Attention heads.
        dropout: Inside the layers.
    """

    gives_tokens = True
    tensor_rules = {"*": ()}

    def __init__(
        self, inputs: Sequence[str], *, width: int, layers: int = 2, heads: int = 4, dropout: float = 0.1
    ) -> None:
        super().__init__(inputs, width=width)
        require_positive(layers=layers)
        self.query = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.layers = nn.ModuleList(transformer_layer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> FusedState:
        """Fuse the embedded inputs of a batch: see :meth:`Fusion.forward`."""
        tokens, mask, spans = join(embedded)
        tokens, mask = prepend(self.query, tokens, mask)
        for layer in self.layers:
            tokens = layer(tokens, src_key_padding_mask=~mask)
        tokens = self.norm(tokens)
        return FusedState(tokens[:, 0], tokens[:, 1:], mask[:, 1:], spans)


@FUSIONS.register("bottleneck")
class BottleneckFusion(Fusion):
    """One stream per input that exchange through bottleneck tokens (MBT; Nagrani et al. 2021, section 3.2).

    In each layer an input's tokens and the bottleneck tokens attend to each other; the new bottleneck is the
    mean over the inputs. The pooled state is the mean of the streams' class tokens and of the bottleneck.

    Args:
        layers: Transformer layers per input.
        bottlenecks: Number of bottleneck tokens.
        heads: Attention heads.
        dropout: Inside the layers.
    """

    gives_tokens = True
    tensor_rules = {"query": (0,), "bottleneck": (), "layers.#.<input>.*": (), "norm.*": ()}

    def __init__(
        self,
        inputs: Sequence[str],
        *,
        width: int,
        layers: int = 2,
        bottlenecks: int = 4,
        heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(inputs, width=width)
        require_positive(layers=layers, bottlenecks=bottlenecks)
        self.query = nn.Parameter(torch.randn(len(self.inputs), 1, width) * 0.02)
        self.bottleneck = nn.Parameter(torch.randn(1, bottlenecks, width) * 0.02)
        self.layers = ModuleListOf(
            ModuleListOf(transformer_layer(width, heads, dropout) for _ in self.inputs) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, embedded: Mapping[str, EmbeddedInput]) -> FusedState:
        """Fuse the embedded inputs of a batch: see :meth:`Fusion.forward`."""
        streams, masks = [], []
        for index, name in enumerate(self.inputs):
            tokens, mask = prepend(self.query[index : index + 1], embedded[name].tokens, embedded[name].mask)
            streams.append(tokens)
            masks.append(mask)
        shared = self.bottleneck.expand(streams[0].shape[0], -1, -1)
        for layer in self.layers:
            streams, shared = self._exchange(layer, streams, masks, shared)
        # The last bottleneck is pooled too: otherwise the weights that wrote it would have no gradient.
        pooled = torch.stack([s[:, 0] for s in streams], dim=1).mean(dim=1) + shared.mean(dim=1)
        _, mask, spans = join(embedded)
        tokens = torch.cat([s[:, 1:] for s in streams], dim=1)
        return FusedState(self.norm(pooled), self.norm(tokens), mask, spans)

    @staticmethod
    def _exchange(
        layers: ModuleListOf[nn.TransformerEncoderLayer],
        streams: list[Tensor],
        masks: list[Tensor],
        shared: Tensor,
    ) -> tuple[list[Tensor], Tensor]:
        width, after, votes = shared.shape[1], [], []
        for layer, stream, mask in zip(layers, streams, masks, strict=True):
            tokens, mask = prepend(shared, stream, mask)
            tokens = layer(tokens, src_key_padding_mask=~mask)
            votes.append(tokens[:, :width])
            after.append(tokens[:, width:])
        return after, torch.stack(votes).mean(dim=0)


def prepend(extra: Tensor, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Prepend ``extra`` ``(1 or batch, n, width)`` to ``tokens`` ``(batch, length, width)``, unmasked."""
    extra = extra.expand(tokens.shape[0], -1, -1).to(tokens.dtype)
    return torch.cat([extra, tokens], dim=1), torch.cat([mask.new_ones(extra.shape[:2]), mask], dim=1)
