"""Cells that hold several items: a list of pictures, recordings, clips, texts or sequences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from polymodal.data.media.cells import MediaError, is_empty
from polymodal.data.tables.lists import first_filled, number_depth, written_list

ALONE = ("number", "category")
"""Modalities of which a cell holds one value and no more."""


def split_items(cell: Any, modality: str) -> list[Any] | None:
    """The items of a cell that holds a list of them, the empty ones too; None where it is an item itself.

    Several are lists of paths, bytes, records, arrays or texts; for all but text also a list that is written
    out. Lists of numbers are one item: a picture's pixels, or a sequence's steps and their features.

    Args:
        cell: A cell that is not empty.
        modality: What it is read as.
    """
    if modality in ALONE:
        return None
    if isinstance(cell, str) and modality != "text":
        cell = written_list(cell)
    if isinstance(cell, np.ndarray) and cell.dtype.kind in "OUS":  # pandas gives lists of texts as arrays
        cell = cell.tolist()
    if not isinstance(cell, (list, tuple)):
        return None
    depth = number_depth(cell)
    if modality == "sequence":
        several = not 1 <= depth <= 2
    else:
        several = not depth or modality == "text" or isinstance(first_filled(cell), np.ndarray)
    return list(cell) if several else None


def each_item(cell: Any, modality: str) -> Iterator[tuple[int, Any]]:
    """The items of a cell that hold something, each with its place from 1; 0 for a cell that is one item."""
    if is_empty(cell):
        return
    items = split_items(cell, modality)
    if items is None:
        yield 0, cell
    for place, item in enumerate(items or (), start=1):
        if not is_empty(item):
            yield place, item


def holds_nothing(cell: Any, modality: str) -> bool:
    """Whether a cell is empty, or a list of nothing but empty items."""
    return next(each_item(cell, modality), None) is None


def check_count(cell: Any, modality: str, most: int) -> None:
    """Refuse a cell of too many items.

    Raises:
        MediaError: If there are more than ``most``.
    """
    items = None if is_empty(cell) else split_items(cell, modality)
    if items is not None and len(items) > most:
        cure = "Raise the input's setting 'items', or give fewer."
        raise MediaError(found=f"a list of {len(items)} items", expected=f"at most {most}", cure=cure)


def of_item(error: MediaError, place: int) -> MediaError:
    """The same, saying which item of its cell it is about; as it is where ``place`` is 0."""
    if not place:
        return error
    return MediaError(found=f"item {place}: {error.found}", expected=error.expected, cure=error.cure)
