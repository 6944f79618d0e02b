"""Decoding of images: from a cell (path, bytes, data URI, array) to an upright 8-bit image, within limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import av
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from polymodal.data.media.arrays import MAGIC, as_array, channels_last, is_bare_array, read_header
from polymodal.data.media.cells import LIMITS, Limits, MediaError, describe, open_cell
from polymodal.data.media.decoding import PICTURES, damage
from polymodal.data.media.path_access import Root, limits_of

FULL_SCALES = (255, 1023, 4095, 65535, 2**31 - 1)
"""Values of white in an image of more than 8 bits: 8, 10, 12, 16 and 31 bits."""
OVERSHOOT = 1.1
"""Floats up to this have the scale of 1: resizing and rounding can exceed white, which is clipped."""
STRIP = 2**20
"""Pixels that are converted at once."""
WEBP_BYTES, AVIF_BYTES, DEEP_BYTES = 16, 16, 24
"""Bytes per pixel while these are decoded, measured with Pillow 13."""
SCAN, MOST_SCANS = b"\xff\xda", 2000
"""Marker of a scan of a JPEG, and most scans; encoders write about 10, with 12 bits at most 200."""
BITS, SAMPLES, STRIP_LINES, TILE = 258, 277, 278, (322, 323)
"""Tags of a TIFF."""
EXPECTED = "numbers of shape (height, width) or (height, width, channels)"
IN_MEMORY = (Image.Image, np.ndarray, list, tuple)


def load_image(
    cell: Any,
    root: Root = None,
    limits: Limits = LIMITS,
    *,
    gray: bool = False,
    full_scale: float | None = None,
) -> Image.Image:
    """Decode the image in a cell: upright, in mode RGB, transparency on white.

    Images of more than 8 bits are divided by ``full_scale``; without one, by the first of 1 (floats), 255,
    1023, 4095, 65535 and 2³¹-1 that holds their values. Images of 8 bits are unchanged.

    Args:
        cell: Path (relative to ``root`` or absolute), bytes, ``data:`` URI, ``{"path", "bytes"}``, PIL
            image, or array, tensor or lists ``(height, width)``, ``(height, width, channels)`` or
            ``(channels, height, width)``.
        root: Folder that relative paths refer to; the current one by default.
        limits: Limits of what is read.
        gray: Keep an image of one channel in mode L.
        full_scale: The value of white in images of more than 8 bits.

    Raises:
        MediaError: If there is no such file, it is empty, too large, damaged or cut short, no picture, holds
            values below 0 or above ``full_scale``, or such as are no numbers.
    """
    cell, limits = cell["array"] if is_bare_array(cell) else cell, limits_of(root, limits)
    with damage(cell, "a picture"):
        if _is_array(cell):
            return _from_array(as_array(cell), limits, gray, full_scale, cell)
        if isinstance(cell, Image.Image):
            _check_pixels(cell, cell, limits)
            cell.load()
            return _to_rgb(ImageOps.exif_transpose(cell), gray, full_scale, cell)
        with open_cell(cell, root, limits) as stream:
            return _from_file(stream, limits, gray, full_scale, cell)


def image_size(cell: Any, root: Root = None) -> tuple[int, int]:
    """Width and height of the upright image, from its header only.

    Raises:
        MediaError: As ``load_image``, except for damage behind the header.
    """
    if _is_array(cell) or is_bare_array(cell) or isinstance(cell, Image.Image):
        return load_image(cell, root).size
    with damage(cell, "a picture"), open_cell(cell, root, LIMITS) as stream:
        try:
            with Image.open(stream, formats=PICTURES) as image:
                _check_pixels(image, cell, LIMITS)
                turned = _orientation(image) >= 5  # orientations 5 to 8 are rotated by 90 degrees
                return (image.height, image.width) if turned else image.size
        except UnidentifiedImageError:
            array = _numpy_file(stream, cell, LIMITS)
            if array is None:
                raise
            return _from_array(array, LIMITS, True, None, cell).size


def own_full_scale(cell: Any, root: Root = None) -> float | None:
    """The value of white in an image of more than 8 bits, from that image alone; None for 8 bits.

    Raises:
        MediaError: As ``load_image``.
    """
    cell = cell["array"] if is_bare_array(cell) else cell
    with damage(cell, "a picture"):
        if _is_array(cell):
            return _array_scale(as_array(cell), cell)
        if isinstance(cell, Image.Image):
            return _image_scale(cell, cell)
        with open_cell(cell, root, LIMITS) as stream:
            head = stream.read(26)
            stream.seek(0)
            if head[:2] == b"\xff\xd8" or (head[1:4] == b"PNG" and head[24] <= 8):
                return None  # most images: no decoding needed
            return _file_scale(stream, cell)


def _held_by(peak: float, *, whole: bool) -> float:
    """The first of the full scales that holds ``peak``; 1 only for values that are not ``whole``.

    Raises:
        ValueError: If none does.
    """
    scales = FULL_SCALES if whole else (1, *FULL_SCALES)
    held = next((scale for scale in scales if peak <= _most(scale)), None)
    if held is None:
        raise ValueError(f"values to {peak:.6g}, expected at most {FULL_SCALES[-1]}")
    return float(held)


def _most(scale: float) -> float:
    """The largest value that a full scale holds."""
    return OVERSHOOT if scale == 1 else scale


def _is_array(cell: Any) -> bool:
    return isinstance(cell, (np.ndarray, list, tuple)) or hasattr(cell, "detach")


def _from_file(
    stream: BinaryIO, limits: Limits, gray: bool, full_scale: float | None, cell: Any
) -> Image.Image:
    try:
        image = Image.open(stream, formats=PICTURES)
    except UnidentifiedImageError:
        array = _numpy_file(stream, cell, limits)
        if array is None:
            raise
        return _from_array(array, limits, gray, full_scale, cell)
    with image:
        _check_pixels(image, cell, limits)  # from the header: nothing is decoded yet
        if _is_deep_colour(image):
            turn = _orientation(image)
            picture = _eight_bits(_deep_colour(stream, image), full_scale, cell)
            picture.getexif()[0x0112] = turn
            return _to_rgb(ImageOps.exif_transpose(picture), gray, full_scale, cell)
        image.load()
        if image.info:  # without metadata there is no orientation
            ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image, gray, full_scale, cell)


def _numpy_file(stream: BinaryIO, cell: Any, limits: Limits) -> np.ndarray | None:
    """The array in a file of NumPy's format; None if it is none."""
    stream.seek(0)
    if stream.read(len(MAGIC)) != MAGIC:
        return None
    stream.seek(0)
    shape, _, kind = read_header(stream)
    if kind.hasobject or kind.kind not in "fiub" or len(shape) not in (2, 3):
        raise MediaError(found=f"{describe(cell)}: array of {kind}, shape {shape}", expected=EXPECTED)
    _check_memory(int(np.prod(shape)) * (kind.itemsize + 1), cell, limits)
    stream.seek(0)
    return np.load(stream, allow_pickle=False)


def _check_pixels(image: Image.Image, cell: Any, limits: Limits) -> None:
    if image.width * image.height > limits.pixels:
        reason = f"{describe(cell)} has {image.width} x {image.height} pixels"
        raise MediaError(
            found=reason, expected=f"at most {limits.pixels:,} pixels", cure="Make the picture smaller."
        )
    tile = _tile_bytes(image) if image.format == "TIFF" else 0
    if image.width * image.height * DEEP_BYTES + tile > limits.memory:  # the most that any takes
        _check_memory(image.width * image.height * _pixel_bytes(image) + tile, cell, limits)
    if image.format == "JPEG" and image.info.get("progressive"):
        _check_scans(image, cell)


def _check_memory(size: int, cell: Any, limits: Limits) -> None:
    if size > limits.memory:
        reason = f"{describe(cell)} takes {size:,} bytes to decode"
        expected = f"at most {limits.memory:,} bytes"
        raise MediaError(found=reason, expected=expected, cure="Make the picture smaller.")


def _tile_bytes(image: Any) -> int:
    """Bytes of a tile or strip of a TIFF, which is unpacked whole, however small the image."""
    tags = image.tag_v2
    bits = sum(tags.get(BITS, (1,)) * (1 if len(tags.get(BITS, (1,))) > 1 else tags.get(SAMPLES, 1)))
    lines = min(image.height, tags.get(STRIP_LINES, image.height))
    return int(tags.get(TILE[0], image.width) * tags.get(TILE[1], lines) * bits // 8)


def _check_scans(image: Any, cell: Any) -> None:
    """Refuse a progressive JPEG of more scans than encoders write: each one processes all pixels."""
    index = image.fp.tell()
    image.fp.seek(0)
    scans = image.fp.read().count(SCAN)
    image.fp.seek(index)
    if scans > MOST_SCANS:
        reason, expected = f"{describe(cell)} is a JPEG of {scans:,} scans", f"at most {MOST_SCANS}"
        raise MediaError(found=reason, expected=expected, cure="Save the picture again.")


def _pixel_bytes(image: Image.Image) -> int:
    """Peak bytes per pixel of the conversion to RGB."""
    if _is_deep_colour(image):
        return DEEP_BYTES
    held = {"1": 1, "L": 1, "P": 1}.get(image.mode, 2 if image.mode.startswith("I;16") else 4)
    decoding = held
    if image.format == "JPEG" and image.info.get("progressive"):
        decoding += 6  # its coefficients are kept until the last scan
    elif image.format in ("WEBP", "AVIF"):
        decoding = WEBP_BYTES if image.format == "WEBP" else AVIF_BYTES
    turning = 2 * held if image.info and _orientation(image) > 1 else held
    return max(decoding, turning, held + (0 if image.mode == "RGB" else 5 if _is_deep(image) else 4))


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(0x0112, 1) or 1)


def _is_bytes(array: np.ndarray) -> bool:
    return array.dtype in (np.uint8, np.bool_)


def _is_deep(image: Image.Image) -> bool:
    """Whether Pillow holds it in more than 8 bits."""
    return image.mode.startswith("I") or image.mode == "F"


def _is_deep_colour(image: Any) -> bool:
    """Whether it has colours of 16 bits, of which Pillow would drop the lower 8."""
    if image.format not in ("PNG", "TIFF") or _is_deep(image) or not image.tile:
        return False
    raw = image.tile[0].args
    raw = raw if isinstance(raw, str) else raw[0] if isinstance(raw, tuple) and raw else ""
    return ";16" in str(raw) and image.mode in ("RGB", "RGBA", "LA")


def _deep_colour(stream: BinaryIO, image: Image.Image) -> np.ndarray:
    """uint16 ``(height, width, channels)``, decoded by libav."""
    stream.seek(0)
    decoder: Any = av.CodecContext.create(str(image.format).lower(), "r")
    decoder.thread_count = 1
    frames = [*decoder.decode(av.Packet(stream.read())), *decoder.decode(None)]
    if not frames or (frames[0].width, frames[0].height) != image.size:
        raise ValueError("no picture could be decoded")
    name = frames[0].format.name
    wanted = "rgba64le" if name.startswith(("rgba64", "ya16")) else "rgb48le"
    return (
        frames[0] if name in (wanted, wanted[:-2] + "be") else frames[0].reformat(format=wanted)
    ).to_ndarray()


def _from_array(
    array: np.ndarray, limits: Limits, gray: bool, full_scale: float | None, cell: Any
) -> Image.Image:
    values = _pixel_array(array, limits, cell)
    image = Image.fromarray(values) if values.dtype == np.uint8 else _eight_bits(values, full_scale, cell)
    return _to_rgb(image, gray, full_scale, cell)


def _pixel_array(array: np.ndarray, limits: Limits, cell: Any) -> np.ndarray:
    """``array`` with its channels last, one channel without them; bytes as uint8."""
    last = channels_last(array.shape) if array.ndim == 3 else None
    is_picture = array.ndim == 2 or (array.ndim == 3 and last is not None)
    if array.dtype.kind not in "fiub" or not is_picture or not array.size:
        raise MediaError(found=f"array of {array.dtype}, shape {array.shape}", expected=EXPECTED)
    _check_memory(array.size * (array.dtype.itemsize + 9), cell, limits)
    if array.ndim == 3:
        array = array if last else np.moveaxis(array, 0, -1)
        array = array[:, :, 0] if array.shape[2] == 1 else array
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    return np.ascontiguousarray(array)


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """An image in horizontal bands, each with its first line."""
    lines = max(1, STRIP // max(1, image.width))
    for top in range(0, image.height, lines):
        yield top, image.crop((0, top, image.width, min(image.height, top + lines)))


def _array_scale(array: np.ndarray, cell: Any) -> float | None:
    if _is_bytes(array):
        return None
    values = _pixel_array(array, LIMITS, cell)
    return _held_by(_range(values, cell)[1], whole=values.dtype.kind != "f")


def _image_scale(image: Image.Image, cell: Any) -> float | None:
    return _held_by(_peak(image, cell), whole=image.mode != "F") if _is_deep(image) else None


def _file_scale(stream: BinaryIO, cell: Any) -> float | None:
    try:
        image = Image.open(stream, formats=PICTURES)
    except UnidentifiedImageError:
        array = _numpy_file(stream, cell, LIMITS)
        if array is None:
            raise
        return _array_scale(array, cell)
    with image:
        _check_pixels(image, cell, LIMITS)
        if _is_deep_colour(image):
            return _held_by(float(_deep_colour(stream, image).max()), whole=True)
        return _image_scale(image, cell)


def _peak(image: Image.Image, cell: Any) -> float:
    """The largest value of a picture that Pillow holds in more than 8 bits.

    Raises:
        MediaError: If there are values below 0, or such as are no numbers.
    """
    return max(_range(np.asarray(strip), cell)[1] for _, strip in _strips(image))


def _range(values: np.ndarray, cell: Any) -> tuple[float, float]:
    """The least and the largest of values that may be a picture's.

    Raises:
        MediaError: If there are values below 0, or such as are no numbers.
    """
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low) or not np.isfinite(high):
        reason = f"{describe(cell)} holds values that are no numbers"
        raise MediaError(found=reason, expected="finite numbers", cure="Fill them, or leave the cell empty.")
    if low < 0:
        reason = f"{describe(cell)} holds values down to {low:.6g}"
        raise MediaError(
            found=reason, expected="values from 0 (black)", cure="Add what makes them start at 0."
        )
    return low, high


def _scale(peak: float, whole: bool, full_scale: float | None, cell: Any) -> float:
    if full_scale is not None and peak > _most(full_scale):
        reason = f"{describe(cell)} holds values to {peak:.6g}"
        fix = "Give it on the scale of those, or train with 'full_scale' of the input set to what is white."
        raise MediaError(found=reason, expected=f"at most {full_scale:.6g} as in the training rows", cure=fix)
    return full_scale or _held_by(peak, whole=whole)


def _eight_bits(values: np.ndarray, full_scale: float | None, cell: Any) -> Image.Image:
    """Values ``(height, width)`` or ``(height, width, channels)`` of any type in 8 bits."""
    _, peak = _range(values, cell)
    scale = _scale(peak, values.dtype.kind != "f", full_scale, cell)
    eight = np.empty(values.shape, np.uint8)
    lines = max(1, STRIP // max(1, values[0].size))
    for top in range(0, len(values), lines):
        eight[top : top + lines] = _rounded(values[top : top + lines], scale)
    return Image.fromarray(eight)


def _rounded(values: np.ndarray, scale: float) -> np.ndarray:
    return np.clip(np.rint(values.astype(np.float64) / (scale / 255)), 0, 255).astype(np.uint8)


def _deep_to_gray(image: Image.Image, full_scale: float | None, cell: Any) -> Image.Image:
    scale = _scale(_peak(image, cell), image.mode != "F", full_scale, cell)
    result = Image.new("L", image.size)
    for top, strip in _strips(image):
        result.paste(Image.fromarray(_rounded(np.asarray(strip), scale)), (0, top))
    return result


def _on_white(image: Image.Image) -> Image.Image:
    result = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        if "transparency" in image.info:
            strip.info["transparency"] = image.info["transparency"]
        white = Image.new("RGBA", strip.size, "white")
        white.alpha_composite(strip.convert("RGBA"))
        result.paste(white.convert("RGB"), (0, top))
    return result


def _to_rgb(image: Image.Image, gray: bool, full_scale: float | None, cell: Any) -> Image.Image:
    if image.mode in (("RGB", "L") if gray else ("RGB",)) and "transparency" not in image.info:
        return image
    if _is_deep(image):
        image = _deep_to_gray(image, full_scale, cell)  # Pillow's own conversion would cut at 255
        return image if gray else image.convert("RGB")
    if "A" in image.mode.upper().replace("LAB", "") or "transparency" in image.info:
        return _on_white(image)
    return image.convert("RGB")
