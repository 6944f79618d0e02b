"""Pictures: any Transformers vision encoder, convolutional or of patches."""

from __future__ import annotations

import math
import os
import sys
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoImageProcessor

from polymodal.data.readers import ImageReader, Reader
from polymodal.errors import ConfigError
from polymodal.models.encoders.augment.pictures import Levels, levels_of, vary
from polymodal.models.encoders.backbone import (
    SMALL_RESNET,
    BackboneEncoder,
    hidden_shape,
    is_checkpoint,
    known_sizes,
    require_channels,
)
from polymodal.models.encoders.base import ENCODERS, EncoderRequest, pool_grid
from polymodal.models.outputs import TokenSequence
from polymodal.utils.hub import load_pretrained
from polymodal.utils.records import Settings

COLOURS = 3
"""Channels of a picture."""


@ENCODERS.register("image")
class ImageEncoder(BackboneEncoder):
    """Pixels to one vector a patch: ``ImageEncoder("resnet")``, ``ImageEncoder("owner/name")``.

    Args:
        backbone: See :class:`BackboneEncoder`; by default a small residual network with GroupNorm.
        size: Side of the square the processor makes of a picture; a checkpoint has its own.
        shift: In training, how far a picture is moved at random, as a share of its side.
        crop: In training, smallest share of the area that a random crop keeps; 1 keeps all.
        flip: In training, mirror every other picture, left to right.
        colour: In training, strength of random changes of brightness, contrast, saturation and hue, up to 1.
        levels: What black and white are in each channel; by default as the checkpoint's processor makes them.
        layer: Of the hidden states, the one whose patches are the tokens, all of them, as LLaVA reads -2; by
            default the last, pooled to ``tokens``.
    """

    modality = "image"
    even = True
    axes = 2
    TOWER = "vision_model"
    READS = ("pixel_values",)
    DEFAULT_TYPE = "resnet"
    DEFAULT_SIZES = SMALL_RESNET

    def __init__(
        self,
        backbone: str | os.PathLike[str] | dict[str, Any] | None = None,
        *,
        size: int = 64,
        shift: float = 0.0,
        crop: float = 1.0,
        flip: bool = False,
        colour: float = 0.0,
        levels: Levels | None = None,
        layer: int | None = None,
        **options: Any,
    ) -> None:
        if isinstance(backbone, str) and not is_checkpoint(backbone):
            own = known_sizes(backbone).get("image_size")
            if own is not None:  # fixed when such a backbone is built
                options = {"image_size": [size, size] if isinstance(own, (list, tuple)) else size} | options
        super().__init__(backbone, **options)
        require_channels(self.backbone.config, COLOURS)
        self.size: int = own_size(self.backbone.config) or size
        self.shift, self.crop, self.flip, self.colour = shift, crop, flip, colour
        self.layer = layer
        self._check_layer()
        self.levels = known_levels(self.checkpoint) if colour and self.checkpoint else levels
        own_width = getattr(self.backbone.config, "hidden_size", None) if self.pretrained else None
        self.width: int = own_width or self._width()
        self.norm = nn.Identity() if self.pretrained else nn.LayerNorm(self.width)

    @classmethod
    def from_reader(cls, reader: Reader, request: EncoderRequest) -> ImageEncoder:
        """See :class:`Encoder`."""
        assert isinstance(reader, ImageReader)
        config = request.config
        layer = config.connector.layer if config.connector else None
        options = {"shift": request.shift, "layer": layer, **config.changes, **request.common}
        return cls(request.backbone, size=reader.size, **options)

    @property
    def reader_settings(self) -> Settings:
        """See :class:`Encoder`."""
        return {"size": self.size}

    def settings(self) -> Settings:
        """See :meth:`Encoder.settings`."""
        names = ("size", "shift", "crop", "flip", "colour", "levels", "layer")
        return super().settings() | {name: getattr(self, name) for name in names}

    def forward(self, *, row: Tensor, pixel_values: Tensor) -> TokenSequence:
        """Encode ``pixel_values`` ``(items, 3, height, width)``: uint8, or a checkpoint's own floats."""
        levels = self.levels
        if not pixel_values.is_floating_point():
            pixel_values, levels = pixel_values.to(self.dtype) / 127.5 - 1, None
        if self.varies:
            pixel_values = vary(
                pixel_values,
                shift=self.shift, crop=self.crop, flip=self.flip, colour=self.colour, levels=levels,
            )  # fmt: skip
        hidden = self._hidden(pixel_values.to(self.dtype))
        if hidden.dim() == 3:
            patch = getattr(self.backbone.config, "patch_size", None)
            hidden = patches_to_grid(hidden, pixel_values, patch if isinstance(patch, int) else None)
        tokens, grid = pool_grid(hidden, self.tokens if self.layer is None else sys.maxsize)
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return TokenSequence(self.norm(tokens), mask, row, grid)

    def _hidden(self, pixel_values: Tensor) -> Tensor:
        """The output of the layer that is read, for pixels."""
        if self.layer is None:
            return self.backbone(pixel_values=pixel_values).last_hidden_state
        layers = self.backbone(pixel_values=pixel_values, output_hidden_states=True).hidden_states
        return layers[self.layer]

    def _check_layer(self) -> None:
        """See that there is such a layer, and that it is as wide as the last.

        Raises:
            ConfigError: If there is none.
        """
        config: Any = self.backbone.config
        if self.layer is None:
            return
        reason = f"'layer' is {self.layer}, and a model of type '{config.model_type}' has"
        if hasattr(config, "depths") or not hasattr(config, "num_hidden_layers"):
            raise ConfigError(f"{reason} stages of several widths. Leave it out, or choose one such as clip")
        count = config.num_hidden_layers + 1  # and what goes into the first
        if not -count <= self.layer < count:
            raise ConfigError(f"{reason} {count} of them")

    def _width(self) -> int:
        """Width of the tokens, found by running the backbone once."""
        shape = hidden_shape(self.backbone, (1, COLOURS, self.size, self.size))
        return shape[1 if len(shape) == 4 else 2]


def known_levels(checkpoint: str) -> Levels:
    """The levels of the pixels that a checkpoint's own processor makes."""
    return levels_of(load_pretrained(AutoImageProcessor, checkpoint), checkpoint)


def own_size(config: Any) -> int | None:
    """The side of the pictures that a backbone was configured for, if its configuration has one."""
    size = getattr(config, "image_size", None)
    return size[0] if isinstance(size, (list, tuple)) else size


def patches_to_grid(hidden: Tensor, pixel_values: Tensor, patch: int | None = None) -> Tensor:
    """Patch tokens ``(items, prefix + rows·columns, width)`` as ``(items, width, rows, columns)``.

    Class and register tokens precede the patches and are skipped: they have no position in the grid.
    Where there are fewer tokens than patches of side ``patch``, the backbone has merged them evenly.
    """
    height, width = pixel_values.shape[2:]
    rows, columns = (height // patch, width // patch) if patch else (height, width)
    if rows * columns > hidden.shape[1]:
        rows = math.isqrt(hidden.shape[1] * height // width)
        columns = hidden.shape[1] // rows
    patches = hidden[:, -rows * columns :]
    return patches.transpose(1, 2).unflatten(2, (rows, columns))
