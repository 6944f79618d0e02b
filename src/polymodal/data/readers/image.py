"""Pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from polymodal.data import media
from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import READERS, Content, Reader

LARGEST = 2**25
"""Pixels above which a picture is shrunk by a whole number before a checkpoint's image processor sees it."""


@READERS.register("image")
class ImageReader(Reader):
    """Pictures to squares of pixels, or to what a checkpoint's image processor makes of them.

    Args:
        part: The image processor of a pretrained encoder.
        size: Side of the square, without one.
        full_scale: What stands for white in pictures of more than 8 bits; None: each picture's own.
    """

    modality = "image"
    holds = Content.MEDIA
    may_share = holds_items = is_visual = True
    noun = "picture"

    def __init__(self, part: Any = None, *, size: int = 64, full_scale: float | None = None) -> None:
        self.part, self.size, self.full_scale = part, size, full_scale

    def read(self, cell: Any, root: Root) -> np.ndarray:
        """uint8 ``(3, size, size)``, or the image processor's floats."""
        gray = self.part is None
        return self._pixels(media.load_image(cell, root, gray=gray, full_scale=self.full_scale))

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

    def collate(self, items: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """``pixel_values`` ``(items, 3, height, width)``."""
        return {"pixel_values": torch.from_numpy(np.stack(items))}

    def settings(self) -> dict[str, Any]:
        """See :class:`Reader`."""
        return {"size": self.size} | ({"full_scale": self.full_scale} if self.full_scale else {})
