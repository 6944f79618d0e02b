"""Features of pictures: small pixels, histograms of colours and histograms of oriented gradients."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from polymodal.plain.blocks import Columns
from polymodal.plain.features.base import CHUNK, FEATURIZERS, Featurizer, Matrix, dense

GRAY, COLOUR = 16, 8
"""Sides of the small gray and coloured picture."""
SIDE, CELLS, ORIENTATIONS = 48, 6, 9
"""Of the gradients: side of the picture, cells per side, directions of 180 degrees."""
CUT = 0.2
"""Where a normalized gradient is cut (L2-Hys)."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
HUES, LEVELS = 12, 8
CHANNELS = ("red", "green", "blue")


@FEATURIZERS.register("image")
class ImageFeaturizer(Featurizer):
    """Pictures, as squares of uint8 pixels, to small pixels, colours and gradients."""

    modality = "image"

    def learn(self, items: Sequence[np.ndarray]) -> None:
        """See :class:`Featurizer`."""
        self.columns = {part: Columns(names, "number") for part, names in column_names().items()}

    def features(self, items: Sequence[np.ndarray]) -> Mapping[str, Matrix]:
        """See :class:`Featurizer`."""
        chunks = [picture_features(np.stack(items[at : at + CHUNK])) for at in range(0, len(items), CHUNK)]
        return {part: dense(np.concatenate([chunk[part] for chunk in chunks])) for part in self.columns}


def column_names() -> dict[str, tuple[str, ...]]:
    """By part of :func:`picture_features`, the names of its columns."""
    gray = [f"gray at row {row}, column {column}" for row, column in np.ndindex(GRAY, GRAY)]
    colour = [f"{name} at row {row}, column {column}" for name, row, column in _colour_index()]
    hues = [f"hue {360 * number // HUES} degrees" for number in range(HUES)]
    levels = [f"{name} level {number}" for name in ("saturation", "value") for number in range(LEVELS)]
    moments = [f"{moment} {name}" for moment in ("mean", "deviation of") for name in CHANNELS]
    cells = [
        f"gradient {180 * angle // ORIENTATIONS} degrees, cell {row} {column}"
        for row, column, angle in np.ndindex(CELLS, CELLS, ORIENTATIONS)
    ]
    return {
        "pixels": (*gray, *colour),
        "colours": (*hues, *levels, *moments),
        "gradients": tuple(cells),
    }


def _colour_index() -> list[tuple[str, int, int]]:
    return [(name, row, column) for name in CHANNELS for row, column in np.ndindex(COLOUR, COLOUR)]


def picture_features(pictures: np.ndarray) -> dict[str, np.ndarray]:
    """The features of pictures ``(items, 3, side, side)`` of 0 to 255, by part."""
    scaled = pictures.astype(np.float32) / 255
    gray = np.einsum("nchw,c->nhw", scaled, LUMA)
    small = [shrink(gray, GRAY).reshape(len(gray), -1), shrink(scaled, COLOUR).reshape(len(gray), -1)]
    return {
        "pixels": np.concatenate(small, axis=1),
        "colours": colours(scaled),
        "gradients": gradients(shrink(scaled, SIDE)),
    }


def shrink(pictures: np.ndarray, side: int) -> np.ndarray:
    """Pictures ``(…, height, width)`` as squares of ``side``: means over areas, interpolated if larger."""
    rows, columns = _weights(pictures.shape[-2], side), _weights(pictures.shape[-1], side)
    return rows @ pictures @ columns.T


@lru_cache(maxsize=64)
def _weights(size: int, side: int) -> np.ndarray:
    """``(side, size)``: by how much each of ``size`` pixels covers each of ``side`` new ones."""
    if size == side:
        return np.eye(side, dtype=np.float32)
    centres = (np.arange(side) + 0.5) * size / side
    if size < side:  # linear interpolation between the centres of pixels
        near = np.maximum(0, 1 - np.abs(np.arange(size) + 0.5 - np.clip(centres, 0.5, size - 0.5)[:, None]))
    else:
        half = size / side / 2
        low, high = (centres - half)[:, None], (centres + half)[:, None]
        near = np.maximum(0, np.minimum(high, np.arange(size) + 1) - np.maximum(low, np.arange(size)))
    return (near / near.sum(axis=1, keepdims=True)).astype(np.float32)


def colours(pictures: np.ndarray) -> np.ndarray:
    """Histograms of hue (weighted by saturation and value), saturation and value; moments of each channel.

    Args:
        pictures: ``(items, 3, height, width)`` of 0 to 1.
    """
    flat = shrink(pictures, 32).reshape(len(pictures), 3, -1)
    value, least = flat.max(axis=1), flat.min(axis=1)
    chroma = value - least
    saturation = chroma / np.maximum(value, 1e-6)
    hues = _histogram(_hue(flat, value, chroma) * HUES, chroma, HUES)
    levels = [_histogram(part * LEVELS, np.ones_like(part), LEVELS) for part in (saturation, value)]
    return np.concatenate([hues, *levels, flat.mean(axis=2), flat.std(axis=2)], axis=1)


def _hue(flat: np.ndarray, value: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Hue ``(items, pixels)`` from 0 to 1 (Smith 1978); 0 for gray."""
    red, green, blue = flat[:, 0], flat[:, 1], flat[:, 2]
    safe = np.maximum(chroma, 1e-6)
    is_red, is_green = value == red, value == green
    sixth = np.where(is_red, (green - blue) / safe % 6, (red - green) / safe + 4)
    sixth = np.where(~is_red & is_green, (blue - red) / safe + 2, sixth)
    return sixth / 6 % 1


def _histogram(position: np.ndarray, weight: np.ndarray, bins: int) -> np.ndarray:
    """The mean weight per bin ``(items, bins)``; square roots, which make rare colours count more."""
    items, pixels = position.shape
    index = np.clip(position.astype(np.int64), 0, bins - 1) + np.arange(items)[:, None] * bins
    total = np.bincount(index.ravel(), weight.ravel(), items * bins).reshape(items, bins)
    return np.sqrt(total / pixels)


def gradients(pictures: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients (Dalal & Triggs 2005) of pictures ``(items, 3, SIDE, SIDE)``.

    Unsigned directions; each gradient is shared between the nearest two directions and four cells. Each cell
    is normalized by L2-Hys in all blocks of 2 × 2 cells that hold it; the mean of these, as in Felzenszwalb
    et al. (2010), takes a quarter of the columns.

    Returns:
        ``(items, CELLS² × ORIENTATIONS)``.
    """
    down, right = np.gradient(pictures, axis=(-2, -1))
    strength = np.hypot(down, right)
    strongest = strength.argmax(axis=1)[:, None]  # the channel with the largest gradient, per pixel
    down, right, strength = (
        np.take_along_axis(part, strongest, axis=1)[:, 0] for part in (down, right, strength)
    )
    position = np.arctan2(down, right) / np.pi % 1 * ORIENTATIONS
    low = np.floor(position).astype(np.int64)
    upper = position - low
    share = _cell_weights()
    cells = np.empty((len(pictures), CELLS, CELLS, ORIENTATIONS), np.float32)
    for angle in range(ORIENTATIONS):
        part = (low % ORIENTATIONS == angle) * (1 - upper) + ((low + 1) % ORIENTATIONS == angle) * upper
        cells[..., angle] = share @ (strength * part) @ share.T
    return _normalized(cells).reshape(len(cells), -1)


@lru_cache(maxsize=1)
def _cell_weights() -> np.ndarray:
    """``(CELLS, SIDE)``: by how much each pixel counts for each cell, falling linearly from its centre."""
    size = SIDE / CELLS
    apart = np.abs((np.arange(SIDE) + 0.5) / size - 0.5 - np.arange(CELLS)[:, None])
    return np.maximum(0, 1 - apart).astype(np.float32)


def _normalized(cells: np.ndarray) -> np.ndarray:
    """Cells ``(items, CELLS, CELLS, ORIENTATIONS)``, each the mean over the blocks that hold it."""
    corners = [(slice(y, CELLS - 1 + y), slice(x, CELLS - 1 + x)) for y in (0, 1) for x in (0, 1)]
    blocks = np.stack([cells[:, rows, columns] for rows, columns in corners], axis=-1)
    for _ in range(2):
        # The constant keeps an empty block at zero, and noise in a smooth one small.
        blocks = blocks / np.sqrt((blocks**2).sum(axis=(-2, -1), keepdims=True) + 1e-2)
        blocks = np.minimum(blocks, CUT)
    total, held = np.zeros_like(cells), np.zeros((CELLS, CELLS, 1), np.float32)
    for number, (rows, columns) in enumerate(corners):
        total[:, rows, columns] += blocks[..., number]
        held[rows, columns] += 1
    return total / held
