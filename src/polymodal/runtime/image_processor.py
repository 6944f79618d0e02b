"""The image processor of a pretrained encoder from ``preprocessor_config.json``, without Transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from polymodal.runtime.file_part import FilePart

STEPS = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb")
"""The steps that are known, in their order; conversion to RGB has happened when a picture was read."""


class FileImageProcessor(FilePart):
    """Resizing, cropping in the middle, rescaling and normalization, as image processors of Transformers do.

    Args:
        settings: Those of an image processor, as Transformers writes them.

    Raises:
        ValueError: If it has another step, or a setting is missing.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        for name, value in settings.items():
            if name.startswith("do_") and value and name not in STEPS:
                raise ValueError(f"an image processor with the step '{name}'")
        steps = [name for name in STEPS if settings.get(name)]
        self.size = dict(settings["size"]) if "do_resize" in steps else {}
        self.resample = Image.Resampling(int(settings.get("resample", Image.Resampling.BILINEAR)))
        self.crop = dict(settings["crop_size"]) if "do_center_crop" in steps else {}
        self.factor = float(settings["rescale_factor"]) if "do_rescale" in steps else 1.0
        is_scaled = "do_normalize" in steps
        self.mean = _channels(settings["image_mean"] if is_scaled else 0.0)
        self.deviation = _channels(settings["image_std"] if is_scaled else 1.0)
        if self.size and not self.size.keys() & {"shortest_edge", "height"}:
            raise ValueError(f"an image processor with the size {self.size}")

    def __call__(
        self, images: Image.Image | Sequence[Image.Image], return_tensors: str = "np"
    ) -> dict[str, np.ndarray]:
        """``pixel_values`` ``(images, 3, height, width)`` float32 of pictures in RGB."""
        several = [images] if isinstance(images, Image.Image) else images
        return {"pixel_values": np.stack([self._pixels(image) for image in several])}

    def _pixels(self, image: Image.Image) -> np.ndarray:
        if self.size:
            image = image.resize(self._resized(image), self.resample)
        if self.crop:
            left, top = (image.width - self.crop["width"]) // 2, (image.height - self.crop["height"]) // 2
            image = image.crop((left, top, left + self.crop["width"], top + self.crop["height"]))
        pixels = np.asarray(image).transpose(2, 0, 1)
        scaled = (pixels.astype(np.float64) * self.factor).astype(np.float32)
        return (scaled - self.mean) / self.deviation

    def _resized(self, image: Image.Image) -> tuple[int, int]:
        """Width and height after resizing."""
        if "height" in self.size:
            return int(self.size["width"]), int(self.size["height"])
        short = int(self.size["shortest_edge"])
        if image.width <= image.height:
            return short, int(short * image.height / image.width)
        return int(short * image.width / image.height), short


def _channels(values: Any) -> np.ndarray:
    """``(channels, 1, 1)`` float32, or one number for all channels."""
    return np.array(values, dtype=np.float32).reshape(-1, 1, 1)
