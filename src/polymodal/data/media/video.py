"""Decoding of video: evenly sampled frames of a clip (path, bytes, data URI, array), in bounded memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from polymodal.data.media.animations import check_count, check_frame, check_work, middles, open_stills
from polymodal.data.media.cells import LIMITS, Limits, MediaError, describe, open_cell
from polymodal.data.media.completeness import check_whole
from polymodal.data.media.decoding import check_codec, damage, open_container
from polymodal.data.media.path_access import Root, limits_of

__all__ = ["VideoInfo", "load_video", "sample_frames", "video_info"]

SPARE = 2
"""Frames at the end of a clip that the decoder may not return: the last decoded one is used for them."""
FAR = 16
"""Frames that are decoded rather than skipped by seeking, which restarts the decoder."""
ROUNDING = 2
"""Units of time by which equal frames may differ: files round."""
REFERENCES = {"h264": 17, "hevc": 17, "vvc": 17, "vp8": 5, "vp9": 10, "libdav1d": 10, "av1": 10}
"""Frames that a decoder may keep, by codec; others keep up to 4."""
TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


class VideoInfo(NamedTuple):
    """The metadata of a clip; width and height are those of the upright frames."""

    seconds: float
    width: int
    height: int
    frames: int


@dataclass(frozen=True)
class _Index:
    """The times of a clip's frames, from its file without decoding.

    Attributes:
        times: Of the frames in the order they are shown, in the stream's time base; their numbers from 0
            where the file has no times.
        keys: The times at which decoding can start, ascending; empty where the file has no times.
        seconds: Duration of the clip.
        end: End of the last frame, in the same unit; 0 if unknown.
    """

    times: list[int]
    keys: list[int]
    seconds: float
    end: int = 0

    @property
    def is_timed(self) -> bool:
        """Whether the frames have times."""
        return bool(self.keys)

    def places(self, wanted: int) -> list[int]:
        """The frames that are shown in the middles of ``wanted`` equal segments of time.

        Where all frames are equally long they are counted, for times in a file are rounded.
        """
        steps = np.diff(self.times)
        if not self.is_timed or not len(steps) or int(steps.max()) - int(steps.min()) <= ROUNDING:
            return middles(len(self.times), wanted)
        start, last = self.times[0], self.times[-1]
        whole = (self.end if self.end > last else last + int(np.median(steps))) - start
        moments = [start + (2 * index + 1) * whole / (2 * wanted) for index in range(wanted)]
        return [bisect_right(self.times, moment) - 1 for moment in moments]

    def jump(self, after: int | None, to: int) -> int | None:
        """The key frame to seek to on the way from frame ``after`` to ``to``, if that saves much."""
        here = 0 if after is None else bisect_right(self.times, after)
        key = bisect_right(self.keys, to) - 1
        return self.keys[key] if key >= 0 and bisect_right(self.times, self.keys[key]) > here + FAR else None


def load_video(
    cell: Any, root: Root = None, *, frames: int, size: int, limits: Limits = LIMITS
) -> np.ndarray:
    """Frames of the clip in a cell, squares of ``size`` pixels: uint8 ``(frames, size, size, 3)``, RGB.

    Args:
        cell: See :func:`sample_frames`.
        root: Folder that relative paths refer to; the current one by default.
        frames: Number of frames.
        size: Side in pixels.
        limits: Limits of what is read.

    Raises:
        MediaError: As :func:`sample_frames`.
    """
    shown = sample_frames(cell, root, frames=frames, limits=limits)
    squares = (image.resize((size, size), Image.Resampling.BICUBIC) for image in shown)
    return np.stack([np.asarray(image) for image in squares])


def sample_frames(
    cell: Any, root: Root = None, *, frames: int, limits: Limits = LIMITS
) -> Iterator[Image.Image]:
    """Yield the upright RGB frames in the middles of ``frames`` equal segments of time.

    With a variable frame rate it is the frame that is shown at that moment. A clip of fewer frames repeats
    some of them. The file is read twice: for the times of its frames, which headers may lack or misstate, and
    to decode no more than necessary.

    Args:
        cell: Path (relative to ``root`` or absolute), bytes, ``data:`` URI, ``{"path", "bytes"}`` of any
            format among :data:`~polymodal.data.media.decoding.DEMUXERS`, an animated WebP or AVIF, or an
            array or tensor ``(frames, height, width, channels)``, ``(frames, channels, height, width)`` or
            ``(frames, height, width)``, which may lie in NumPy's format.
        root: Folder that relative paths refer to; the current one by default.
        frames: Number of frames.
        limits: Limits of what is read; pixels are those of one frame.

    Raises:
        MediaError: If there is no such file, it is empty, too large, too long, damaged or cut short, or
            holds no clip.
    """
    limits = limits_of(root, limits)
    with damage(cell, "a clip"):
        stills = open_stills(cell, root, limits)
        if stills is not None:
            for position in stills.places(frames):
                yield stills.frame(position)
            return
        index = _read_index(cell, root, limits)
        wanted = [index.times[position] for position in index.places(frames)]
        convert = VideoReformatter()  # shared by all frames: each reformatter holds megabytes
        with _opened(cell, root, limits) as (container, stream):
            for frame in _reach(container, stream, index, wanted, cell, limits):
                picture = convert.reformat(frame, format="rgb24", threads=1).to_ndarray()
                yield _upright(Image.fromarray(picture), frame.rotation)


def video_info(cell: Any, root: Root = None, limits: Limits = LIMITS) -> VideoInfo:
    """Duration, size and number of frames of a clip: from its header, otherwise from its packets.

    Raises:
        MediaError: As :func:`sample_frames`, except for damage behind the first frame.
    """
    with damage(cell, "a clip"):
        stills = open_stills(cell, root, limits)
        if stills is not None:
            return VideoInfo(stills.seconds, stills.size[0], stills.size[1], stills.count)
        with _opened(cell, root, limits) as (container, stream):
            seconds, count = _declared_seconds(container, stream), stream.frames
            first = next(container.decode(stream), None)
            if first is None:
                raise _nothing(cell)
            width, height = first.width, first.height
            if _quarter_turns(first.rotation) % 2:
                width, height = height, width
        if not seconds or not count:
            index = _read_index(cell, root, limits)
            seconds, count = index.seconds, len(index.times)
        return VideoInfo(seconds, width, height, count)


@contextmanager
def _opened(cell: Any, root: Root, limits: Limits) -> Iterator[tuple[Any, Any]]:
    """Open the file in a cell with libav; yields it and its first video stream."""
    with (
        open_cell(cell, root, limits) as file,
        open_container(file) as container,
    ):
        cover = av.stream.Disposition.attached_pic
        # A stream of a codec that libav does not know has no context to decode it in.
        known = [stream for stream in container.streams.video if stream.codec_context is not None]
        moving = [stream for stream in known if not stream.disposition & cover]
        # libav reads a still image as a clip of one frame, by demuxers such as png_pipe
        if not moving or container.format.name.endswith("_pipe"):
            reason = f"{describe(cell)} has no video in it that can be decoded"
            raise MediaError(found=reason, expected="a clip", cure="Replace the file.")
        stream = moving[0]
        check_codec(stream, cell)
        context = stream.codec_context
        _check_size(context.name, context, cell, limits)
        # Frames may grow after the header, which only the decoder sees.
        most = min(limits.pixels, 8 * limits.memory // _pixel_bits(context.name, context))
        context.options = {"max_pixels": str(most)}
        context.thread_count = 1  # threads would cost a short clip more than they save
        yield container, stream


def _read_index(cell: Any, root: Root, limits: Limits) -> _Index:
    """Read the packets of a clip without decoding, and keep their times.

    Raises:
        MediaError: If there are none, more than ``limits`` allow, or fewer than the file declares.
    """
    times: list[int] = []
    keys: list[int] = []
    until = 0
    count, is_whole, end, end_of_all = 0, True, 0.0, 0.0
    with _opened(cell, root, limits) as (container, stream):
        declared = _declared_seconds(container, stream)
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        for packet in container.demux():
            if not packet.size:
                continue
            own_end = float(((packet.pts or 0) + (packet.duration or 0)) * packet.time_base)
            end_of_all = max(end_of_all, own_end)
            if packet.stream.index != stream.index:
                continue
            is_whole = not packet.is_corrupt
            if packet.is_discard:  # removed by the file's edit list
                continue
            count, end = count + 1, max(end, own_end)
            if packet.pts is not None:
                times.append(packet.pts)
                until = max(until, packet.pts + (packet.duration or 0))
                keys += [packet.pts] * packet.is_keyframe
            shown = end - float(times[0] * stream.time_base) if times else count / rate
            _check_length(count, max(declared, shown), cell, limits)
        start = float(min(times, default=0) * stream.time_base)
    if not count:
        raise _cut_short(cell, 0.0, declared) if declared else _nothing(cell)
    is_timed = len(times) == count and bool(keys)
    seconds = end - start if is_timed else count / rate
    # A header may count from zero rather than from the first frame, and to the end of the audio.
    missing = declared - max(seconds, end_of_all) if is_timed else 0.0
    if not is_whole or missing > max(0.02 * declared, 2.5 / rate):
        raise _cut_short(cell, seconds, declared)
    with open_cell(cell, root, limits) as file:
        check_whole(file, cell, "clip")
    if is_timed:
        return _Index(sorted(set(times)), sorted(set(keys)), seconds, until)
    return _Index(list(range(count)), [], seconds)


def _reach(
    container: Any, stream: Any, index: _Index, wanted: list[int], cell: Any, limits: Limits
) -> Iterator[av.VideoFrame]:
    """The frames shown at the ascending ``wanted`` times; decodes no more than necessary."""
    budget = _Budget(stream.codec_context.name, cell, limits)
    decoded = budget.counted(_decode(container, stream, index))
    at: int | None = None
    frame: av.VideoFrame | None = None
    for time in wanted:
        key = index.jump(at, time)
        if key is not None and (at is None or at < time):
            container.seek(key, stream=stream)
            decoded = budget.counted(_decode(container, stream, index))
            first = next(decoded, None)
            if first is None or first[0] > time:  # the table of key frames in the file is wrong
                container.seek(index.times[0], stream=stream)
                index = _Index(index.times, index.keys[:1], index.seconds)
                decoded = budget.counted(_decode(container, stream, index))
            else:
                at, frame = first
        while at is None or at < time:
            following = next(decoded, None)
            if following is None:
                break
            at, frame = following
        if frame is None or at is None:
            raise _nothing(cell)
        if bisect_right(index.times, time) - bisect_right(index.times, at) > SPARE:
            raise _cut_short(cell, index.seconds * bisect_right(index.times, at) / len(index.times), 0)
        if frame.is_corrupt:
            reason = f"{describe(cell)} is damaged: a frame is not whole"
            raise MediaError(found=reason, expected="a whole clip", cure="Copy or record it again.")
        yield frame


class _Budget:
    """Counts the decoded pixels of a clip."""

    def __init__(self, codec: str, cell: Any, limits: Limits) -> None:
        self._codec, self._cell, self._limits, self._pixels = codec, cell, limits, 0

    def counted(self, decoded: Iterator[tuple[int, av.VideoFrame]]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Yield the frames while their pixels are counted.

        Raises:
            MediaError: If they have more pixels than the limits allow.
        """
        for time, frame in decoded:
            self._pixels += frame.width * frame.height
            _check_size(self._codec, frame, self._cell, self._limits)
            check_work(self._pixels, describe(self._cell), self._limits)
            yield time, frame


def _decode(container: Any, stream: Any, index: _Index) -> Iterator[tuple[int, av.VideoFrame]]:
    """The frames that follow, each with its time (its number where the file has no times)."""
    for number, frame in enumerate(container.decode(stream)):
        if not index.is_timed:
            yield number, frame
        elif frame.pts is not None:
            yield frame.pts, frame


def _declared_seconds(container: Any, stream: Any) -> float:
    """Duration by the header; 0 if it is not declared."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return float(container.duration or 0) / av.time_base


def _quarter_turns(degrees: int) -> int:
    return round((degrees or 0) / 90) % 4


def _upright(image: Image.Image, degrees: int) -> Image.Image:
    """Rotate an image counter-clockwise by the angle in the file."""
    turns = _quarter_turns(degrees)
    return image.transpose(TURNS[90 * turns]) if turns else image


def _check_size(codec: str, shown: Any, cell: Any, limits: Limits) -> None:
    """Refuse frames that are too large, or for which the decoder would need too much memory.

    Args:
        codec: Of the clip.
        shown: An object with ``width``, ``height`` and ``format``: a decoder, or a frame.
        cell: What is read, for messages.
        limits: Limits of what is read.
    """
    check_frame(shown.width, shown.height, describe(cell), limits)
    held = _pixel_bits(codec, shown) * shown.width * shown.height // 8
    if held > limits.memory:
        reason = f"{describe(cell)}: decoding frames of {shown.width} x {shown.height} pixels may take "
        reason += f"{held:,} bytes"
        expected = f"at most {limits.memory:,} bytes"
        raise MediaError(found=reason, expected=expected, cure="Make the clip smaller.")


def _pixel_bits(codec: str, shown: Any) -> int:
    """Bits per pixel that a decoder may hold, over all its frames."""
    bits = sum(component.bits for component in shown.format.components) if shown.format else 24
    return REFERENCES.get(codec, 4) * max(12, bits)


def _check_length(frames: int, seconds: float, cell: Any, limits: Limits) -> None:
    if seconds > limits.seconds:
        raise _too_long(cell, limits)
    check_count(frames, describe(cell), limits)


def _too_long(cell: Any, limits: Limits) -> MediaError:
    reason = f"{describe(cell)} is longer than {limits.seconds:g} seconds"
    return MediaError(found=reason, expected=f"at most {limits.seconds:g} seconds", cure="Cut the clip.")


def _cut_short(cell: Any, seconds: float, declared: float) -> MediaError:
    of = f" of {declared:.3g}" if declared > seconds else ""
    reason = f"{describe(cell)} is cut short: it ends after {seconds:.3g}{of} seconds"
    return MediaError(found=reason, expected="a whole clip", cure="Copy or record it again.")


def _nothing(cell: Any) -> MediaError:
    return MediaError(found=f"{describe(cell)} holds no frame", cure="Leave the cell empty instead.")
