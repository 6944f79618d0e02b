"""Pictures: any Transformers vision encoder, convolutional or of patches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from polymodal.models.encoders.backbone import BackboneEncoder
from polymodal.models.encoders.base import ENCODERS, pool_grid
from polymodal.models.outputs import TokenSequence


@ENCODERS.register("image")
class ImageEncoder(BackboneEncoder):
    """Pixels to one vector a patch: ``ImageEncoder("resnet")``, ``ImageEncoder("google/siglip2-base-patch16-224")``.

    Args:
        backbone: See :class:`BackboneEncoder`; by default a small residual network with GroupNorm.
        size: Side of the square the processor makes of a picture (from scratch only).
        shift: In training, how far a picture from scratch is moved at random, as a share of its side.
    """

    modality = "image"
    axes = 2
    DEFAULT_TYPE = "resnet"
    DEFAULT_SIZES = {
        "embedding_size": 32,
        "hidden_sizes": [32, 64, 128],
        "depths": [1, 1, 1],
        "layer_type": "basic",
    }

    def __init__(
        self, backbone: str | dict[str, Any] | None = None, *, size: int = 64, shift: float = 0.0, **options: Any
    ) -> None:
        super().__init__(backbone, **options)
        self.size, self.shift = own_size(self.config) or size, shift
        config = getattr(self.config, "vision_config", self.config)
        self.width: int = getattr(config, "hidden_size", None) or config.hidden_sizes[-1]
        self.norm = nn.Identity() if self.pretrained else nn.LayerNorm(self.width)

    def settings(self) -> dict[str, Any]:
        """See :meth:`Encoder.settings`."""
        return super().settings() | {"size": self.size, "shift": self.shift}

    def forward(self, *, row: Tensor, pixel_values: Tensor) -> TokenSequence:  # type: ignore[override]
        """Encode ``pixel_values`` ``(items, 3, height, width)``: uint8, or floats as a checkpoint wants them."""
        if not pixel_values.is_floating_point():
            pixel_values = pixel_values.to(self.dtype) / 127.5 - 1
        if self.training and self.shift:
            pixel_values = random_shift(pixel_values, self.shift)
        hidden = self.backbone(pixel_values=pixel_values).last_hidden_state
        if hidden.dim() == 3:
            hidden = patches_to_grid(hidden, pixel_values)
        tokens, grid = pool_grid(hidden, self.tokens)
        return TokenSequence(self.norm(tokens), tokens.new_ones(tokens.shape[:2], dtype=torch.bool), row, grid)

    @property
    def dtype(self) -> torch.dtype:
        """Type of the backbone's weights."""
        return next(self.backbone.parameters()).dtype


def own_size(config: Any) -> int | None:
    """The side of the pictures that a backbone was configured for, where it says so."""
    size = getattr(getattr(config, "vision_config", config), "image_size", None)
    return size[0] if isinstance(size, (list, tuple)) else size


def patches_to_grid(hidden: Tensor, pixel_values: Tensor) -> Tensor:
    """Patch tokens ``(items, prefix + rows·columns, width)`` as ``(items, width, rows, columns)``.

    Class and register tokens stand before the patches and are left out: they have no place in the grid.
    """
    aspect = pixel_values.shape[2] / pixel_values.shape[3]
    rows = int((hidden.shape[1] * aspect) ** 0.5)
    columns = int(rows / aspect)
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
