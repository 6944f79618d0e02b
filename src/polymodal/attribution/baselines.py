"""Baseline inputs of integrated gradients.

A baseline is the blank item of the reader: a black picture, black frames, silence, the training mean of a
number, an unknown category, steps of means, and for text padding tokens instead of its words.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from polymodal.data.readers import (
    AudioReader,
    CategoriesReader,
    CategoryReader,
    DateReader,
    ImageReader,
    NumberReader,
    Reader,
    SequenceReader,
    TextReader,
    VideoReader,
)

WORDS = {
    TextReader.modality: "padding tokens in the place of its words",
    ImageReader.modality: "a black picture",
    AudioReader.modality: "silence",
    VideoReader.modality: "black frames",
    NumberReader.modality: "the mean of the training rows",
    CategoryReader.modality: "an unknown category",
    DateReader.modality: "the mean of the training dates",
    CategoriesReader.modality: "no category",
    SequenceReader.modality: "the training means at every step",
}
"""The baseline of each modality, as the page names it."""
OTHER = "what its reader takes for a blank item"
"""The name of the baseline of a modality without an entry."""


def baseline_values(reader: Reader, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reader's blank item in the shapes of ``values``.

    Args:
        reader: That made ``values``.
        values: Tensors by name, ``(items, …)`` each.

    Returns:
        By the same names; tensors that the blank item lacks, and those of positions, are unchanged.
    """
    if isinstance(reader, TextReader):
        return {**values, "input_ids": _without_words(reader, values["input_ids"])}
    blank = reader.collate([reader.blank()])
    return {key: _shaped(blank[key], tensor) if key in blank else tensor for key, tensor in values.items()}


def _without_words(reader: TextReader, ids: Tensor) -> Tensor:
    """``ids`` ``(items, length)`` with padding instead of all tokens but the special ones."""
    part = reader.part
    known = (part.pad_token_id, part.unk_token_id, part.mask_token_id, 0)
    nothing = next(number for number in known if number is not None)
    kept = torch.tensor([number for number in part.all_special_ids if number != part.unk_token_id])
    return torch.where(torch.isin(ids, kept.to(ids.device)), ids, nothing)


def _shaped(blank: Tensor, like: Tensor) -> Tensor:
    """``blank`` ``(1, …)`` in the shape of ``like``: where a size differs, its first entry is repeated."""
    for axis, (own, wanted) in enumerate(zip(blank.shape, like.shape, strict=True)):
        if own != wanted:
            blank = blank.narrow(axis, 0, 1).expand(*[-1] * axis, wanted, *[-1] * (blank.ndim - axis - 1))
    return blank.to(like.device, like.dtype).contiguous()
