"""Previews of hits, by modality: a thumbnail, the first words of a text, a value."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from PIL import Image

from polymodal.data import media
from polymodal.data.media.path_access import Root
from polymodal.data.media.video import sample_frames
from polymodal.data.readers import (
    AudioReader,
    CategoriesReader,
    CategoryReader,
    DateReader,
    ImageReader,
    NumberReader,
    SequenceReader,
    TextReader,
    VideoReader,
)
from polymodal.data.readers.items import each_item
from polymodal.errors import one_line
from polymodal.search.fields import text_of
from polymodal.utils.registry import Registry

SIDE = 128
"""Pixels of a thumbnail's longer side."""
HEAVIEST = 10_000
"""Bytes of a thumbnail."""
QUALITIES = (85, 70, 50, 30, 10)
WORDS = 200
"""Characters of a text."""
Preview = tuple[bytes | None, str | None]
"""A JPEG and words; None for a part that it lacks."""
PREVIEWS: Registry[Callable[[Any, Root], Preview]] = Registry("preview", group="polymodal.previews")
"""By modality: an item and the folder its path starts from → its preview. Another package adds its own under
the entry points ``polymodal.previews``; hits of a modality without an entry have a note instead."""


def preview(cell: Any, modality: str, root: Root) -> Preview:
    """A JPEG and words of the first item in a cell that was read before; None for a part that it lacks.

    Raises:
        MediaError: If it can no longer be read.
    """
    first = next((item for _, item in each_item(cell, modality)), None)
    if first is None:
        return None, None
    if modality not in PREVIEWS:
        return None, f"no preview: not supported for {modality}"
    return PREVIEWS[modality](first, root)


@PREVIEWS.register(ImageReader.modality)
def of_picture(item: Any, root: Root) -> Preview:
    """The thumbnail of a picture."""
    return thumbnail(media.load_image(item, root)), None


@PREVIEWS.register(VideoReader.modality)
def of_clip(item: Any, root: Root) -> Preview:
    """The thumbnail of one frame."""
    return thumbnail(next(sample_frames(item, root, frames=1))), None


@PREVIEWS.register(AudioReader.modality)
@PREVIEWS.register(SequenceReader.modality)
def of_nothing_to_see(item: Any, root: Root) -> Preview:
    """No preview: the row's other columns identify the hit."""
    return None, None


@PREVIEWS.register(TextReader.modality)
@PREVIEWS.register(NumberReader.modality)
@PREVIEWS.register(CategoryReader.modality)
@PREVIEWS.register(DateReader.modality)
@PREVIEWS.register(CategoriesReader.modality)
def of_value(item: Any, root: Root) -> Preview:
    """The beginning of a text, or a value."""
    return None, words(item)


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
