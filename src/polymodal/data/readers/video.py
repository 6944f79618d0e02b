"""Clips."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from polymodal.data.media.path_access import Root
from polymodal.data.media.video import load_video, sample_frames, video_info
from polymodal.data.readers.base import READERS, Reader
from polymodal.data.readers.content import Content
from polymodal.data.readers.image import declared_size, shown_pixels, usual_side
from polymodal.data.readers.items import shown_range
from polymodal.errors import ConfigError
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    from polymodal.config import InputConfig
    from polymodal.data.readers.columns import TrainingColumns

LARGEST_CLIP, USUAL_FRAMES = 64, 8
"""A clip costs as many pictures as it has frames."""


@READERS.register("video")
class VideoReader(Reader):
    """Clips to a few frames sampled evenly, each a square of pixels or what a checkpoint's processor makes.

    Args:
        part: The image processor of a pretrained encoder; it takes one frame at a time.
        frames: How many are sampled, one from the middle of each of as many equal stretches.
        size: Side of the square, without a processor.
    """

    modality = "video"
    holds = Content.MEDIA
    may_share = holds_items = is_visual = True
    noun = "clip"
    required = ("frames", "size")
    part_class = "AutoImageProcessor"  # AutoVideoProcessor needs torchvision

    def __init__(self, part: Any = None, *, frames: int = 8, size: int = 64) -> None:
        self.part, self.frames, self.size = part, frames, size

    @classmethod
    def fit(cls, columns: TrainingColumns) -> VideoReader:
        """See :class:`Reader`; the side is that of most clips, within limits.

        Raises:
            ConfigError: If ``frames`` is not what the encoder reads.
        """
        part, own = cls.part_of_checkpoint(columns.checkpoint), columns.sizes.get("num_frames")
        if columns.checkpoint:  # one of pictures reads any number of frames, one of clips its own
            own = _frames_of(columns.checkpoint)
        if own and columns.config.frames not in (None, own):
            wrong = (
                f"'frames' cannot be {columns.config.frames}: the encoder of '{columns.names[0]}' reads {own}"
            )
            raise ConfigError(f"{wrong}. Leave 'frames' out")
        size = declared_size(columns)
        if not size:
            sides = [(info.width, info.height) for info in columns.measured(video_info)]
            size = min(LARGEST_CLIP, usual_side(sides))
        return cls(part, frames=own or columns.config.frames or USUAL_FRAMES, size=size)

    @classmethod
    def for_encoder(cls, encoder: object, cells: Sequence[Any]) -> VideoReader:
        """See :class:`Reader`."""
        part = cls.part_of_checkpoint(getattr(encoder, "checkpoint", None))
        return cls(part, frames=getattr(encoder, "frames", 8), size=getattr(encoder, "size", 64))

    @classmethod
    def open(cls, item: Any, root: Root, config: InputConfig) -> None:
        """See :class:`Reader`."""
        for _ in sample_frames(item, root, frames=config.frames or USUAL_FRAMES):
            pass

    @classmethod
    def measure(cls, item: Any, root: Root) -> tuple[float, ...]:
        """Seconds, width, height and frames."""
        return video_info(item, root)

    @classmethod
    def describe_sizes(cls, sizes: Sequence[tuple[float, ...]]) -> str:
        """``1.2 s, 30 frames of 64×64 pixels``."""
        seconds, counts = (shown_range((size[index] for size in sizes), ".3g") for index in (0, 3))
        return f"{seconds} s, {counts} frames of {shown_pixels([size[1:3] for size in sizes])} pixels"

    def read(self, cell: Any, root: Root) -> np.ndarray:
        """uint8 ``(frames, 3, size, size)``, or the processor's floats."""
        if self.part is not None:
            return np.stack([self._process(image) for image in sample_frames(cell, root, frames=self.frames)])
        clip = load_video(cell, root, frames=self.frames, size=self.size)
        return np.ascontiguousarray(clip.transpose(0, 3, 1, 2))

    def describe_kept(self) -> str:
        """See :class:`Reader`; the processor of a checkpoint has its own size."""
        side = "" if self.part is not None else f" of {self.size} × {self.size} px"
        return f"{self.frames} frames{side}"

    def blank(self) -> np.ndarray:
        """Black frames."""
        if self.part is not None:
            return np.stack([self._process(Image.new("RGB", (self.size, self.size)))] * self.frames)
        return np.zeros((self.frames, 3, self.size, self.size), dtype=np.uint8)

    def _process(self, image: Image.Image) -> np.ndarray:
        """``(3, height, width)`` of a frame, whether the processor is one of pictures or of clips."""
        pixels = np.asarray(self.part([image], return_tensors="np")["pixel_values"])
        return pixels.reshape(pixels.shape[-3:])

    def arrays(self, items: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """``pixel_values`` ``(items, frames, 3, height, width)``."""
        return {"pixel_values": np.stack(items)}

    def settings(self) -> Settings:
        """See :class:`Reader`."""
        return {"frames": self.frames, "size": self.size}


def _frames_of(checkpoint: str) -> int | None:
    """How many frames a pretrained encoder reads; None for any number."""
    from transformers import AutoConfig

    from polymodal.utils.hub import load_pretrained

    return getattr(load_pretrained(AutoConfig, checkpoint), "num_frames", None)
