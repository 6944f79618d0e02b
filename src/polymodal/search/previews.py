"""What a hit shows of its item: a thumbnail of a picture or clip, the first words of a text, a value."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image

from polymodal.data import media
from polymodal.data.media.path_access import Root
from polymodal.data.media.video import sample_frames
from polymodal.data.readers.base import is_media
from polymodal.data.readers.items import each_item
from polymodal.errors import one_line
from polymodal.search.fields import text_of

SIDE = 128
"""Pixels of a thumbnail's longer side."""
HEAVIEST = 10_000
"""Bytes of a thumbnail."""
QUALITIES = (85, 70, 50, 30, 10)
WORDS = 200
"""Characters of a text."""


def preview(cell: Any, modality: str, root: Root) -> tuple[bytes | None, str | None]:
    """A JPEG and words of the first item in a cell that was read before; None for what it has not.

    Raises:
        MediaError: If it cannot be read any more.
    """
    first = next((item for _, item in each_item(cell, modality)), None)
    if first is None:
        return None, None
    if modality == "image":
        return thumbnail(media.load_image(first, root)), None
    if modality == "video":
        return thumbnail(next(sample_frames(first, root, frames=1))), None
    return None, None if is_media(modality) else words(first)


def thumbnail(picture: Image.Image) -> bytes:
    """The picture as a small JPEG, of at most :data:`HEAVIEST` bytes."""
    small = picture.copy()
    small.thumbnail((SIDE, SIDE))
    for quality in QUALITIES:
        file = BytesIO()
        small.convert("RGB").save(file, "JPEG", quality=quality)
        if file.tell() <= HEAVIEST:
            break
    return file.getvalue()


def words(item: Any) -> str | None:
    """The beginning of a text, or a value."""
    text = text_of(item)
    return None if text is None else one_line(" ".join(text.split()), WORDS)
