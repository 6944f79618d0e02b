"""Whether a media file is complete, by its container: libav also plays truncated files."""

from __future__ import annotations

import os
from typing import Any, BinaryIO, Literal, NamedTuple

from polymodal.data.media.cells import MediaError, describe

BIG: Literal["big"] = "big"
LITTLE: Literal["little"] = "little"
SAMPLES = {3: (384, 1152, 1152), 2: (384, 1152, 576), 0: (384, 1152, 576)}
"""Samples of a frame of MPEG audio, by version (3: 1, 2: 2, 0: 2.5), then by layer 1 to 3."""
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
AC3_KILOBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""Marks of a WMA or WMV and of the object in its header that states its size (ASF specification, 3.2)."""
ASF_HEADER = 65536
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
"""Marks of a Matroska or WebM file and of all that it holds."""
PAGE = 65307
"""The most bytes of a page of Ogg (RFC 3533)."""


class _Mpeg(NamedTuple):
    """The header of a frame of MPEG audio: its bytes, samples and samples per second."""

    length: int
    samples: int
    rate: int
    tag: int


def check_whole(stream: BinaryIO, cell: Any, kind: str = "recording") -> bytes:
    """Refuse a truncated file, by its container; the stream is left at its start.

    Args:
        stream: The file, at its start.
        cell: The cell, for messages.
        kind: Its kind, for messages.

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
        raise cut_short(cell, "its last part is not whole", kind)
    if declared - size > max(64, declared // 100):
        raise cut_short(cell, f"{size:,} of {declared:,} bytes", kind)
    return head


def cut_short(cell: Any, of: str, kind: str = "recording") -> MediaError:
    """The error of a truncated recording or clip."""
    reason = f"{describe(cell)} is cut short: {of}"
    return MediaError(found=reason, expected=f"a whole {kind}", cure="Copy or record it again.")


def last_frame_is_cut(frame: bytes) -> bool:
    """Whether the last packet of an MPEG, AAC (ADTS) or AC-3 stream is shorter than its header declares."""
    if frame[:2] == b"\x0b\x77":
        return len(frame) < _ac3_length(frame)
    mpeg = _mpeg(frame)
    if mpeg is not None:
        return len(frame) < mpeg.length
    if len(frame) >= 7 and frame[0] == 0xFF and frame[1] & 0xF6 == 0xF0:
        return len(frame) < ((frame[3] & 3) << 11 | frame[4] << 3 | frame[5] >> 5)
    return False


def _ac3_length(frame: bytes) -> int:
    """The bytes of a frame of AC-3 or E-AC-3 by its header (ETSI TS 102 366); 0 where it is none."""
    if len(frame) < 6:
        return 6
    if frame[5] >> 3 > 10:
        return 2 * (((frame[2] & 7) << 8 | frame[3]) + 1)
    rate, code = frame[4] >> 6, frame[4] & 63
    if rate == 3 or code >= 2 * len(AC3_KILOBITS):
        return 0
    bits = AC3_KILOBITS[code // 2]
    words = (2 * bits, bits * 320 // 147 + code % 2, 3 * bits)[rate]
    return 2 * words


def _declared(head: bytes, stream: BinaryIO, size: int) -> int | None:
    """The declared size of the file in bytes; 0 if it is not declared, None if it is larger than the file."""
    if head[:4] == b"RIFF" and head[8:12] in (b"WAVE", b"AVI "):
        declared = int.from_bytes(head[4:8], LITTLE) + 8
        return declared if declared <= 0x7FFF0000 else 0  # written to a pipe: unknown in the header
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
    if head[:16] == ASF:
        return _declared_asf(stream)
    if head[:4] == b"GIF8":
        return 0 if _is_whole_gif(stream) else None
    if head[:4] == EBML:
        return _declared_matroska(stream)
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
        if chunk[:4] == b"data" or length < 0:  # -1: unknown when the header was written
            return at + 12 + length if length >= 0 else 0
        at += 12 + length
    return 0


def _declared_matroska(stream: BinaryIO) -> int:
    """The end of the segment of a Matroska or WebM file; 0 for a streamed one."""
    stream.seek(0)
    start = stream.read(256)
    length, after = _ebml_size(start, 4)
    segment = after + (length or 0)
    if length is None or start[segment : segment + 4] != SEGMENT:
        return 0
    length, after = _ebml_size(start, segment + 4)
    return 0 if length is None else after + length


def _ebml_size(data: bytes, at: int) -> tuple[int | None, int]:
    """A size of EBML (RFC 8794) at an offset, None if unknown, and the offset after it."""
    width = 9 - data[at].bit_length() if len(data) > at else 9
    if width > 8:
        return None, at
    unknown = (1 << 7 * width) - 1
    size = int.from_bytes(data[at : at + width], BIG) & unknown
    return (None if size == unknown else size), at + width


def _declared_asf(stream: BinaryIO) -> int:
    """The size in the header of a WMA or WMV; 0 for a streamed one."""
    stream.seek(0)
    header = stream.read(ASF_HEADER)
    at = header.find(ASF_FILE)
    if at < 0 or len(header) < at + 92 or header[at + 88] & 1:
        return 0
    return int.from_bytes(header[at + 40 : at + 48], LITTLE)


def _is_whole_gif(stream: BinaryIO) -> bool:
    """Whether the blocks of a GIF lead to its end mark."""
    stream.seek(10)
    _skip_colours(stream, stream.read(3)[:1])
    while block := stream.read(1):
        if block == b"\x2c":  # an image
            _skip_colours(stream, stream.read(9)[8:])
        elif block != b"\x21":  # the end mark, or something for the decoder
            return True
        stream.seek(1, os.SEEK_CUR)
        while length := stream.read(1):
            if length == b"\0":
                break
            stream.seek(length[0], os.SEEK_CUR)
    return False


def _skip_colours(stream: BinaryIO, flags: bytes) -> None:
    """Skip the table of colours, if ``flags`` declare one."""
    if flags and flags[0] & 0x80:
        stream.seek(3 << ((flags[0] & 7) + 1), os.SEEK_CUR)


def _declared_ogg(stream: BinaryIO, size: int) -> int | None:
    """The end of the last page; None if it lies behind the end of the file."""
    start = stream.seek(max(0, size - 2 * PAGE))
    tail = stream.read()
    at = tail.rfind(b"OggS")
    if at < 0:
        return 0
    page = tail[at:]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return None  # not even its header is complete
    end = start + at + 27 + page[26] + sum(page[27 : 27 + page[26]])
    return None if end > size else end


def _declared_mpeg(head: bytes, stream: BinaryIO) -> int:
    """The end of the sound by the tag in its first frame (Xing, Info or VBRI); 0 without one."""
    start = 0
    if head[:3] == b"ID3":
        parts = head[6:10]
        start = 10 + sum((part & 0x7F) << 7 * (3 - index) for index, part in enumerate(parts))
    stream.seek(start)
    frame = stream.read(4096)
    skipped = len(frame) - len(frame.lstrip(b"\0"))
    frame = frame[skipped:]
    mpeg = _mpeg(frame)
    if mpeg is None:
        return 0
    for at in (mpeg.tag, mpeg.tag + 2):  # a checksum may be between
        if frame[at : at + 4] in (b"Xing", b"Info"):
            flags = int.from_bytes(frame[at + 4 : at + 8], BIG)
            index = at + 8 + 4 * (flags & 1)
            counted = int.from_bytes(frame[index : index + 4], BIG) if flags & 2 else 0
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
