"""Clips: a picture network over each frame, or a Transformers video model over them all."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn

from polymodal.data.readers import Reader, VideoReader
from polymodal.models.encoders.augment.pictures import Levels, vary
from polymodal.models.encoders.backbone import (
    SMALL_RESNET,
    BackboneEncoder,
    hidden_shape,
    known_sizes,
    require_channels,
)
from polymodal.models.encoders.base import ENCODERS, EncoderRequest, pool_clip
from polymodal.models.encoders.image import COLOURS, known_levels, own_size, patches_to_grid
from polymodal.models.outputs import TokenSequence
from polymodal.utils.records import Settings

WITH_CHANGE = 2 * COLOURS
"""Channels of a frame that is seen beside its change."""
TIME_LAST = ("timesformer",)
"""Model types whose tokens run through time first, then through space."""


@ENCODERS.register("video")
class VideoEncoder(BackboneEncoder):
    """A clip to one vector per patch and step: ``VideoEncoder("resnet")``, ``VideoEncoder("owner/name")``.

    A picture backbone (ResNet, ViT, SigLIP, …) reads the frames one by one; a video backbone (VideoMAE,
    ViViT, TimeSformer) reads the clip. Either way the tokens lie in a grid of frames, rows and columns.

    A picture backbone from scratch sees each frame beside its difference to the frame before (the RGB
    difference of Wang et al. 2016, section 3.2), in three more channels that are zero for the first frame:
    movement shows in no single frame, and is hard to learn from positions alone where clips are few.
    ``num_channels=3`` leaves the difference out. A checkpoint of pictures sees what it was trained on, the
    frames alone.

    Args:
        backbone: See :class:`BackboneEncoder`; by default a small residual network with GroupNorm.
        frames: Sampled from a clip; a video backbone from a checkpoint has its own number.
        size: Side of the square the processor makes of a frame; a checkpoint has its own.
        shift: In training, how far a clip is moved at random, as a share of its side; all frames alike, as in
            all that follows.
        crop: In training, smallest share of the area that a random crop keeps; 1 keeps all.
        flip: In training, mirror every other clip, left to right.
        colour: In training, strength of random changes of brightness, contrast, saturation and hue, up to 1.
        levels: What black and white are in each channel; by default as the checkpoint's processor makes them.
    """

    modality = "video"
    even = True
    axes = 3
    TOWER = "vision_model"
    READS = ("pixel_values",)
    DEFAULT_TYPE = "resnet"
    DEFAULT_SIZES = SMALL_RESNET

    def __init__(
        self,
        backbone: str | os.PathLike[str] | dict[str, Any] | None = None,
        *,
        frames: int = 8,
        size: int = 64,
        shift: float = 0.0,
        crop: float = 1.0,
        flip: bool = False,
        colour: float = 0.0,
        levels: Levels | None = None,
        **options: Any,
    ) -> None:
        kind = self.scratch_type(backbone)
        if kind:
            options = fitting_sizes(kind, frames, size) | options
        super().__init__(backbone, **options)
        config = self.backbone.config
        self.reads_clips = hasattr(config, "num_frames")
        self.frames: int = config.num_frames if self.reads_clips else frames
        self.size: int = own_size(config) or size
        self.shift, self.crop, self.flip, self.colour = shift, crop, flip, colour
        self.levels = known_levels(self.checkpoint) if colour and self.checkpoint else levels
        channels = getattr(config, "num_channels", COLOURS)
        require_channels(config, *([COLOURS] if self.reads_clips else [COLOURS, WITH_CHANGE]))
        self.sees_change = channels == WITH_CHANGE
        own_width = getattr(config, "hidden_size", None) if self.pretrained else None
        self.width: int = own_width or self._width(channels)
        self.norm = nn.Identity() if self.pretrained else nn.LayerNorm(self.width)

    @classmethod
    def from_reader(cls, reader: Reader, request: EncoderRequest) -> VideoEncoder:
        """See :class:`Encoder`."""
        assert isinstance(reader, VideoReader)
        options = {"shift": request.shift, **request.config.changes, **request.common}
        return cls(request.backbone, frames=reader.frames, size=reader.size, **options)

    @property
    def reader_settings(self) -> Settings:
        """See :class:`Encoder`."""
        return {"frames": self.frames, "size": self.size}

    def settings(self) -> Settings:
        """See :meth:`Encoder.settings`."""
        names = ("frames", "size", "shift", "crop", "flip", "colour", "levels")
        return super().settings() | {name: getattr(self, name) for name in names}

    def forward(self, *, row: Tensor, pixel_values: Tensor) -> TokenSequence:
        """Encode ``pixel_values`` ``(items, frames, 3, height, width)``: uint8, or a processor's floats."""
        levels = self.levels
        if not pixel_values.is_floating_point():
            pixel_values = pixel_values.to(self.dtype) / 127.5 - 1
            levels = None
        if self.varies:
            pixel_values = vary(
                pixel_values,
                shift=self.shift, crop=self.crop, flip=self.flip, colour=self.colour, levels=levels,
            )  # fmt: skip
        pixel_values = pixel_values.to(self.dtype)
        hidden = self._clip(pixel_values) if self.reads_clips else self._frames(pixel_values)
        tokens, grid = pool_clip(hidden, self.tokens)
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return TokenSequence(self.norm(tokens), mask, row, grid)

    def _frames(self, clips: Tensor) -> Tensor:
        """A picture backbone over every frame: ``(items, width, frames, rows, columns)``."""
        if self.sees_change:
            change = torch.cat([torch.zeros_like(clips[:, :1]), clips[:, 1:] - clips[:, :-1]], dim=1)
            clips = torch.cat([clips, change], dim=2)
        pictures = clips.flatten(0, 1)
        hidden = self.backbone(pixel_values=pictures).last_hidden_state
        if hidden.dim() == 3:
            patch = getattr(self.backbone.config, "patch_size", None)
            hidden = patches_to_grid(hidden, pictures, patch if isinstance(patch, int) else None)
        return hidden.unflatten(0, clips.shape[:2]).transpose(1, 2)

    def _clip(self, clips: Tensor) -> Tensor:
        """A video backbone over the clip: ``(items, width, steps, rows, columns)``."""
        config = self.backbone.config
        hidden = self.backbone(pixel_values=clips).last_hidden_state
        steps, rows, columns = clip_grid(config, clips)
        # A class token precedes the patches and is skipped: it has no position in the grid.
        patches = hidden[:, -steps * rows * columns :].transpose(1, 2)
        if config.model_type in TIME_LAST:
            return patches.unflatten(2, (rows, columns, steps)).movedim(4, 2)
        return patches.unflatten(2, (steps, rows, columns))

    def _width(self, channels: int) -> int:
        """Width of the tokens, found by running the backbone once."""
        pixels = (channels, self.size, self.size)
        shape = hidden_shape(self.backbone, (1, self.frames, *pixels) if self.reads_clips else (1, *pixels))
        return shape[1 if len(shape) == 4 else 2]


def fitting_sizes(model_type: str, frames: int, size: int) -> Settings:
    """The sizes of a backbone from scratch that follow from the clips it reads."""
    known = known_sizes(model_type)
    fitting: Settings = {}
    if known.get("image_size") is not None:
        fitting["image_size"] = [size, size] if isinstance(known["image_size"], (list, tuple)) else size
    if "num_frames" in known:
        fitting["num_frames"] = frames
    elif "num_channels" in known:
        fitting["num_channels"] = WITH_CHANGE
    return fitting


def clip_grid(config: Any, clips: Tensor) -> tuple[int, int, int]:
    """Steps, rows and columns of the patches that a video backbone cuts ``clips`` into.

    Its tubelets (VideoMAE, ViViT) span several frames each; TimeSformer has none.
    """
    tubelet = getattr(config, "tubelet_size", 1)
    deep, *wide = tubelet if isinstance(tubelet, (list, tuple)) else [tubelet]
    tall, broad = wide or [config.patch_size] * 2
    return clips.shape[1] // deep, clips.shape[3] // tall, clips.shape[4] // broad
