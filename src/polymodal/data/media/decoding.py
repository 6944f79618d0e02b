"""Common parts of the decoders: the formats that are opened, and one type of error for their failures."""

from __future__ import annotations

import ctypes
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, BinaryIO

import av
from av import frame
from PIL import Image, UnidentifiedImageError

from polymodal.data.media.cells import LIMITS, MediaError, describe, not_opened
from polymodal.data.media.formats import AUDIO, IMAGE, VIDEO
from polymodal.data.media.mp4_boxes import check_boxes

# Pillow would try all its formats: EPS starts Ghostscript, others are rarely maintained.
PICTURES = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF")
DEMUXERS = (
    "wav", "w64", "mp3", "flac", "ogg", "mov", "mp4", "m4a", "3gp", "3g2", "matroska", "webm", "avi", "mpeg",
    "mpegvideo", "mpegts", "asf", "flv", "aiff", "au", "amr", "caf", "aac", "ac3", "eac3", "gif", "apng",
    "h264", "hevc", "m4v",
)  # fmt: skip
"""By libav's names. Its demuxers of text (``tty``, subtitles) would play a ``.txt`` as a video; playlists,
lists of files and still images are no formats of a clip or a recording."""
SOUND_CODECS = (
    "aac", "aac_latm", "ac3", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ms", "adpcm_swf", "adpcm_yamaha",
    "alac", "amrnb", "amrwb", "libopencore_amrnb", "libopencore_amrwb", "dca", "eac3", "flac", "g722",
    "g726", "gsm", "gsm_ms", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "nellymoser",
    "opus", "libopus", "pcm_alaw", "pcm_bluray", "pcm_dvd", "pcm_f32be", "pcm_f32le", "pcm_f64be",
    "pcm_f64le", "pcm_mulaw", "pcm_s16be", "pcm_s16be_planar", "pcm_s16le", "pcm_s16le_planar",
    "pcm_s24be", "pcm_s24le", "pcm_s32be", "pcm_s32le", "pcm_s64be", "pcm_s64le", "pcm_s8",
    "pcm_s8_planar", "pcm_u16be", "pcm_u16le", "pcm_u24be", "pcm_u24le", "pcm_u32be", "pcm_u32le",
    "pcm_u8", "speex", "vorbis", "wmalossless", "wmapro", "wmav1", "wmav2", "wmavoice",
)  # fmt: skip
"""By libav's names."""
PICTURE_CODECS = (
    "apng", "av1", "libdav1d", "libaom-av1", "cinepak", "dnxhd", "dvvideo", "ffv1", "ffvhuff", "flv",
    "gif", "h261", "h263", "h263i", "h263p", "h264", "hevc", "huffyuv", "mjpeg", "mpeg1video",
    "mpeg2video", "mpeg4", "msmpeg4", "msmpeg4v1", "msmpeg4v2", "msrle", "msvideo1", "png", "prores",
    "qtrle", "rawvideo", "rpza", "svq1", "svq3", "theora", "utvideo", "vc1", "vp3", "vp6", "vp6a",
    "vp6f", "vp8", "vp9", "libvpx", "libvpx-vp9", "vvc", "wmv1", "wmv2", "wmv3",
)  # fmt: skip
"""The same of moving pictures."""
CODECS = SOUND_CODECS + PICTURE_CODECS
# A playlist may name other files and addresses, which a cell must never open.
OPTIONS = {
    "protocol_whitelist": "none",
    "format_whitelist": ",".join(DEMUXERS),
    "codec_whitelist": ",".join(CODECS),
}
SOUND_ALONE = {"codec_whitelist": ",".join(SOUND_CODECS)}
"""For recordings: libav would decode the images of their covers while it opens them."""
LARGEST_BLOCK = 256 * 2**20
"""Bytes that libav may allocate at once: a header of 4 KB may declare an index of gigabytes."""
# A title in an old encoding is no reason to refuse a file; the default of PyAV from version 19.
OPEN: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
# What decoders are known to raise on damaged bytes.
DAMAGED = (
    av.FFmpegError, OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, OverflowError,
    RuntimeError, MemoryError, struct.error, zlib.error, Image.DecompressionBombWarning,
)  # fmt: skip
KINDS = {each.noun: each.modality for each in (IMAGE, AUDIO, VIDEO)}
INVALID = 22
"""libav's error number for a format that is not opened (EINVAL)."""


@cache
def _limit_blocks() -> None:
    """Set :data:`LARGEST_BLOCK` in this process; PyAV does not offer it.

    Where a module does not export the functions of its libraries (Windows), libav's own limit of 2 GiB
    remains.
    """
    limit = getattr(ctypes.CDLL(frame.__file__), "av_max_alloc", None)
    if limit is not None:
        limit(ctypes.c_size_t(LARGEST_BLOCK))


def open_container(stream: BinaryIO, **options: str) -> Any:
    """Open a file with libav; the caller closes it.

    Raises:
        av.FFmpegError: If it is damaged.
        ValueError: If it is of a format that is not opened, or declares more than it holds.
    """
    _limit_blocks()
    check_boxes(stream)
    try:
        return av.open(stream, mode="r", options=OPTIONS | options, **OPEN)
    except av.FFmpegError as error:
        if error.errno == INVALID:
            raise ValueError("no format that is opened") from error
        raise


def check_codec(stream: Any, cell: Any) -> None:
    """Refuse a stream whose decoder is not among :data:`CODECS`: PyAV opens decoders by itself.

    Raises:
        MediaError: If it is not.
    """
    context = stream.codec_context  # none where libav has no decoder
    name = "something unknown" if context is None else context.name
    if name not in CODECS:
        reason = f"{describe(cell)} is encoded as {name}, which is not opened"
        raise MediaError(found=reason, expected="a usual codec", cure="Convert the file.")


@contextmanager
def damage(cell: Any, kind: str) -> Iterator[None]:
    """Turn the errors of a decoder inside the block into one type.

    Args:
        cell: What is read, for messages.
        kind: One of :data:`KINDS`.

    Raises:
        MediaError: In place of what is raised inside.
    """
    try:
        yield
    except Image.DecompressionBombError as error:  # Pillow has its own limit, which it checks first
        size = re.search(r"\d+", str(error))
        problem = (
            f"{describe(cell)} has {int(size[0]):,} pixels" if size else f"{describe(cell)} is too large"
        )
        most = min(LIMITS.pixels, 2 * (Image.MAX_IMAGE_PIXELS or LIMITS.pixels))
        expected = f"at most {most:,} pixels"
        raise MediaError(found=problem, expected=expected, cure="Make the picture smaller.") from error
    except DAMAGED as error:
        refused = not_opened(cell, KINDS[kind])
        if refused is not None:
            raise refused from error
        reason = _reason(error)
        problem = f"{describe(cell)} cannot be decoded ({reason})"
        fix = "Replace the file, or leave the cell empty."
        raise MediaError(found=problem, expected=kind, cure=fix) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no known picture format"  # Pillow's own text shows a Python object
    text = str(error.strerror if isinstance(error, av.FFmpegError) else error)
    return text.splitlines()[0] if text else type(error).__name__
