"""The modality ``depth`` as another package would bring it: 16-bit pictures whose values are millimetres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import polymodal as pm
from polymodal.data.media import LIMITS, describe, open_cell

FAR = 10.0
"""Metres that count as 1."""


class DepthReader(pm.Reader):
    """Depth maps to logarithms of metres and a mask of the pixels that were measured; 0 mm is unknown.

    Args:
        size: Side of the square.
    """

    modality = "depth"
    holds = pm.Content.MEDIA
    may_share = holds_items = True
    noun = "depth map"
    input_settings = ("size", "items", "tokens")

    def __init__(self, *, size: int = 32) -> None:
        self.size = size

    @classmethod
    def fit(cls, columns: Any) -> DepthReader:
        """The side is declared, or that of most maps."""
        sides = [max(size) for size in columns.measured(cls.measure)]
        return cls(size=columns.config.size or min(32, int(np.median(sides or [32]))))

    @classmethod
    def for_encoder(cls, encoder: object, cells: Sequence[Any]) -> DepthReader:
        """The encoder reads any size."""
        return cls()

    @classmethod
    def measure(cls, item: Any, root: Any) -> tuple[float, ...]:
        """Width and height in pixels."""
        return millimetres(item, root).shape[::-1]

    @classmethod
    def describe_sizes(cls, sizes: Sequence[tuple[float, ...]]) -> str:
        """The largest of them."""
        return "up to {:.0f}×{:.0f} pixels".format(*max(sizes))

    def read(self, cell: Any, root: Any) -> np.ndarray:
        """float32 ``(2, size, size)``: the logarithm, then the mask."""
        picture = Image.fromarray(millimetres(cell, root)).resize((self.size, self.size), Image.NEAREST)
        values = np.asarray(picture, dtype=np.float32)
        return np.stack([np.log1p(values / 1000) / np.log1p(FAR), values > 0]).astype(np.float32)

    def blank(self) -> np.ndarray:
        """A map of which nothing is known."""
        return np.zeros((2, self.size, self.size), dtype=np.float32)

    def collate(self, items: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """``depth`` ``(items, 2, size, size)``."""
        return {"depth": torch.from_numpy(np.stack(items))}

    def settings(self) -> dict[str, Any]:
        """The arguments that build this reader again."""
        return {"size": self.size}


class DepthEncoder(pm.Encoder):
    """A small convolutional network, pooled to a grid of 2 × 2 tokens.

    Args:
        width: Of the tokens.
    """

    modality = "depth"
    even = True
    axes = 2

    def __init__(self, *, width: int = 16) -> None:
        super().__init__()
        self.width, self.tokens = width, 4
        self.net = nn.Sequential(
            nn.Conv2d(2, width, 3, stride=2, padding=1), nn.GroupNorm(4, width), nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1), nn.AdaptiveAvgPool2d(2),
        )  # fmt: skip
        self.norm = nn.LayerNorm(width)

    def settings(self) -> dict[str, Any]:
        """The arguments that build this encoder again."""
        return {"width": self.width}

    def forward(self, *, row: Tensor, depth: Tensor) -> pm.TokenSequence:
        """Encode ``depth`` ``(items, 2, height, width)``."""
        tokens = self.norm(self.net(depth.to(self.norm.weight.dtype)).flatten(2).transpose(1, 2))
        return pm.TokenSequence(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool), row, (2, 2))


def millimetres(cell: Any, root: Any) -> np.ndarray:
    """The values of a map, int32 ``(height, width)``.

    Raises:
        MediaError: If it is no picture of 16 bits.
    """
    expected, cure = "a PNG of 16 bits, in millimetres", "Export the depth maps again."
    with open_cell(cell, root, LIMITS) as stream:
        try:
            picture = Image.open(stream)
            values = np.asarray(picture)
        except OSError:
            raise pm.MediaError(
                found=f"{describe(cell)} is no picture", expected=expected, cure=cure
            ) from None
    if not picture.mode.startswith("I"):
        found = f"{describe(cell)} is a picture of 8 bits"
        raise pm.MediaError(found=found, expected=expected, cure=cure)
    return values.astype(np.int32)
