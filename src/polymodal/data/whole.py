"""Whether a recording's file is whole, by what its container says: libav plays half a file too."""

from __future__ import annotations

import os
from typing import Any, BinaryIO, Literal, NamedTuple

from polymodal.data.cells import MediaError, describe

BIG: Literal["big"] = "big"
LITTLE: Literal["little"] = "little"
SAMPLES = {3: (384, 1152, 1152), 2: (384, 1152, 576), 0: (384, 1152, 576)}
"""Of a frame of MPEG audio, by version (3: 1, 2: 2, 0: 2.5), then by layer 1 to 3."""
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
KILOBITS = {
    (3, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""By version and layer (2.5 has those of 2), for the numbers 1 to 14 (ISO 11172-3 and 13818-3)."""
PAGE = 65307
"""The most bytes of a page of Ogg (RFC 3533)."""


class _Mpeg(NamedTuple):
    """The header of a frame of MPEG audio: its bytes, samples and samples a second."""

    length: int
    samples: int
    rate: int
    tag: int


def check_whole(stream: BinaryIO, cell: Any) -> bytes:
    """Refuse a recording whose container says that more should follow; the stream is left at its start.

    Returns:
        The first bytes.

    Raises:
        MediaError: If it is cut short.
    """
    head = stream.read(40)
    size = stream.seek(0, os.SEEK_END)
    declared = _declared(head, stream, size)
    stream.seek(0)
    if declared is None:
        raise cut_short(cell, "its last page is not whole")
    if declared - size > max(64, declared // 100):
        raise cut_short(cell, f"{size:,} of {declared:,} bytes")
    return head


def cut_short(cell: Any, of: str) -> MediaError:
    """The refusal of a recording that ends too early."""
    found = f"{describe(cell)} is cut short: {of}"
    return MediaError(found=found, expected="a whole recording", cure="Copy or record it again.")


def last_frame_is_cut(frame: bytes) -> bool:
    """Whether the last packet of an MPEG or AAC (ADTS) stream holds less than its header says."""
    mpeg = _mpeg(frame)
    if mpeg is not None:
        return len(frame) < mpeg.length
    if len(frame) >= 7 and frame[0] == 0xFF and frame[1] & 0xF6 == 0xF0:
        return len(frame) < ((frame[3] & 3) << 11 | frame[4] << 3 | frame[5] >> 5)
    return False


def _declared(head: bytes, stream: BinaryIO, size: int) -> int | None:
    """How many bytes the file should have; 0 where it does not say, None for more than there are."""
    if head[:4] == b"RIFF" and head[8:12] in (b"WAVE", b"AVI "):
        declared = int.from_bytes(head[4:8], LITTLE) + 8
        return declared if declared <= 0x7FFF0000 else 0  # written to a pipe: not known at its start
    if head[:4] == b"RF64" and head[12:16] == b"ds64":
        return int.from_bytes(head[20:28], LITTLE) + 8
    if head[:4] == b"FORM" and head[8:11] == b"AIF":
        return int.from_bytes(head[4:8], BIG) + 8
    if head[:4] == b"riff":  # a W64
        return int.from_bytes(head[16:24], LITTLE)
    if head[:4] == b"caff":
        return _declared_caf(stream, size)
    if head[:4] == b".snd":
        data = int.from_bytes(head[8:12], BIG)
        return data + int.from_bytes(head[4:8], BIG) if data != 0xFFFFFFFF else 0
    if head[:4] == b"OggS":
        return _declared_ogg(stream, size)
    if head[:3] == b"ID3" or head[:1] == b"\xff":
        return _declared_mpeg(head, stream)
    return 0


def _declared_caf(stream: BinaryIO, size: int) -> int:
    """The end of the chunk of data, in Apple's CAF."""
    at = 8
    while at + 12 <= size:
        stream.seek(at)
        chunk = stream.read(12)
        length = int.from_bytes(chunk[4:], BIG, signed=True)
        if chunk[:4] == b"data" or length < 0:  # -1: it was not known when the header was written
            return at + 12 + length if length >= 0 else 0
        at += 12 + length
    return 0


def _declared_ogg(stream: BinaryIO, size: int) -> int | None:
    """The end of the last page; None if it lies behind the end of the file."""
    start = stream.seek(max(0, size - 2 * PAGE))
    tail = stream.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return 0
    page = tail[at:]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return None  # not even its header is whole
    end = start + at + 27 + page[26] + sum(page[27 : 27 + page[26]])
    return None if end > size else end


def _declared_mpeg(head: bytes, stream: BinaryIO) -> int:
    """The end of the sound by the tag in its first frame (Xing, Info or VBRI); 0 without one."""
    start = 0
    if head[:3] == b"ID3":
        parts = head[6:10]
        start = 10 + sum((part & 0x7F) << 7 * (3 - place) for place, part in enumerate(parts))
    stream.seek(start)
    frame = stream.read(4096)
    skipped = len(frame) - len(frame.lstrip(b"\0"))
    frame = frame[skipped:]
    mpeg = _mpeg(frame)
    if mpeg is None:
        return 0
    for at in (mpeg.tag, mpeg.tag + 2):  # a checksum may stand between
        if frame[at : at + 4] in (b"Xing", b"Info"):
            flags = int.from_bytes(frame[at + 4 : at + 8], BIG)
            place = at + 8 + 4 * (flags & 1)
            counted = int.from_bytes(frame[place : place + 4], BIG) if flags & 2 else 0
            return start + skipped + counted if counted else 0
    if frame[36:40] == b"VBRI":
        return start + skipped + int.from_bytes(frame[46:50], BIG)
    return 0


def _mpeg(frame: bytes) -> _Mpeg | None:
    if len(frame) < 4 or frame[0] != 0xFF or frame[1] & 0xE0 != 0xE0:
        return None
    version, layer = frame[1] >> 3 & 3, 4 - (frame[1] >> 1 & 3)
    bits, rate, padding = frame[2] >> 4, frame[2] >> 2 & 3, frame[2] >> 1 & 1
    if version == 1 or layer == 4 or not 0 < bits < 15 or rate == 3:
        return None
    samples, hertz = SAMPLES[version][layer - 1], RATES[version][rate]
    bytes_a_second = KILOBITS[3 if version == 3 else 2, layer][bits - 1] * 125
    if layer == 1:
        length = (12 * 8 * bytes_a_second // hertz + padding) * 4
    else:
        length = samples * bytes_a_second // hertz + padding
    is_mono = frame[3] >> 6 == 3
    side = (17 if is_mono else 32) if version == 3 else (9 if is_mono else 17)
    return _Mpeg(length, samples, hertz, 4 + side)
