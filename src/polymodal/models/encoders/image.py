"""Pictures: any Transformers vision encoder, convolutional or of patches."""

from __future__ import annotations

import math
import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from polymodal.models.encoders.backbone import (
    SMALL_RESNET,
    BackboneEncoder,
    is_checkpoint,
    known_sizes,
    run_once,
)
from polymodal.models.encoders.base import ENCODERS, pool_grid
from polymodal.models.outputs import TokenSequence


@ENCODERS.register("image")
class ImageEncoder(BackboneEncoder):
    """Pixels to one vector a patch: ``ImageEncoder("resnet")``, ``ImageEncoder("owner/name")``.

    Args:
        backbone: See :class:`BackboneEncoder`; by default a small residual network with GroupNorm.
        size: Side of the square the processor makes of a picture; a checkpoint has its own.
        shift: In training, how far a picture from scratch is moved at random, as a share of its side.
    """

    modality = "image"
    axes = 2
    DEFAULT_TYPE = "resnet"
    DEFAULT_SIZES = SMALL_RESNET

    def __init__(
        self,
        backbone: str | os.PathLike[str] | dict[str, Any] | None = None,
        *,
        size: int = 64,
        shift: float = 0.0,
        **options: Any,
    ) -> None:
        if isinstance(backbone, str) and not is_checkpoint(backbone):
            own = known_sizes(backbone).get("image_size")
            if own is not None:  # fixed when such a backbone is built
                options = {"image_size": [size, size] if isinstance(own, (list, tuple)) else size} | options
        super().__init__(backbone, **options)
        self.size: int = own_size(self.backbone.config) or size
        self.shift = shift
        own_width = getattr(self.backbone.config, "hidden_size", None) if self.pretrained else None
        self.width: int = own_width or self._width()
        self.norm = nn.Identity() if self.pretrained else nn.LayerNorm(self.width)

    def settings(self) -> dict[str, Any]:
        """See :meth:`Encoder.settings`."""
        return super().settings() | {"size": self.size, "shift": self.shift}

    def forward(self, *, row: Tensor, pixel_values: Tensor) -> TokenSequence:  # type: ignore[override]
        """Encode ``pixel_values`` ``(items, 3, height, width)``: uint8, or a checkpoint's own floats."""
        if not pixel_values.is_floating_point():
            pixel_values = pixel_values.to(self.dtype) / 127.5 - 1
        if self.training and self.shift:
            pixel_values = random_shift(pixel_values, self.shift)
        hidden = self.backbone(pixel_values=pixel_values).last_hidden_state
        if hidden.dim() == 3:
            patch = getattr(self.backbone.config, "patch_size", None)
            hidden = patches_to_grid(hidden, pixel_values, patch if isinstance(patch, int) else None)
        tokens, grid = pool_grid(hidden, self.tokens)
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return TokenSequence(self.norm(tokens), mask, row, grid)

    def _width(self) -> int:
        """Width of the tokens, found by running the backbone once."""
        channels = getattr(self.backbone.config, "num_channels", 3)
        hidden = run_once(self.backbone, (1, channels, self.size, self.size))
        return hidden.shape[1 if hidden.dim() == 4 else 2]

    @property
    def dtype(self) -> torch.dtype:
        """Type of the backbone's weights."""
        return next(self.backbone.parameters()).dtype


def own_size(config: Any) -> int | None:
    """The side of the pictures that a backbone was configured for, where it says so."""
    size = getattr(config, "image_size", None)
    return size[0] if isinstance(size, (list, tuple)) else size


def patches_to_grid(hidden: Tensor, pixel_values: Tensor, patch: int | None = None) -> Tensor:
    """Patch tokens ``(items, prefix + rows·columns, width)`` as ``(items, width, rows, columns)``.

    Class and register tokens stand before the patches and are left out: they have no place in the grid.
    Where there are fewer tokens than patches of side ``patch``, the backbone has merged them evenly.
    """
    height, width = pixel_values.shape[2:]
    rows, columns = (height // patch, width // patch) if patch else (height, width)
    if rows * columns > hidden.shape[1]:
        rows = math.isqrt(hidden.shape[1] * height // width)
        columns = hidden.shape[1] // rows
    patches = hidden[:, -rows * columns :]
    return patches.transpose(1, 2).unflatten(2, (rows, columns))


def random_shift(pixels: Tensor, share: float) -> Tensor:
    """Move each picture by up to ``share`` of its side, the border repeated."""
    far = max(1, round(share * pixels.shape[-1]))
    padded = F.pad(pixels, (far, far, far, far), mode="replicate")
    moves = torch.randint(0, 2 * far + 1, (2, len(pixels)), device=pixels.device)
    height, width = pixels.shape[2:]
    y = moves[0, :, None] + torch.arange(height, device=pixels.device)
    x = moves[1, :, None] + torch.arange(width, device=pixels.device)
    item = torch.arange(len(pixels), device=pixels.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[item, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2).contiguous()
