"""The most that is read of one cell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The most that is read of one cell.

    Attributes:
        bytes: Of the file, or of an array unpacked.
        pixels: Of a picture, or of one frame of a clip.
        seconds: Of a recording or a clip.
        frames: Of a clip.
        samples: That are decoded of a recording, in all its channels.
        memory: Bytes that decoding a picture or a clip's frame takes.
        decoded: Pixels of all frames that are decoded on the way to those of a clip that are kept.
    """

    bytes: int = 256 * 2**20
    pixels: int = 100_000_000
    seconds: float = 600.0
    frames: int = 100_000
    samples: int = 2**28
    memory: int = 448 * 2**20
    decoded: int = 6_000_000_000


LIMITS = Limits()
