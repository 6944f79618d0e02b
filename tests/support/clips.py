"""Small real clips for tests, written by libav."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.support.tables import write_table

CODECS = {
    ".webm": "libvpx", ".avi": "mpeg4", ".mpg": "mpeg2video", ".gif": "gif", ".apng": "apng",
    ".wmv": "wmv2",
}  # fmt: skip
"""By suffix; any other is H.264."""
PIXELS = {".gif": "rgb8", ".apng": "rgb24"}


def ramp(frames: int = 32, width: int = 64, height: int = 48, seed: int = 0) -> np.ndarray:
    """Noise whose brightness grows by an equal step a frame: uint8 ``(frames, height, width, 3)``."""
    noise = np.random.default_rng(seed).integers(0, 60, (frames, height, width, 3))
    return (noise + np.linspace(0, 190, frames).reshape(-1, 1, 1, 1)).astype(np.uint8)


def write_clip(
    path: Path,
    frames: np.ndarray,
    *,
    rate: int | Fraction = 25,
    rotation: int = 0,
    gop: int = 12,
    **options: str,
) -> Path:
    """``frames`` ``(frames, height, width, 3)`` in the suffix's format; ``options`` go to the container."""
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(CODECS.get(suffix, "libx264"), rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = PIXELS.get(suffix, "yuv420p")
        stream.codec_context.gop_size = gop
        if rotation:
            stream.set_display_rotation(rotation)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def moving(direction: int, seed: int, frames: int = 8, side: int = 16) -> np.ndarray:
    """A bright square that moves right (1) or left (-1) over noise, round and round, from anywhere."""
    random = np.random.default_rng(seed)
    clip = random.integers(0, 40, (frames, side, side, 3))
    x, y = random.integers(0, side, 2)
    for number, frame in enumerate(clip):
        columns = (x + 2 * direction * number + np.arange(6)) % side
        frame[np.ix_((y + np.arange(6)) % side, columns)] += 200
    return clip.astype(np.uint8)


def write_moves(folder: Path, name: str = "moves.csv", rows: int = 40, empty: float = 0.1) -> Path:
    """A table of clips (``clip``), their ``speed`` and which way they go (``way``); some cells are empty."""
    random = np.random.default_rng(0)
    table: list[dict[str, Any]] = []
    for number in range(rows):
        direction = (1, -1)[number % 2]
        clip = write_clip(folder / "clips" / f"{number}.mp4", moving(direction, number), crf="10")
        cells = {"clip": str(clip.relative_to(folder)), "speed": float(number % 7)}
        cells |= {key: None for key in cells if random.random() < empty}
        table.append({**cells, "way": "right" if direction > 0 else "left"})
    return write_table(folder / name, table)
