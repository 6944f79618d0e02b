"""The items of cells: one each, or a list of pictures, recordings, clips, texts or sequences; their sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from polymodal.data.media.cells import MediaError, filled_items, is_empty
from polymodal.data.readers.base import READERS


def split_items(cell: Any, modality: str) -> list[Any] | None:
    """The items of a cell that is not empty; see :meth:`polymodal.data.readers.base.Reader.split_items`."""
    return READERS[modality].split_items(cell)


def each_item(cell: Any, modality: str) -> Iterator[tuple[int, Any]]:
    """The items of a cell that hold something, each with its index from 1; 0 for a cell that is one item."""
    kind = READERS[modality]
    if kind.holds_items:
        return filled_items(cell, kind.split_items)
    return iter(() if kind.is_empty(cell) else ((0, cell),))


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
        fix = "Raise the input's setting 'items', or give fewer."
        raise MediaError(found=f"a list of {len(items)} items", expected=f"at most {most}", cure=fix)


def of_item(error: MediaError, index: int) -> MediaError:
    """The error of item ``index`` of its cell, counted from 1; unchanged for 0, a cell that is one item."""
    if not index:
        return error
    return MediaError(found=f"item {index}: {error.found}", expected=error.expected, cure=error.cure)


def shown_range(values: Iterable[float], form: str) -> str:
    """``0.1–2.3``, or one number where all are equal."""
    known = list(values)
    return "–".join(dict.fromkeys((f"{min(known):{form}}", f"{max(known):{form}}")))


def some_of(values: Iterable[float]) -> str:
    """``8000 or 16000``; of four different numbers or more the smallest and the largest."""
    shown = [f"{value:.0f}" for value in sorted(set(values))]
    return " or ".join(shown) if len(shown) < 4 else f"{shown[0]} to {shown[-1]}"
