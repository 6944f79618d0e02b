"""Clips from arrays of frames, and from animated WebP and AVIF, which libav does not decode."""

from __future__ import annotations

from bisect import bisect_right
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from polymodal.data.media.arrays import MAGIC, as_array, is_bare_array, read_header
from polymodal.data.media.cells import Limits, MediaError, describe, open_cell
from polymodal.data.media.decoding import damage
from polymodal.data.media.image import load_image, own_full_scale
from polymodal.data.media.path_access import Root

EXPECTED = "numbers of shape (frames, height, width, channels) or (frames, height, width)"
CHANNELS = (1, 3, 4)
CANVAS_BYTES = 32
"""Bytes per pixel for the decoder of an animation, its frame and its copies, measured with Pillow 13."""


def open_stills(cell: Any, root: Root, limits: Limits) -> ArrayClip | Animation | None:
    """The clip in a cell of images; None for a file that libav decodes.

    Raises:
        MediaError: If there is no such file, or it is damaged, too large or no clip.
    """
    cell = cell["array"] if is_bare_array(cell) else cell
    if isinstance(cell, (np.ndarray, list, tuple)) or hasattr(cell, "detach"):
        with damage(cell, "a clip"):
            return ArrayClip(as_array(cell), describe(cell), limits)
    with open_cell(cell, root, limits) as stream:
        head = stream.read(16)
        stream.seek(0)
        if head.startswith(MAGIC):
            return ArrayClip(_load(stream, describe(cell), limits), describe(cell), limits)
        kind = "WEBP" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else ""
        kind = "AVIF" if head[4:11] == b"ftypavi" else kind
        return Animation(stream.read(), kind, describe(cell), limits) if kind else None


def middles(count: int, wanted: int) -> list[int]:
    """The middles of ``wanted`` equal segments of ``count`` positions."""
    return [(2 * index + 1) * count // (2 * wanted) for index in range(wanted)]


def check_frame(width: int, height: int, name: str, limits: Limits) -> None:
    """Refuse frames of too many pixels.

    Raises:
        MediaError: If they have more than ``limits`` allow.
    """
    if width * height > limits.pixels:
        reason = f"{name} has frames of {width} x {height} pixels"
        fix = "Make the clip smaller."
        raise MediaError(found=reason, expected=f"at most {limits.pixels:,} pixels", cure=fix)


def _check_canvas(size: tuple[int, int], name: str, limits: Limits) -> None:
    held = CANVAS_BYTES * size[0] * size[1]
    if held > limits.memory:
        reason = f"{name}: frames of {size[0]} x {size[1]} pixels take {held:,} bytes to decode"
        expected = f"at most {limits.memory:,} bytes"
        raise MediaError(found=reason, expected=expected, cure="Make the clip smaller.")


def check_count(frames: int, name: str, limits: Limits) -> None:
    """Refuse clips of too many frames.

    Raises:
        MediaError: If they have more than ``limits`` allow.
    """
    if frames > limits.frames:
        reason = f"{name} has more than {limits.frames:,} frames"
        raise MediaError(found=reason, expected=f"at most {limits.frames:,} frames", cure="Cut the clip.")


def check_work(pixels: int, name: str, limits: Limits) -> None:
    """Refuse clips of which too many pixels would have to be decoded.

    Raises:
        MediaError: If they are more than ``limits`` allow.
    """
    if pixels > limits.decoded:
        reason = f"{name}: more than {limits.decoded:,} pixels lie before the frames that are read"
        fix = "Cut it, make it smaller, or write it with a key frame every second."
        raise MediaError(found=reason, expected="a shorter or smaller clip", cure=fix)


class ArrayClip:
    """Frames in an array, without a frame rate.

    Args:
        array: ``(frames, height, width, channels)``, ``(frames, channels, height, width)`` or
            ``(frames, height, width)``.
        name: Its name in messages.
        limits: Limits of what is read.

    Attributes:
        count: Number of frames.
        size: Width and height.
        seconds: 0, for it is unknown.
    """

    seconds = 0.0

    def __init__(self, array: np.ndarray, name: str, limits: Limits) -> None:
        is_clip = array.ndim == 3 or (array.ndim == 4 and {array.shape[1], array.shape[3]} & {*CHANNELS})
        if array.dtype.kind not in "fiub" or not is_clip or not array.size:
            raise MediaError(found=f"array of {array.dtype}, shape {array.shape}", expected=EXPECTED)
        if array.ndim == 4 and array.shape[3] not in CHANNELS:
            array = np.moveaxis(array, 1, -1)
        self._array, self._limits = array, limits
        self.count, self.size = len(array), (array.shape[2], array.shape[1])
        check_frame(array.shape[2], array.shape[1], name, limits)
        check_count(self.count, name, limits)
        scales = [own_full_scale(frame) for frame in array] if array.dtype.itemsize > 1 else []
        self._full_scale = max((scale for scale in scales if scale), default=None)

    def places(self, wanted: int) -> list[int]:
        """The frames in the middles of ``wanted`` equal segments."""
        return middles(self.count, wanted)

    def frame(self, place: int) -> Image.Image:
        """One frame, RGB."""
        return load_image(self._array[place], limits=self._limits, full_scale=self._full_scale)


class Animation:
    """An animated image that Pillow decodes.

    Args:
        content: Its bytes.
        kind: Its format, by Pillow's name.
        name: Its name in messages.
        limits: Limits of what is read.

    Attributes:
        count: Number of frames.
        size: Width and height.
        seconds: Duration.
    """

    def __init__(self, content: bytes, kind: str, name: str, limits: Limits) -> None:
        image: Any = Image.open(BytesIO(content), formats=(kind,))
        self._image, self.count, self.size = image, int(image.n_frames), image.size
        if self.count < 2:
            reason = f"{name} holds one picture and no clip"
            raise MediaError(found=reason, expected="a clip", cure="Replace the file.")
        check_frame(self.size[0], self.size[1], name, limits)
        _check_canvas(self.size, name, limits)
        check_count(self.count, name, limits)
        check_work(2 * self.count * self.size[0] * self.size[1], name, limits)
        self._ends: list[float] = []  # in milliseconds
        for index in range(self.count):
            self._image.seek(index)
            self._image.load()
            before = self._ends[-1] if self._ends else 0.0
            self._ends.append(before + max(0.0, float(self._image.info.get("duration") or 0.0)))
        self.seconds = self._ends[-1] / 1000
        if self.seconds > limits.seconds:
            reason = f"{name} is longer than {limits.seconds:g} seconds"
            raise MediaError(
                found=reason, expected=f"at most {limits.seconds:g} seconds", cure="Cut the clip."
            )

    def places(self, wanted: int) -> list[int]:
        """The frames that are shown in the middles of ``wanted`` equal segments of time."""
        if not self._ends[-1]:
            return middles(self.count, wanted)
        moments = [(2 * index + 1) * self._ends[-1] / (2 * wanted) for index in range(wanted)]
        return [min(self.count - 1, bisect_right(self._ends, moment)) for moment in moments]

    def frame(self, place: int) -> Image.Image:
        """One frame, RGB."""
        self._image.seek(place)
        return load_image(self._image.copy())


def _load(stream: Any, name: str, limits: Limits) -> np.ndarray:
    shape, _, kind = read_header(stream)
    if kind.hasobject or len(shape) not in (3, 4):
        raise MediaError(found=f"{name}: array of {kind}, shape {shape}", expected=EXPECTED)
    size = int(np.prod(shape, dtype=np.float64)) * kind.itemsize
    if size > limits.bytes:
        expected = f"at most {limits.bytes:,} bytes"
        raise MediaError(found=f"{name} holds {size:,} bytes", expected=expected, cure="Make it smaller.")
    stream.seek(0)
    return np.load(stream, allow_pickle=False)
