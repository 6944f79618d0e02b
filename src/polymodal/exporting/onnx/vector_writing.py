"""The pretrained encoders of a candidate of plain models: the mean of an item's tokens as ONNX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers import Reader
from polymodal.data.values.missing import Marks
from polymodal.exporting.onnx.converting import convert_graph, round_weights
from polymodal.exporting.onnx.expressible import check_reader
from polymodal.exporting.onnx.graph import input_entry
from polymodal.exporting.onnx.model_writing import write_processor
from polymodal.models.encoders import Encoder
from polymodal.models.fusion.base import masked_mean
from polymodal.runtime.manifest import FP32, INT8, MODEL, PLACES, InputEntry, Manifest


class VectorGraph(nn.Module):
    """Encoders, called with tensors in the order of their manifest.

    Args:
        encoders: In evaluation mode.
        inputs: The input of each, with the names of its tensors.
    """

    def __init__(self, encoders: Sequence[Encoder], inputs: Sequence[InputEntry]) -> None:
        super().__init__()
        self.encoders, self.inputs = nn.ModuleList(encoders), list(inputs)

    def forward(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The vectors ``(items, width)`` of each input; where items are in rows is not used."""
        left, vectors = iter(tensors), []
        for encoder, entry in zip(self.encoders, self.inputs, strict=True):
            for _ in PLACES:
                next(left)
            values = {each.name: next(left) for each in entry.tensors}
            items = next(iter(values.values())).shape[0]
            made = encoder(row=torch.zeros(items, dtype=torch.long), **values)
            vectors.append(masked_mean(made.tokens.float(), made.mask))
        return vectors


def write_vectors(
    source: Path,
    encoders: Mapping[str, Encoder],
    readers: Mapping[str, Reader],
    missing: Marks,
    folder: Path,
    int8: bool,
) -> None:
    """Write the encoders of a candidate and what reads cells for them.

    Args:
        source: The run, for messages.
        encoders: By input.
        readers: Of the same inputs.
        missing: The marks of a missing value in cells.
        folder: A new one.
        int8: Whether to round the weights of matrix products to 8 bits.

    Raises:
        RunError: If a reader needs Transformers, or PyTorch cannot convert an encoder.
    """
    for name, reader in readers.items():
        check_reader(source, name, reader)
    folder.mkdir(parents=True)
    entries = [input_entry(name, reader) for name, reader in readers.items()]
    graph = VectorGraph([encoders[name] for name in readers], entries).eval()
    taken = convert_graph(source, graph, entries, list(readers.values()), folder / MODEL)
    if int8:
        round_weights(folder / MODEL)
    processor = PolymodalProcessor(dict(readers), {}, missing)
    write_processor(source, processor, Manifest(precision=INT8 if int8 else FP32, inputs=taken), folder)
