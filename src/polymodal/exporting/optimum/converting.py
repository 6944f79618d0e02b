"""From the parts of a generation model to files of ONNX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel

from polymodal.errors import RunError
from polymodal.exporting.onnx.converting import first_possible, free_sizes, record, save
from polymodal.exporting.onnx.graph import Example
from polymodal.exporting.optimum.graphs import (
    DecoderGraph,
    EmbeddingGraph,
    ItemGraph,
    decoder_axes,
    decoder_example,
    item_example,
    past_of,
)
from polymodal.exporting.optimum.layout import EMBEDDING, EMBEDS, IDS, ONNX, ItemEntry, Layout
from polymodal.runs.generation_run import GenerationRun
from polymodal.runtime.manifest import InputEntry, TensorEntry


def convert(run: GenerationRun, words: PreTrainedModel, layout: Layout, folder: Path) -> Layout:
    """Write the files of a model into ``onnx/``.

    Args:
        run: The run.
        words: Its language model, adapters merged.
        layout: Of the export.
        folder: Of the export.

    Returns:
        The layout, with the lengths that are not free in what was recorded.

    Raises:
        RunError: If PyTorch cannot record a part for any number of rows, or ONNX lacks an operation.
    """
    graphs = folder / ONNX
    graphs.mkdir()
    if layout.inputs:
        _embedding(run, words, graphs / EMBEDDING)
    entries = [_items(run, entry, graphs / entry.file) for entry in layout.inputs]
    shown = decoder_example(words, layout, past_of(words))
    file = graphs / layout.decoder
    free = _written(
        run.folder, DecoderGraph(words, layout).eval(), [shown], layout.gives, decoder_axes(layout), file
    )
    for name, own, wanted in zip(shown.names, free, shown.free, strict=True):
        if not all(own[at] for at in wanted):
            reason = f"its language model can be recorded for one length alone ({name})"
            raise RunError(f"{run.folder}: {reason}. Serve the run itself")
    return replace(layout, inputs=entries)


def _embedding(run: GenerationRun, words: PreTrainedModel, path: Path) -> None:
    missing = {
        entry["missing"]: run.model.connector(entry["name"]).missing.detach()
        for entry in run.model.config.inputs
    }
    graph = EmbeddingGraph(words.get_input_embeddings(), missing).eval()
    names = {0: "batch_size", 1: "sequence_length"}
    shown = Example([torch.zeros(2, 3, dtype=torch.long)], [IDS], [[0, 1]])
    _written(run.folder, graph, [shown], [EMBEDS], {IDS: names, EMBEDS: names}, path)


def _items(run: GenerationRun, entry: ItemEntry, path: Path) -> ItemEntry:
    """Write the encoder of an input; returns its entry with the sizes that are not free."""
    name = entry.input.name
    graph = ItemGraph(run.model.encoder(name), run.model.connector(name), entry.input).eval()
    shown = item_example(entry.input, run.processor.readers[name])
    axes = {each: {0: "items"} for each in shown.names}
    axes |= {each: {0: "items", 1: "tokens"} for each in (entry.features, "mask")}
    ways = [shown, Example(shown.tensors, shown.names, [own[:1] for own in shown.free])]
    free = _written(run.folder, graph, ways, [entry.features, "mask"], axes, path)
    if fixed := [each for each, own in zip(shown.names, free, strict=True) if not own[0]]:
        reason = f"the encoder of '{name}' can be recorded for one number of items alone (tensor {fixed[0]})"
        raise RunError(f"{run.folder}: {reason}. Serve the run itself")
    sizes = [
        [None if is_free else size for is_free, size in zip(own[1:], tensor.shape[1:], strict=True)]
        for tensor, own in zip(shown.tensors, free, strict=True)
    ]
    taken = [TensorEntry(name=each, shape=size) for each, size in zip(shown.names, sizes, strict=True)]
    return replace(entry, input=InputEntry(name=name, tensors=taken))


def _written(
    source: Path,
    graph: nn.Module,
    ways: Sequence[Example],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
    path: Path,
) -> list[list[bool]]:
    """Write a graph; returns per input whether each dimension is free."""
    program = first_possible(source, [partial(record, graph, way) for way in ways])
    first_possible(source, [partial(save, program, ways[0].names, path, outputs, axes)])
    return free_sizes(program)
