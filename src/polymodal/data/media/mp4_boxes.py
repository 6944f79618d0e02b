"""Check of the samples that an MP4 or MOV declares, before libav indexes them: few bytes can declare many."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

INSIDE = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")
"""Boxes that hold boxes, down to those that count samples."""
PACKED = b"cmov"
SIZED = 0x700
"""Flags of a ``trun`` with one value per sample."""
PACKED_SOUND, FEW = 2, 2**20
"""MOV counts the samples of packed sound unpacked, at a byte each: IMA ADPCM nearly two for a byte it has."""
DEEPEST = 8
"""Levels of boxes that are counted."""
HEADER = 16
"""Bytes that are read after a box's type."""


def check_boxes(stream: BinaryIO) -> None:
    """Refuse an ISO file that declares samples for which it has no bytes; other files pass.

    libav allocates an index entry per sample. Samples with a value of their own in a table are bounded by the
    file size.

    Raises:
        ValueError: If it declares more bytes of samples than it has, or has a packed or nested header.
    """
    size = stream.seek(0, 2)
    declared = 0
    for kind, head in _boxes(stream, 0, size):
        if kind == PACKED:
            raise ValueError("its header is packed")
        declared += _bytes(kind, head)
        if declared > PACKED_SOUND * size + FEW:
            raise ValueError(f"it declares {declared:,} bytes of samples and has {size:,}")
    stream.seek(0)


def _boxes(stream: BinaryIO, start: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """The type and the first bytes of every box, those inside of others too."""
    while start + 8 <= end:
        stream.seek(start)
        size, kind, long = struct.unpack(">I4sQ", stream.read(16).ljust(16, b"\0"))
        begin = start + (16 if size == 1 else 8)
        size = {0: end - start, 1: long}.get(size, size)
        if size < begin - start:
            return
        stream.seek(begin)
        yield kind, stream.read(HEADER).ljust(HEADER, b"\0")
        if kind in INSIDE:
            if depth == DEEPEST:
                raise ValueError("its header is nested too deeply")
            yield from _boxes(stream, begin, min(end, start + size), depth + 1)
        start += size


def _bytes(kind: bytes, head: bytes) -> int:
    """The least bytes of the samples that a box declares without a value for each."""
    if kind == b"stsz":
        return int.from_bytes(head[4:8]) * int.from_bytes(head[8:12])
    if kind == b"trun" and not int.from_bytes(head[1:4]) & SIZED:
        return int.from_bytes(head[4:8])
    return 0
