"""Decoding of audio: from a cell (path, bytes, data URI, array) to mono samples, in bounded memory."""

from __future__ import annotations

import math
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any, BinaryIO

import av
import numpy as np
import soxr
from av.audio.frame import format_dtypes

from polymodal.data.media.cells import LIMITS, Limits, MediaError, describe, open_cell
from polymodal.data.media.completeness import check_whole, cut_short, last_frame_is_cut
from polymodal.data.media.decoding import SOUND_ALONE, check_codec, damage, open_container
from polymodal.data.media.path_access import Root, limits_of
from polymodal.data.media.reading_notes import note

# A WAV header is complete: without probing, a short recording takes half the time.
WAV_OPTIONS = {"probesize": "2048", "analyzeduration": "0"}
STREAMED = 2**22
"""Samples above which a recording is resampled in pieces."""
WIDTHS = (16, 24, 32)
"""Bits of integers without a type: the first that hold all samples."""
LOUDEST = 4.0
"""Multiple of full scale (12 decibels) up to which floats are clipped; louder ones have another scale."""
UNTYPED = 8
"""Bytes of an integer in Python's lists and Arrow; no recording has so many."""
LONGEST = ("matroska,webm", "flv")
"""Formats that declare the length of their longest stream."""
FRAMED = ("ac3", "eac3", "mp3", "aac")
"""Formats of mere frames, each with its length."""
ALONE = ("flac", "amrnb", "amrwb", "libopencore_amrnb", "libopencore_amrwb")
"""Codecs whose frames decode independently, and which refuse an incomplete frame."""
ESTIMATED = (*FRAMED, "ac3", "eac3", "amr", "mpeg", "mpegts", "ogg", "wav")
"""Formats whose length libav only estimates, or whose bytes are counted elsewhere."""


def load_audio(
    cell: Any,
    root: Root = None,
    *,
    rate: int,
    seconds: float | None = None,
    limits: Limits = LIMITS,
) -> np.ndarray:
    """Decode the recording in a cell: mono ``(samples,)`` float32 in [-1, 1] at ``rate`` samples per second.

    Integers have the full scale of their type; integers without a type (lists, 64 bits), and floats that are
    whole numbers beyond [-1, 1], have that of 16, 24 or 32 bits, the first that holds them all. Other floats
    up to four times full scale are clipped, louder ones refused.

    Args:
        cell: Path (relative to ``root`` or absolute), bytes, ``data:`` URI, ``{"path", "bytes"}`` of any
            format among :data:`~polymodal.data.media.decoding.DEMUXERS`, or ``{"array", "sampling_rate"}``.
        root: Folder that relative paths refer to; the current one by default.
        rate: Samples per second of the result.
        seconds: Longest result, from the start; no more than this is decoded. By default all.
        limits: Limits of what is read.

    Raises:
        MediaError: If there is no such file, it is empty, too large, too long, damaged or cut short, holds no
            sound, or is so short that no sample is left at ``rate``.
    """
    limits = limits_of(root, limits)
    with damage(cell, "a recording"):
        if isinstance(cell, Mapping) and cell.get("array") is not None:
            sound, own = _from_array(cell, limits)
        else:
            sound, own = _decode(cell, root, limits, rate, seconds)
        if not sound.size:
            raise MediaError(found=f"{describe(cell)} holds no sound", cure="Leave the cell empty instead.")
        if own != rate:
            samples, sound = len(sound), soxr.resample(sound, own, rate).clip(-1.0, 1.0)
            if not sound.size:
                reason = f"{describe(cell)} holds {samples} samples at {own} Hz, which are none at {rate} Hz"
                raise MediaError(found=reason, expected="sound", cure="Leave the cell empty instead.")
        most = None if seconds is None else max(1, round(rate * seconds))
        return (
            sound if most is None or len(sound) <= most else sound[:most].copy()
        )  # a copy, so that the rest is freed


def audio_info(cell: Any, root: Root = None) -> tuple[float, int]:
    """Duration and samples per second of a recording; decoded only where the header does not hold them.

    Raises:
        MediaError: As ``load_audio``, except for damage behind the header.
    """
    with damage(cell, "a recording"):
        if isinstance(cell, Mapping) and cell.get("array") is not None:
            sound, own = _from_array(cell, LIMITS)
            return len(sound) / own, own
        with open_cell(cell, root, LIMITS) as stream, _container(stream, cell) as container:
            audio = container.streams.audio[0]
            if audio.duration and audio.time_base and audio.rate:
                return float(audio.duration * audio.time_base), audio.rate
            if container.duration and audio.rate:
                return container.duration / av.time_base, audio.rate
            frames, own = 0, audio.rate
            for frame in container.decode(audio):
                frames, own = frames + frame.samples, frame.sample_rate
                if frames > LIMITS.seconds * own:
                    raise _too_long(cell, LIMITS)
            return frames / (own or 1), own


def _decode(
    cell: Any, root: Root, limits: Limits, rate: int, seconds: float | None
) -> tuple[np.ndarray, int]:
    """Samples in [-1, 1] and their rate, which is ``rate`` where they were resampled on the way."""
    with open_cell(cell, root, limits) as stream:
        head = check_whole(stream, cell)  # first: a truncated WAV would read as a shorter one
        plain = _plain_wave(stream, cell, limits, seconds) if _is_wave(head) else None
    if plain is not None:
        return plain
    with open_cell(cell, root, limits) as stream, _container(stream, cell) as container:
        audio = container.streams.audio[0]
        lossy = not audio.codec_context.name.startswith("pcm_f")
        kept = _Kept(cell, limits, rate=rate, seconds=seconds, lossy=lossy)
        _read_packets(container, audio, kept)
        return kept.sound()


def _needed(own: int, seconds: float | None) -> int | None:
    """Samples to decode for ``seconds`` of audio: the resampler looks a little ahead."""
    return None if seconds is None else math.ceil(own * seconds) + max(own // 4, 2048)


class _Kept:
    """Collects the samples of a recording while its frames are decoded.

    Args:
        cell: What is read, for messages.
        limits: Limits of what is decoded.
        rate: Requested samples per second, for recordings that are resampled on the way.
        seconds: Requested duration at most.
        lossy: Whether its codec returns floats that may be a little louder than the original.
    """

    def __init__(
        self, cell: Any, limits: Limits, *, rate: int, seconds: float | None, lossy: bool = True
    ) -> None:
        self.cell, self.limits, self.rate, self.seconds, self.lossy = cell, limits, rate, seconds, lossy
        self.own = self.frames = self._samples = self._waiting = 0
        self._parts: list[np.ndarray] = []
        self._done: list[np.ndarray] = []
        self._resampler: soxr.ResampleStream | None = None

    @property
    def is_enough(self) -> bool:
        """Whether enough samples are decoded."""
        needed = _needed(self.own, self.seconds) if self.own else None
        return needed is not None and self.frames >= needed

    def add(self, frame: Any) -> None:
        """Add a decoded frame.

        Raises:
            MediaError: If this makes it too long, or too many samples.
        """
        channels = frame.layout.nb_channels
        self.own = self.own or frame.sample_rate
        self.frames += frame.samples
        self._samples += frame.samples * channels
        if self.frames / self.own > self.limits.seconds:
            raise _too_long(self.cell, self.limits)
        if self._samples > self.limits.samples:
            reason = f"{describe(self.cell)} has more than {self.limits.samples:,} samples in all channels"
            fix = "Cut the recording, or write it at fewer samples a second."
            raise MediaError(found=reason, expected=f"at most {self.limits.samples:,}", cure=fix)
        self._parts.append(_mono(_by_channel(frame, channels)))
        self._waiting += frame.samples
        if self._waiting > STREAMED and self.own != self.rate:
            self._resample(last=False)

    def sound(self) -> tuple[np.ndarray, int]:
        """The samples in [-1, 1] and their rate."""
        if self._resampler is not None:
            self._resample(last=True)
            return np.concatenate(self._done), self.rate
        return self._waiting_sound(), self.own

    def _waiting_sound(self) -> np.ndarray:
        whole = np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)
        self._parts, self._waiting = [], 0
        return _in_range(whole, self.cell, lossy=self.lossy)

    def _resample(self, *, last: bool) -> None:
        if self._resampler is None:
            self._resampler = soxr.ResampleStream(self.own, self.rate, 1, dtype="float32")
        piece = self._resampler.resample_chunk(self._waiting_sound(), last=last)
        self._done.append(piece.clip(-1.0, 1.0))


def _read_packets(container: Any, audio: Any, kept: _Kept) -> None:
    """Decode the requested part; of the rest only the lengths are read, to see whether the file is complete.

    Raises:
        MediaError: If it is too long or cut short.
    """
    declared = float(audio.duration * audio.time_base) if audio.duration else 0.0
    of_all = not declared and container.format.name in LONGEST
    if of_all:
        declared = float(container.duration or 0) / av.time_base
    seconds, end, step, last = 0.0, 0.0, 0.0, b""
    final, codec = None, audio.codec_context.name
    is_framed = container.format.name in FRAMED or codec.startswith(("mp2", "mp3"))
    for packet in container.demux(*([] if of_all else [audio])):
        own = float((packet.duration or 0) * packet.time_base)
        if packet.pts is not None:
            end = max(end, float(packet.pts * packet.time_base) + own)
        if packet.stream.index != audio.index:
            continue
        if packet.is_corrupt and not codec.startswith("pcm"):  # any part of PCM can be decoded
            raise cut_short(kept.cell, "its last part is not whole")
        seconds, step = seconds + own, max(step, own)
        if seconds > kept.limits.seconds + 2 * step:
            raise _too_long(kept.cell, kept.limits)
        if packet.size and is_framed:
            last = bytes(packet)
        if not kept.is_enough:
            for frame in packet.decode():
                kept.add(frame)
        elif packet.size and codec in ALONE:
            final = packet
    read = max(seconds, end if of_all else 0.0)
    is_short = declared - read > max(0.02 * declared, 2.5 * step, 0.05)
    if seconds and is_short and container.format.name not in ESTIMATED:
        raise cut_short(kept.cell, f"it ends after {read:.3g} of {declared:.3g} seconds")
    if final is not None:
        final.decode()  # raises if a part of it is missing
    if last_frame_is_cut(last):
        raise cut_short(kept.cell, "its last frame is not whole")


def _plain_wave(
    stream: BinaryIO, cell: Any, limits: Limits, seconds: float | None
) -> tuple[np.ndarray, int] | None:
    """A WAV of 16-bit samples, which the standard library reads much faster than libav; None for others."""
    content = BytesIO(stream.read())
    try:
        with wave.open(content) as sound:
            frames, rate, channels = sound.getnframes(), sound.getframerate(), sound.getnchannels()
            if sound.getsampwidth() != 2 or not rate:
                return None
            if frames * channels * 2 > content.getbuffer().nbytes:  # as in a file that was written to a pipe
                return None
            if frames / rate > limits.seconds:
                raise _too_long(cell, limits)
            needed = _needed(rate, seconds)
            samples = np.frombuffer(sound.readframes(min(frames, needed or frames)), dtype="<i2")
    except (wave.Error, EOFError):  # a variant that only libav knows
        return None
    return _mono(samples[: len(samples) // channels * channels].reshape(-1, channels).T), rate


def _from_array(cell: Mapping[str, Any], limits: Limits) -> tuple[np.ndarray, int]:
    samples, own = np.asarray(cell["array"]), cell.get("sampling_rate")
    is_rate = isinstance(own, (int, float, np.number)) and not isinstance(own, bool) and own >= 1
    if not is_rate or samples.ndim not in (1, 2) or samples.dtype.kind not in "iuf":
        reason = f"array of {samples.dtype}, shape {samples.shape} with sampling_rate {own!r}"
        raise MediaError(found=reason, expected="samples, or channels by samples, and samples a second")
    assert own is not None
    if samples.ndim == 2 and samples.shape[0] > samples.shape[1]:
        samples = samples.T  # more channels than samples: the axes are swapped
    if samples.shape[-1] / own > limits.seconds:
        raise _too_long(cell, limits)
    if samples.dtype.kind in "iu" and samples.dtype.itemsize == UNTYPED:
        samples = samples.astype(np.float64)
    if samples.dtype.kind == "f" and samples.size:
        full = _full_scale(samples, cell)
        samples = samples / full if full > 1.0 else samples
    return _in_range(_mono(np.atleast_2d(samples)), cell), int(own)


def _full_scale(samples: np.ndarray, cell: Any) -> float:
    """The full scale of floats, or of integers without a type."""
    peak = float(np.abs(samples).max())
    if not 1.0 < peak < np.inf or (samples != np.rint(samples)).any():
        return 1.0
    bits = next((width for width in WIDTHS if peak <= 2.0 ** (width - 1)), None)
    if bits is None:
        reason = f"{describe(cell)} holds whole numbers to {peak:,.0f}"
        raise MediaError(
            found=reason, expected="samples of at most 32 bits", cure="Divide them by full scale."
        )
    note(f"whole numbers without a type, read as samples of {bits} bits")
    return 2.0 ** (bits - 1)


def _in_range(sound: np.ndarray, cell: Any, *, lossy: bool = False) -> np.ndarray:
    """Clip floats to full scale; other scales, and values that are no numbers, are refused."""
    if not np.isfinite(sound).all():
        reason = f"{describe(cell)} holds values that are no numbers"
        raise MediaError(found=reason, cure="Write the file again.")
    peak = float(np.abs(sound).max()) if sound.size and not lossy else 0.0
    if peak <= 1.0:
        return sound.clip(-1.0, 1.0)
    full = _full_scale(sound, cell)
    if full > 1.0:
        return (sound / np.float32(full)).clip(-1.0, 1.0)
    if peak > LOUDEST:
        reason = f"{describe(cell)} holds samples to {peak:,.6g}"
        fix = "Divide them by their full scale, such as 32768 for samples of 16 bits."
        raise MediaError(found=reason, expected="floats from -1 to 1", cure=fix)
    note("louder than full scale, clipped at it")
    return sound.clip(-1.0, 1.0)


def _too_long(cell: Any, limits: Limits) -> MediaError:
    reason = f"{describe(cell)} is longer than {limits.seconds:g} seconds"
    return MediaError(found=reason, expected=f"at most {limits.seconds:g} seconds", cure="Cut the recording.")


def _by_channel(frame: Any, channels: int) -> np.ndarray:
    """The samples of a decoded frame: ``(channels, samples)``."""
    if not frame.format.is_planar:
        return frame.to_ndarray().reshape(-1, channels).T
    # With 8 channels or more PyAV's own ``to_ndarray`` reads out of bounds and crashes the process.
    kind = np.dtype(format_dtypes[frame.format.name])
    return np.stack([np.frombuffer(plane, kind, frame.samples) for plane in frame.planes[:channels]])


def _mono(samples: np.ndarray) -> np.ndarray:
    """Mean over the channels of samples of any format, as float32 with full scale 1."""
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
    head = stream.read(12)
    stream.seek(0)
    with open_container(stream, **SOUND_ALONE, **(WAV_OPTIONS if _is_wave(head) else {})) as container:
        if not container.streams.audio:
            reason = f"{describe(cell)} has no audio in it"
            raise MediaError(found=reason, expected="a recording", cure="Replace the file.")
        check_codec(container.streams.audio[0], cell)
        yield container


def _is_wave(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WAVE"
