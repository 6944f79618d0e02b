"""A model as one graph: tensors of items and their places in rows in, the logits of each target out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from polymodal.data.readers import Reader
from polymodal.models import PolymodalForPrediction
from polymodal.models.outputs import TokenSequence
from polymodal.runtime.manifest import PLACES, InputEntry, TensorEntry

ROWS, SLOTS = 3, 2
"""Of the batch that the graph is recorded with: above one, which ``torch.export`` takes for a constant."""


class Graph(nn.Module):
    """The model, called with tensors in the order of its manifest.

    Args:
        model: In evaluation mode.
        inputs: Its inputs with the names of their tensors.
    """

    def __init__(self, model: PolymodalForPrediction, inputs: Sequence[InputEntry]) -> None:
        super().__init__()
        self.model, self.inputs = model, list(inputs)

    def forward(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The logits ``(rows, outputs)`` of each target; for the tensors see :func:`example`."""
        left = iter(tensors)
        sequences = {entry.name: self._sequence(entry, left) for entry in self.inputs}
        embedded = self.model.model.embedding(sequences, tensors[0].shape[0])
        return list(self.model.predict_embedded(embedded).values())

    def _sequence(self, entry: InputEntry, left: Iterator[Tensor]) -> TokenSequence:
        """The tokens of an input's items in their places; ``(rows · slots, length, width)``."""
        index, present = next(left), next(left)
        values = {each.name: next(left) for each in entry.tensors}
        encoder = self.model.model.encoders[self.model.model.encoder_of[entry.name]]
        items = next(iter(values.values())).shape[0]
        made = encoder(row=torch.zeros(items, dtype=torch.long), **values)
        flat = index.flatten()
        return replace(made, tokens=made.tokens[flat], mask=made.mask[flat], row=flat, present=present)


@dataclass(frozen=True)
class Example:
    """Tensors to record the graph with.

    Attributes:
        tensors: In the order of :class:`Graph`.
        names: Of each tensor in the graph.
        free: Per tensor its dimensions of any size: rows and slots, or items and what differs between these.
    """

    tensors: list[Tensor]
    names: list[str]
    free: list[list[int]]

    def of_one_length(self) -> Example:
        """The same with items of one length."""
        is_item = [name.rpartition(".")[2] not in PLACES for name in self.names]
        free = [own[:1] if item else own for own, item in zip(self.free, is_item, strict=True)]
        return replace(self, free=free)

    def taken(self, entries: Sequence[InputEntry], free: Sequence[Sequence[bool]]) -> list[InputEntry]:
        """The inputs with the size of each dimension that is not free in what was recorded.

        Args:
            entries: The inputs.
            free: Per tensor whether each of its dimensions is free.
        """
        sizes = {
            name: [None if is_free else size for is_free, size in zip(own[1:], tensor.shape[1:], strict=True)]
            for name, tensor, own in zip(self.names, self.tensors, free, strict=True)
        }
        return [
            InputEntry(
                name=entry.name,
                tensors=[TensorEntry(name=e.name, shape=sizes[f"{number}.{e.name}"]) for e in entry.tensors],
            )
            for number, entry in enumerate(entries)
        ]


def input_entry(name: str, reader: Reader) -> InputEntry:
    """What the graph takes of an input; a size in which the longest item differs from a blank one is free."""
    short, long = reader.arrays([reader.shortest()]), reader.collate_dense([reader.blank()])
    tensors = []
    for key, array in short.items():
        sizes = zip(array.shape[1:], long[key].shape[1:], strict=True)
        tensors.append(TensorEntry(name=key, shape=[None if own < most else own for own, most in sizes]))
    return InputEntry(name=name, tensors=tensors)


def example(entries: Sequence[InputEntry], readers: Sequence[Reader]) -> Example:
    """Tensors of blank items of the longest length; each input has another number of items."""
    tensors: list[Tensor] = []
    names: list[str] = []
    free: list[list[int]] = []
    index = torch.arange(ROWS * SLOTS).view(ROWS, SLOTS)
    for number, (entry, reader) in enumerate(zip(entries, readers, strict=True)):
        values = reader.collate_dense([reader.blank()] * (ROWS * SLOTS + 1 + number))
        tensors += [index.clone(), index % 3 > 0, *(values[each.name] for each in entry.tensors)]
        names += [f"{number}.{name}" for name in entry.names]
        lengths = [
            [at for at, size in enumerate(each.shape, start=1) if size is None] for each in entry.tensors
        ]
        free += [[0, 1], [0, 1], *([0, *own] for own in lengths)]
    return Example(tensors, names, free)
