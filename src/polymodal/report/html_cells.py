"""Cells as a page shows them, by modality: a picture, a player, a strip of frames, or words, all embedded."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Callable
from typing import Any

import av
import numpy as np
from PIL import Image

from polymodal.data.media import load_audio, load_image
from polymodal.data.media.cells import MediaError
from polymodal.data.media.path_access import Root
from polymodal.data.media.video import load_video
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
from polymodal.evaluation.number_text import plain
from polymodal.utils.registry import Registry

SIDE = 220
"""Pixels of the longer side of a picture."""
RATE, SECONDS = 8000, 6.0
"""Sampling rate (Hz) and the most seconds of a recording on a page: 94 KB."""
ENCODER, PLAYED, PACE, BITS = "libvpx", 24, 6, 200_000
"""Encoder of clips, frames spread over all of a clip, frames per second, and bits per second."""
FRAMES = 4
"""Frames of a clip that cannot be played."""
LETTERS = 300
SHOWN = 3
"""The most items shown of a cell."""
Show = Callable[[Any, Root], dict[str, str]]
"""An item and the folder its path starts from → ``kind`` and ``content``; see :func:`show_cell`."""
HTML_CELLS: Registry[Show] = Registry("page view", group="polymodal.html_cells")
"""By modality; another package adds its own function under the entry points ``polymodal.html_cells``."""


def show_cell(cell: Any, modality: str, root: Root) -> list[dict[str, str]]:
    """A cell on a page: one entry per item, each ``kind`` and ``content``.

    ``kind`` is ``image``, ``audio`` or ``video``, whose content is a data URI, ``text``, or ``gone``, whose
    content is the reason why the item is not shown. Nothing for an empty cell.
    """
    shown: list[dict[str, str]] = []
    for _, item in each_item(cell, modality):
        if len(shown) == SHOWN:
            break
        try:
            shown.append(_show(item, modality, root))
        except MediaError as error:
            shown.append({"kind": "gone", "content": one_line(str(error), 120)})
    return shown


def _show(item: Any, modality: str, root: Root) -> dict[str, str]:
    if modality not in HTML_CELLS:
        return {"kind": "gone", "content": f"not supported: pages do not show {modality}"}
    return HTML_CELLS[modality](item, root)


@HTML_CELLS.register(TextReader.modality)
@HTML_CELLS.register(NumberReader.modality)
@HTML_CELLS.register(CategoryReader.modality)
@HTML_CELLS.register(DateReader.modality)
@HTML_CELLS.register(CategoriesReader.modality)
def show_value(item: Any, root: Root) -> dict[str, str]:
    """A value, several, or the beginning of a text."""
    text = ", ".join(map(str, item)) if isinstance(item, (list, tuple)) else str(item)
    text = plain(item) if isinstance(item, float) else text
    return {"kind": "text", "content": text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"}


@HTML_CELLS.register(SequenceReader.modality)
def show_sequence(item: Any, root: Root) -> dict[str, str]:
    """A note that the cell is a sequence: features are not drawn."""
    return {"kind": "text", "content": "a sequence of features"}


@HTML_CELLS.register(ImageReader.modality)
def show_picture(item: Any, root: Root) -> dict[str, str]:
    """The picture, small."""
    return {"kind": "image", "content": picture_uri(load_image(item, root))}


@HTML_CELLS.register(AudioReader.modality)
def show_sound(item: Any, root: Root) -> dict[str, str]:
    """A player of its beginning."""
    return {"kind": "audio", "content": sound_uri(load_audio(item, root, rate=RATE))}


@HTML_CELLS.register(VideoReader.modality)
def show_clip(item: Any, root: Root) -> dict[str, str]:
    """A player, or where libav was built without the encoder some frames side by side."""
    if ENCODER in av.codecs_available:
        return {"kind": "video", "content": clip_uri(load_video(item, root, frames=PLAYED, size=SIDE))}
    frames = load_video(item, root, frames=FRAMES, size=SIDE // 2)
    return {"kind": "image", "content": picture_uri(Image.fromarray(np.concatenate(frames, axis=1)))}


def clip_uri(frames: np.ndarray) -> str:
    """A WebM file of ``frames`` ``(frames, side, side, 3)``, ``PACE`` of them a second."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="webm") as file:
        stream: Any = file.add_stream(ENCODER, rate=PACE)
        stream.height, stream.width = (side - side % 2 for side in frames.shape[1:3])
        stream.pix_fmt, stream.bit_rate = "yuv420p", BITS
        for frame in frames:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        file.mux(stream.encode(None))
    return _uri("video/webm", buffer.getvalue())


def picture_uri(picture: Image.Image) -> str:
    """A JPEG of at most ``SIDE`` pixels; small ones are enlarged so that their pixels are visible."""
    scale = SIDE / max(picture.size)
    size = max(1, round(scale * picture.width)), max(1, round(scale * picture.height))
    smooth = Image.Resampling.BICUBIC if scale < 1 else Image.Resampling.NEAREST
    buffer = io.BytesIO()
    picture.convert("RGB").resize(size, smooth).save(buffer, "JPEG", quality=80)
    return _uri("image/jpeg", buffer.getvalue())


def sound_uri(sound: np.ndarray) -> str:
    """A WAV file of 16 bits of ``sound`` ``(samples,)`` at ``RATE``, cut to ``SECONDS``."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((32767 * sound[: int(SECONDS * RATE)].clip(-1, 1)).astype("<i2").tobytes())
    return _uri("audio/wav", buffer.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
