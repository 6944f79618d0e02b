"""Clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from polymodal.data.media.path_access import Root
from polymodal.data.media.video import load_video, sample_frames
from polymodal.data.readers.base import READERS, Content, Reader


@READERS.register("video")
class VideoReader(Reader):
    """Clips to a few frames sampled evenly, each a square of pixels or what a checkpoint's processor makes.

    Args:
        part: The image processor of a pretrained encoder; it is given one frame at a time.
        frames: How many are sampled, one from the middle of each of as many equal stretches.
        size: Side of the square, without a processor.
    """

    modality = "video"
    holds = Content.MEDIA
    may_share = holds_items = is_visual = True
    noun = "clip"

    def __init__(self, part: Any = None, *, frames: int = 8, size: int = 64) -> None:
        self.part, self.frames, self.size = part, frames, size

    def read(self, cell: Any, root: Root) -> np.ndarray:
        """uint8 ``(frames, 3, size, size)``, or the processor's floats."""
        if self.part is not None:
            return np.stack([self._process(image) for image in sample_frames(cell, root, frames=self.frames)])
        clip = load_video(cell, root, frames=self.frames, size=self.size)
        return np.ascontiguousarray(clip.transpose(0, 3, 1, 2))

    def blank(self) -> np.ndarray:
        """Black frames."""
        if self.part is not None:
            return np.stack([self._process(Image.new("RGB", (self.size, self.size)))] * self.frames)
        return np.zeros((self.frames, 3, self.size, self.size), dtype=np.uint8)

    def _process(self, image: Image.Image) -> np.ndarray:
        """``(3, height, width)`` of a frame, whether the processor is one of pictures or of clips."""
        pixels = np.asarray(self.part([image], return_tensors="np")["pixel_values"])
        return pixels.reshape(pixels.shape[-3:])

    def collate(self, items: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """``pixel_values`` ``(items, frames, 3, height, width)``."""
        return {"pixel_values": torch.from_numpy(np.stack(items))}

    def settings(self) -> dict[str, Any]:
        """See :class:`Reader`."""
        return {"frames": self.frames, "size": self.size}
