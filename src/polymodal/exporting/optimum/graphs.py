"""The parts of a generation model as graphs of tensors, and the tensors to record them with."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from polymodal.data.readers import Reader
from polymodal.errors import RunError
from polymodal.exporting.onnx.graph import Example
from polymodal.exporting.optimum.layout import EMBEDS, IDS, POSITIONS, Layout
from polymodal.models.connectors import Connector
from polymodal.models.encoders import Encoder
from polymodal.runtime.manifest import InputEntry, TensorEntry

ROWS, LENGTH, PAST = 2, 5, 3
"""Of what is recorded: above one, which ``torch.export`` takes for a constant."""


class EmbeddingGraph(nn.Module):
    """Embeddings of token ids; those of missing items are what the run learned for them.

    Args:
        table: The language model's embeddings.
        missing: By token id the embedding ``(width,)`` of a missing item.
    """

    def __init__(self, table: nn.Module, missing: Mapping[int, Tensor]) -> None:
        super().__init__()
        self.table, self.missing = table, dict(missing)

    def forward(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """``(batch, length, width)`` of ids ``(batch, length)``."""
        (ids,) = tensors
        embeds = self.table(ids)
        for token, vector in self.missing.items():
            embeds = torch.where((ids == token).unsqueeze(-1), vector.to(embeds), embeds)
        return [embeds]


class ItemGraph(nn.Module):
    """An encoder and its connector.

    Args:
        encoder: In evaluation mode.
        connector: Of the same input.
        entry: The tensors that are taken, in order.
    """

    def __init__(self, encoder: Encoder, connector: Connector, entry: InputEntry) -> None:
        super().__init__()
        self.encoder, self.connector, self.entry = encoder, connector, entry

    def forward(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Embeddings ``(items, tokens, width)``, and their mask ``(items, tokens)``, content first."""
        values = {each.name: tensor for each, tensor in zip(self.entry.tensors, tensors, strict=True)}
        row = torch.zeros(tensors[0].shape[0], dtype=torch.long)
        return list(self.connector(self.encoder(row=row, **values)))


class DecoderGraph(nn.Module):
    """A language model, called with what :attr:`Layout.takes` names, in that order.

    Args:
        model: In evaluation mode.
        layout: Of the export.
    """

    def __init__(self, model: PreTrainedModel, layout: Layout) -> None:
        super().__init__()
        self.model, self.layout = model, layout

    def forward(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Logits ``(batch, length, vocabulary)``, then keys and values of all tokens so far."""
        flat = self.layout.pairs("past_key_values")
        own, past = tensors[: -len(flat)], tensors[-len(flat) :]
        cache = DynamicCache(ddp_cache_data=zip(past[::2], past[1::2], strict=True))
        named = dict(zip(self.layout.takes, own, strict=False))
        output: Any = self.model(**named, past_key_values=cache, use_cache=True)
        return [output.logits, *flattened(cache)]


def flattened(cache: DynamicCache) -> list[Tensor]:
    """Keys and values ``(batch, heads, length, width)``, layer by layer."""
    layers = [layer for layer in cache.layers if isinstance(layer, DynamicLayer)]
    pairs = [(layer.keys, layer.values) for layer in layers]
    return [tensor for pair in pairs for tensor in pair if tensor is not None]


def takes_positions(model: PreTrainedModel) -> bool:
    """Whether a language model takes positions; others derive them from the mask."""
    return POSITIONS in inspect.signature(model.forward).parameters


@torch.no_grad()
def past_of(model: PreTrainedModel) -> list[Tensor]:
    """Keys and values of a few tokens.

    Raises:
        RunError: If the language model keeps something else of earlier tokens.
    """
    cache, ids = DynamicCache(), torch.zeros(ROWS, PAST, dtype=torch.long)
    try:
        output: Any = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), past_key_values=cache, use_cache=True
        )
        kept = output.past_key_values is cache and all(type(layer) is DynamicLayer for layer in cache.layers)
        past = flattened(cache) if kept else []
    except (AttributeError, TypeError, ValueError, LookupError, RuntimeError):  # it requires its own cache
        past = []
    if not past or any(tensor.dim() != 4 or tensor.shape[2] != PAST for tensor in past):
        kind = model.config.model_type
        reason = f"a language model of type '{kind}' keeps other states than keys and values of its tokens"
        raise RunError(f"{reason}. Take another, such as Llama, Mistral, Qwen2, Qwen3 or GPT-2")
    return past


def decoder_example(model: PreTrainedModel, layout: Layout, past: Sequence[Tensor]) -> Example:
    """Tensors to record :class:`DecoderGraph` with."""
    ids = torch.arange(ROWS * LENGTH).view(ROWS, LENGTH) % model.config.get_text_config().vocab_size
    first = model.get_input_embeddings()(ids).detach() if layout.inputs else ids
    own = [first, torch.ones(ROWS, PAST + LENGTH, dtype=torch.long)]
    if layout.positions:
        own.append(torch.arange(PAST, PAST + LENGTH).repeat(ROWS, 1))
    return Example([*own, *past], layout.takes, [[0, 1]] * len(own) + [[0, 2]] * len(past))


def decoder_axes(layout: Layout) -> dict[str, dict[int, str]]:
    """By what :class:`DecoderGraph` takes and gives the names of its free dimensions, as Optimum has them."""
    whole = "past_sequence_length + sequence_length"
    free = {name: {0: "batch_size", 1: "sequence_length"} for name in (IDS, EMBEDS, POSITIONS, *layout.gives)}
    free |= {layout.takes[1]: {0: "batch_size", 1: whole}}
    free |= {name: {0: "batch_size", 2: "past_sequence_length"} for name in layout.pairs("past_key_values")}
    return free | {name: {0: "batch_size", 2: whole} for name in layout.pairs("present")}


def item_tensors(name: str, reader: Reader) -> InputEntry:
    """What :class:`ItemGraph` takes; a size in which the longest item differs from a blank one is free."""
    short, long = reader.collate([reader.shortest()]), reader.collate_dense([reader.blank()])
    tensors = []
    for key, tensor in short.items():
        sizes = zip(tensor.shape[1:], long[key].shape[1:], strict=True)
        tensors.append(TensorEntry(name=key, shape=[None if own < most else own for own, most in sizes]))
    return InputEntry(name=name, tensors=tensors)


def item_example(entry: InputEntry, reader: Reader) -> Example:
    """Tensors of blank items of the longest length to record :class:`ItemGraph` with."""
    values = reader.collate_dense([reader.blank()] * (ROWS + 1))
    free = [[0, *(at for at, size in enumerate(each.shape, 1) if size is None)] for each in entry.tensors]
    names = [each.name for each in entry.tensors]
    return Example([values[name] for name in names], names, free)
