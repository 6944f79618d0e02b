"""Cell (path, bytes, data URI, array) → picture or waveform; the limits of what is read hold everywhere."""

from __future__ import annotations

import os
import re
import struct
import wave
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
import soxr
from PIL import Image, ImageOps, UnidentifiedImageError

from polymodal.data.cells import (
    LIMITS,
    Limits,
    MediaError,
    describe,
    is_empty,
    not_opened,
    open_cell,
    recognise,
)

__all__ = [
    "LIMITS", "Limits", "MediaError", "audio_info", "describe", "image_size", "is_empty", "load_audio",
    "load_image", "open_cell", "recognise",
]  # fmt: skip

# A playlist may name other files and addresses; what a cell holds must never make us open those.
OPTIONS = {"protocol_whitelist": "none"}
# A title in an old encoding is no reason to refuse a file; from version 19 on that is PyAV's own way.
OPEN: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
# A WAV header says everything: not probing for what it might hide halves the time of a short recording.
WAV_OPTIONS = OPTIONS | {"probesize": "2048", "analyzeduration": "0"}
KINDS = {"a picture": "image", "a recording": "audio", "a clip": "video"}
# Pillow would try all it knows: EPS starts Ghostscript, others are rarely looked after.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF")
# What decoders are known to raise on damaged bytes.
DAMAGED = (
    av.FFmpegError, OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, OverflowError,
    RuntimeError, MemoryError, struct.error, zlib.error, Image.DecompressionBombWarning,
)  # fmt: skip


def load_image(
    cell: Any, root: Path | None = None, limits: Limits = LIMITS, *, gray: bool = False
) -> Image.Image:
    """The picture in a cell, upright, in mode RGB; transparency lies on white.

    Args:
        cell: Path (relative to ``root`` or absolute), bytes, ``data:`` URI, ``{"path", "bytes"}``, PIL
            image or array of bytes ``(height, width)`` or ``(height, width, channels)``.
        root: Folder that relative paths refer to; the current one by default.
        limits: The most that is read.
        gray: Leave a picture of one channel of bytes as it is, in mode L.

    Raises:
        MediaError: If there is no such file, it is empty, too large, damaged or cut short, or no picture.
    """
    with _damage(cell, "a picture"):
        if isinstance(cell, (Image.Image, np.ndarray, list, tuple)):
            image = cell if isinstance(cell, Image.Image) else Image.fromarray(_byte_array(cell))
            _check_pixels(image, cell, limits)
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image), gray)
        with open_cell(cell, root, limits) as stream, Image.open(stream, formats=FORMATS) as image:
            _check_pixels(image, cell, limits)  # from the header: nothing is decoded yet
            image.load()
            if image.info:  # where the file says nothing of the picture, it does not say how to turn it
                ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image, gray)


def image_size(cell: Any, root: Path | None = None) -> tuple[int, int]:
    """Width and height of the upright picture, from its header only.

    Raises:
        MediaError: As ``load_image``, except for damage behind the header.
    """
    if isinstance(cell, (Image.Image, np.ndarray, list, tuple)):
        return load_image(cell, root).size
    with (
        _damage(cell, "a picture"),
        open_cell(cell, root, LIMITS) as stream,
        Image.open(stream, formats=FORMATS) as image,
    ):
        _check_pixels(image, cell, LIMITS)
        turned = image.getexif().get(0x0112, 1) >= 5  # EXIF orientations 5 to 8 lie on their side
        return (image.height, image.width) if turned else image.size


def _check_pixels(image: Image.Image, cell: Any, limits: Limits) -> None:
    if image.width * image.height > limits.pixels:
        found = f"{describe(cell)} has {image.width} x {image.height} pixels"
        raise MediaError(
            found=found, expected=f"at most {limits.pixels:,} pixels", cure="Make the picture smaller."
        )


def _byte_array(cell: Any) -> np.ndarray:
    array = np.asarray(cell)
    if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() <= 255:
        array = array.astype(np.uint8)  # a list of lists has lost its type
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    is_picture = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (2, 3, 4))
    if array.dtype != np.uint8 or not is_picture or not array.size:
        expected = "whole numbers from 0 to 255 of shape (height, width) or (height, width, channels)"
        raise MediaError(found=f"array of {array.dtype}, shape {array.shape}", expected=expected)
    return np.ascontiguousarray(array)


def _to_rgb(image: Image.Image, gray: bool) -> Image.Image:
    if image.mode in (("RGB", "L") if gray else ("RGB",)) and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)  # Pillow's own conversion would cut at 255
        # 16 bits are a picture's usual range; floats lie in 0..1 by custom, else in 0..255.
        scale = 257.0 if image.mode != "F" else (1 / 255 if np.nanmax(values) <= 1 else 1.0)
        eight = np.clip(np.rint(np.nan_to_num(values) / scale), 0, 255).astype(np.uint8)
        return Image.fromarray(eight).convert("RGB")
    if "A" in image.mode.upper().replace("LAB", "") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        return white.convert("RGB")
    return image.convert("RGB")


def load_audio(cell: Any, root: Path | None = None, *, rate: int, limits: Limits = LIMITS) -> np.ndarray:
    """The recording in a cell as one channel ``(samples,)`` float32 in [-1, 1] at ``rate`` samples a second.

    Args:
        cell: Path (relative to ``root`` or absolute), bytes, ``data:`` URI, ``{"path", "bytes"}`` of any
            format that libav reads, or ``{"array", "sampling_rate"}``.
        root: Folder that relative paths refer to; the current one by default.
        rate: Samples a second of what is returned.
        limits: The most that is read.

    Raises:
        MediaError: If there is no such file, it is empty, too large, too long, damaged, or holds no sound.
    """
    with _damage(cell, "a recording"):
        if isinstance(cell, Mapping) and cell.get("array") is not None:
            sound, own = _from_array(cell, limits)
        else:
            sound, own = _decode(cell, root, limits)
        if not sound.size:
            raise MediaError(found=f"{describe(cell)} holds no sound", cure="Leave the cell empty instead.")
        return sound if own == rate else soxr.resample(sound, own, rate).clip(-1.0, 1.0)


def audio_info(cell: Any, root: Path | None = None) -> tuple[float, int]:
    """Seconds and samples a second of a recording; decoded only where the header does not say.

    Raises:
        MediaError: As ``load_audio``, except for damage behind the header.
    """
    with _damage(cell, "a recording"):
        if not (isinstance(cell, Mapping) and cell.get("array") is not None):
            with open_cell(cell, root, LIMITS) as stream, _container(stream, cell) as container:
                audio = container.streams.audio[0]
                if audio.duration and audio.time_base and audio.rate:
                    return float(audio.duration * audio.time_base), audio.rate
                if container.duration and audio.rate:
                    return container.duration / av.time_base, audio.rate
            sound, own = _decode(cell, root, LIMITS)
        else:
            sound, own = _from_array(cell, LIMITS)
        return len(sound) / own, own


def _decode(cell: Any, root: Path | None, limits: Limits) -> tuple[np.ndarray, int]:
    with open_cell(cell, root, limits) as stream:
        plain = _plain_wave(stream, cell, limits)
    if plain is not None:
        return plain
    sound, own = _decode_any(cell, root, limits)
    return _in_range(sound, cell), own


def _decode_any(cell: Any, root: Path | None, limits: Limits) -> tuple[np.ndarray, int]:
    parts, seconds, own = [], 0.0, 0
    with open_cell(cell, root, limits) as stream, _container(stream, cell) as container:
        for frame in container.decode(container.streams.audio[0]):
            samples = frame.to_ndarray()  # planar: (channels, samples); packed: (1, samples * channels)
            channels = frame.layout.nb_channels
            parts.append(_mono(samples if frame.format.is_planar else samples.reshape(-1, channels).T))
            own = own or frame.sample_rate
            seconds += frame.samples / frame.sample_rate
            if seconds > limits.seconds:
                raise _too_long(cell, limits)
    return (np.concatenate(parts) if parts else np.zeros(0, np.float32)), own


def _plain_wave(stream: BinaryIO, cell: Any, limits: Limits) -> tuple[np.ndarray, int] | None:
    """A WAV of 16-bit samples, which the standard library reads in a fraction of libav's time, or None."""
    if not _wave_size(stream, cell):
        return None
    content = stream.read()
    try:
        with wave.open(BytesIO(content)) as sound:
            frames, rate, channels = sound.getnframes(), sound.getframerate(), sound.getnchannels()
            if (
                sound.getsampwidth() != 2 or not rate or frames * channels * 2 > len(content)
            ):  # as one written to a pipe says
                return None
            if frames / rate > limits.seconds:
                raise _too_long(cell, limits)
            samples = np.frombuffer(sound.readframes(frames), dtype="<i2")
    except (wave.Error, EOFError):  # of a kind that only libav knows
        return None
    return _mono(samples[: len(samples) // channels * channels].reshape(-1, channels).T), rate


def _from_array(cell: Mapping[str, Any], limits: Limits) -> tuple[np.ndarray, int]:
    samples, own = np.asarray(cell["array"]), cell.get("sampling_rate")
    if not isinstance(own, (int, float, np.number)) or own <= 0 or samples.ndim not in (1, 2):
        found = f"array of shape {samples.shape} with sampling_rate {own!r}"
        raise MediaError(found=found, expected="samples, or channels by samples, and samples a second")
    if samples.ndim == 2 and samples.shape[0] > samples.shape[1]:
        samples = samples.T  # more channels than samples: it was written samples by channels
    if samples.shape[-1] / own > limits.seconds:
        raise _too_long(cell, limits)
    return _in_range(_mono(np.atleast_2d(samples)), cell), int(own)


def _in_range(sound: np.ndarray, cell: Any) -> np.ndarray:
    """Floats as they come, which may be louder than full scale, or no numbers."""
    if not np.isfinite(sound).all():
        found = f"{describe(cell)} holds values that are no numbers"
        raise MediaError(found=found, cure="Write the file anew.")
    return sound.clip(-1.0, 1.0)


def _too_long(cell: Any, limits: Limits) -> MediaError:
    found = f"{describe(cell)} is longer than {limits.seconds:g} seconds"
    return MediaError(found=found, expected=f"at most {limits.seconds:g} seconds", cure="Cut the recording.")


def _mono(samples: np.ndarray) -> np.ndarray:
    """Channels by samples of any sample format → their mean as float32, full scale at 1."""
    values = samples.astype(np.float32)
    if samples.dtype.kind == "u":
        half = float(2 ** (8 * samples.dtype.itemsize - 1))
        values = (values - half) / half
    elif samples.dtype.kind == "i":
        values /= float(2 ** (8 * samples.dtype.itemsize - 1))
    return values[0] if len(values) == 1 else values.mean(axis=0)


@contextmanager
def _container(stream: BinaryIO, cell: Any) -> Iterator[Any]:
    """The recording's file, opened by libav, with at least one audio stream."""
    options = WAV_OPTIONS if _wave_size(stream, cell) else OPTIONS
    with av.open(stream, mode="r", options=options, **OPEN) as container:
        if not container.streams.audio:
            found = f"{describe(cell)} has no audio in it"
            raise MediaError(found=found, expected="a recording", cure="Replace the file.")
        yield container


def _wave_size(stream: BinaryIO, cell: Any) -> int:
    """Bytes of ``stream`` if it is a WAV, else 0; a WAV that was cut short is refused."""
    head, size = stream.read(12), 0
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        size = stream.seek(0, os.SEEK_END)
        _check_whole(int.from_bytes(head[4:8], "little") + 8, size, cell)
    stream.seek(0)
    return size


def _check_whole(declared: int, size: int, cell: Any) -> None:
    """libav plays what is there of a WAV cut short; half a sentence is another sentence."""
    is_stream = declared > 0x7FFF0000  # written to a pipe: its length was not known yet
    if not is_stream and declared - size > max(64, declared // 100):
        found = f"{describe(cell)} is cut short: {size} of {declared} bytes"
        raise MediaError(found=found, expected="a whole recording", cure="Copy or record it again.")


@contextmanager
def _damage(cell: Any, kind: str) -> Iterator[None]:
    """Whatever a decoder raises on what it cannot read comes out as one kind of error."""
    try:
        yield
    except Image.DecompressionBombError as error:  # Pillow has a limit of its own, and looks before we do
        size = re.search(r"\d+", str(error))
        found = f"{describe(cell)} has {int(size[0]):,} pixels" if size else f"{describe(cell)} is too large"
        most = min(LIMITS.pixels, 2 * (Image.MAX_IMAGE_PIXELS or LIMITS.pixels))
        expected = f"at most {most:,} pixels"
        raise MediaError(found=found, expected=expected, cure="Make the picture smaller.") from error
    except DAMAGED as error:
        refused = not_opened(cell, KINDS[kind])
        if refused is not None:
            raise refused from error
        reason = _reason(error)
        found = f"{describe(cell)} cannot be decoded ({reason})"
        cure = "Replace the file, or leave the cell empty."
        raise MediaError(found=found, expected=kind, cure=cure) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "no known picture format"  # Pillow's own text shows a Python object
    text = str(error.strerror if isinstance(error, av.FFmpegError) else error)
    return text.splitlines()[0] if text else type(error).__name__
