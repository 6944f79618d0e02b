"""Pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from polymodal.data import media
from polymodal.data.media.cells import MediaError
from polymodal.data.media.image import own_full_scale
from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import READERS, Reader
from polymodal.data.readers.content import Content
from polymodal.data.values.missing import Marks
from polymodal.errors import ConfigError
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    from polymodal.config import InputConfig
    from polymodal.data.readers.columns import TrainingColumns

LARGEST_SIDE, SMALLEST_SIDE = 96, 32
LARGEST = 2**25
"""Pixels above which a picture is shrunk by a whole number before a checkpoint's image processor sees it."""


@READERS.register("image")
class ImageReader(Reader):
    """Pictures to squares of pixels, or to what a checkpoint's image processor makes of them.

    Args:
        part: The image processor of a pretrained encoder.
        size: Side of the square, without one.
        full_scale: The value of white in pictures of more than 8 bits; None: each picture's own.
    """

    modality = "image"
    holds = Content.MEDIA
    may_share = holds_items = is_visual = True
    noun = "picture"
    required = ("size",)
    part_class = "AutoImageProcessor"

    def __init__(self, part: Any = None, *, size: int = 64, full_scale: float | None = None) -> None:
        self.part, self.size, self.full_scale = part, size, full_scale

    @classmethod
    def fit(cls, columns: TrainingColumns) -> ImageReader:
        """See :class:`Reader`; the side is that of most pictures, within limits."""
        part = cls.part_of_checkpoint(columns.checkpoint)
        size = declared_size(columns) or usual_side(columns.measured(media.image_size))
        return cls(part, size=size, full_scale=columns.config.full_scale or _full_scale(columns))

    @classmethod
    def for_encoder(cls, encoder: object, cells: Sequence[Any]) -> ImageReader:
        """See :class:`Reader`."""
        part = cls.part_of_checkpoint(getattr(encoder, "checkpoint", None))
        return cls(part, size=getattr(encoder, "size", 64))

    def declared(self, config: InputConfig, missing: Marks) -> ImageReader:
        """See :class:`Reader`; the full scale is that of the run unless one is declared."""
        scale = config.full_scale or self.full_scale
        return super().declared(config, missing).with_settings(full_scale=scale)

    @classmethod
    def open(cls, item: Any, root: Root, config: InputConfig) -> None:
        """See :class:`Reader`."""
        media.load_image(item, root, full_scale=config.full_scale)

    @classmethod
    def measure(cls, item: Any, root: Root) -> tuple[float, ...]:
        """Width and height in pixels."""
        return media.image_size(item, root)

    @classmethod
    def describe_sizes(cls, sizes: Sequence[tuple[float, ...]]) -> str:
        """``64×64 to 640×480 pixels``."""
        return f"{shown_pixels(sizes)} pixels"

    def read(self, cell: Any, root: Root) -> np.ndarray:
        """uint8 ``(3, size, size)``, or the image processor's floats."""
        gray = self.part is None
        return self._pixels(media.load_image(cell, root, gray=gray, full_scale=self.full_scale))

    def describe_kept(self) -> str:
        """See :class:`Reader`; the processor of a checkpoint has its own size."""
        return "" if self.part is not None else f"{self.size} × {self.size} px"

    def blank(self) -> np.ndarray:
        """A black picture."""
        return self._pixels(Image.new("RGB", (self.size, self.size)))

    def _pixels(self, image: Image.Image) -> np.ndarray:
        if self.part is not None:
            if image.width * image.height > LARGEST:  # a processor copies it several times
                image = image.reduce(math.ceil((image.width * image.height / LARGEST) ** 0.5))
            return np.asarray(self.part(image, return_tensors="np")["pixel_values"][0])
        if image.size != (self.size, self.size):
            image = image.resize((self.size, self.size), Image.Resampling.BICUBIC)
        pixels = np.asarray(image)
        if pixels.ndim == 2:  # resized as one channel, which takes a third of the time
            return np.repeat(pixels[np.newaxis], 3, axis=0)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def arrays(self, items: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """``pixel_values`` ``(items, 3, height, width)``."""
        return {"pixel_values": np.stack(items)}

    def settings(self) -> Settings:
        """See :class:`Reader`."""
        return {"size": self.size} | ({"full_scale": self.full_scale} if self.full_scale else {})


def _full_scale(columns: TrainingColumns) -> float | None:
    """The value of white in all pictures of more than 8 bits: so a dark one stays dark. None without such.

    Every row is looked at, most of them by a few bytes: one later row may be of a larger scale.
    """
    scales: dict[Any, float | None] = {}
    for item in columns.items():
        key = item if isinstance(item, str) else None
        if key is not None and key in scales:
            continue
        try:
            scales[key or len(scales)] = own_full_scale(item, columns.table.root)
        except MediaError:  # the check's to name
            continue
    return max((scale for scale in scales.values() if scale is not None), default=None)


def declared_size(columns: TrainingColumns) -> int | None:
    """The side of the pictures that ``size`` or the encoder's own ``image_size`` requests.

    Raises:
        ConfigError: If they contradict each other.
    """
    own, size = columns.sizes.get("image_size"), columns.config.size
    own = own[0] if isinstance(own, (list, tuple)) else own
    if own and size not in (None, own):
        wrong = f"'size' cannot be {size}: the encoder of '{columns.names[0]}' has 'image_size' {own}"
        raise ConfigError(f"{wrong}. Leave one of them out")
    return own or size


def usual_side(pictures: Iterable[tuple[int, int]]) -> int:
    """The side that most pictures have, in steps of eight, within limits that a CPU can bear."""
    sides = [max(size) for size in pictures]
    usual = float(np.median(sides)) if sides else 64.0
    return int(min(LARGEST_SIDE, max(SMALLEST_SIDE, math.ceil(usual / 8) * 8)))


def shown_pixels(sizes: Sequence[tuple[float, ...]]) -> str:
    """``64×64 to 640×480``: the smallest and the largest width and height."""
    by_area = sorted(sizes, key=lambda size: size[0] * size[1])
    ends = [f"{width:.0f}×{height:.0f}" for width, height in (by_area[0], by_area[-1])]
    return " to ".join(dict.fromkeys(ends))
