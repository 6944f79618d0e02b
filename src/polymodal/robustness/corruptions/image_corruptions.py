"""Pictures that grow worse: out of focus, grainy, compressed, covered; clips are pictures one after another.

A picture is a Pillow image of mode L or RGB, or bytes ``(height, width)`` or ``(height, width, 3)``; what
comes back is of the same kind and size. Strengths of noise and JPEG are those of ImageNet-C (Hendrycks &
Dietterich 2019, appendix B; its noise is a share of 255); blur and cover are shares of the picture, so that
they mean the same at every size.
"""

from __future__ import annotations

from functools import partial
from io import BytesIO
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageFilter

from polymodal.data import media
from polymodal.data.media.path_access import Root
from polymodal.data.media.video import sample_frames
from polymodal.data.readers import ImageReader, VideoReader
from polymodal.robustness.corruptions.base import CORRUPTIONS, Apply, CellCorruptions, Corruption

Picture = TypeVar("Picture", Image.Image, np.ndarray)
GRAY = 128
MOST_SIDE = 448
"""The shorter side of a picture for an encoder without a size of its own."""


def blur(picture: Picture, share: float, random: np.random.Generator) -> Picture:
    """A Gaussian blur whose deviation is ``share`` of the shorter side."""
    image = _image(picture)
    return _like(image.filter(ImageFilter.GaussianBlur(share * min(image.size))), picture)


def noise(picture: Picture, deviation: float, random: np.random.Generator) -> Picture:
    """Gaussian noise of ``deviation``, of 255, on every pixel and channel of its own."""
    pixels = np.asarray(picture)
    louder = pixels + random.normal(0.0, deviation, pixels.shape)
    return _like(Image.fromarray(np.rint(louder).clip(0, 255).astype(np.uint8)), picture)


def jpeg(picture: Picture, quality: float, random: np.random.Generator) -> Picture:
    """A picture after JPEG compression at a ``quality`` from 1 to 95."""
    file = BytesIO()
    _image(picture).save(file, "JPEG", quality=round(quality))
    with Image.open(file, formats=("JPEG",)) as image:
        image.load()
        return _like(image.copy(), picture)  # a plain picture, without the file it came from


def cover(picture: Picture, share: float, random: np.random.Generator) -> Picture:
    """A gray box of ``share`` of the area, shaped like the picture, somewhere on it."""
    pixels = np.array(picture)
    height, width = (max(1, round(side * share**0.5)) for side in pixels.shape[:2])
    top, left = (
        random.integers(whole - part + 1)
        for whole, part in zip(pixels.shape[:2], (height, width), strict=True)
    )
    pixels[top : top + height, left : left + width] = GRAY
    return _like(Image.fromarray(pixels), picture)


def each_frame(
    apply: Apply, still: bool, clip: np.ndarray, strength: float, random: np.random.Generator
) -> np.ndarray:
    """``apply`` to all frames of a ``clip``, bytes ``(frames, height, width, 3)``.

    Args:
        apply: To one picture.
        still: Draw the same for every frame, as what lies on the lens does not jump about.
        clip: The frames.
        strength: Of what is applied.
        random: Of the draws.
    """
    if not still:
        return np.stack([apply(frame, strength, random) for frame in clip])
    seed = int(random.integers(2**63))
    return np.stack([apply(frame, strength, np.random.default_rng(seed)) for frame in clip])


def _image(picture: Image.Image | np.ndarray) -> Image.Image:
    return picture if isinstance(picture, Image.Image) else Image.fromarray(picture)


def _like(image: Image.Image, picture: Picture) -> Picture:
    return image if isinstance(picture, Image.Image) else np.asarray(image)


PICTURES = (
    Corruption("blur", "deviation, share of the shorter side", (0.02, 0.04, 0.06, 0.09, 0.13), blur),
    Corruption("noise", "deviation, of 255", (20, 31, 46, 66, 97), noise),
    Corruption("jpeg", "quality", (25, 18, 15, 10, 7), jpeg),
    Corruption("occlusion", "share of the area covered", (0.1, 0.2, 0.3, 0.4, 0.5), cover),
)
CLIPS = tuple(
    Corruption(
        entry.name, entry.unit, entry.strengths, partial(each_frame, entry.apply, entry.apply is cover)
    )
    for entry in PICTURES
)


@CORRUPTIONS.register(ImageReader.modality)
class ImageCorruptions(CellCorruptions[ImageReader]):
    """Pictures as large as the encoder sees them: noise on pixels that are averaged later would be none."""

    def __init__(self, reader: ImageReader) -> None:
        super().__init__(reader)
        self.side = seen_side(reader)

    def corruptions(self) -> tuple[Corruption, ...]:
        """See :class:`CellCorruptions`."""
        return PICTURES

    def decode(self, cell: Any, root: Root) -> Image.Image:
        """See :class:`CellCorruptions`."""
        is_plain = self.reader.part is None
        picture = media.load_image(cell, root, gray=is_plain, full_scale=self.reader.full_scale)
        return resized(picture, self.side, square=is_plain)


@CORRUPTIONS.register(VideoReader.modality)
class VideoCorruptions(CellCorruptions[VideoReader]):
    """Clips as bytes ``(frames, height, width, 3)``, as large as the encoder sees them."""

    def __init__(self, reader: VideoReader) -> None:
        super().__init__(reader)
        self.side = seen_side(reader)

    def corruptions(self) -> tuple[Corruption, ...]:
        """See :class:`CellCorruptions`."""
        return CLIPS

    def decode(self, cell: Any, root: Root) -> np.ndarray:
        """See :class:`CellCorruptions`."""
        frames = sample_frames(cell, root, frames=self.reader.frames)
        is_plain = self.reader.part is None
        return np.stack([np.asarray(resized(frame, self.side, square=is_plain)) for frame in frames])


def seen_side(reader: ImageReader | VideoReader) -> int:
    """The side in pixels that the encoder sees, or the shorter side at most of what it resizes itself."""
    if reader.part is None:
        return reader.size
    shape = np.shape(reader.blank())
    is_square = shape[-1:] == shape[-2:-1] and shape[-3:-2] == (3,)  # and no patches in a row
    return shape[-1] if is_square else MOST_SIDE


def resized(image: Image.Image, side: int, *, square: bool) -> Image.Image:
    """``image`` as a square of ``side``, or shrunk until its shorter side is no longer than ``side``."""
    if square:
        size = (side, side)
    else:
        scale = min(1.0, side / min(image.size))
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)
