"""Arrays in cells: storage in NumPy's format, and the modality of an array of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import IO, Any

import numpy as np

from polymodal.data.media.formats import IMAGE, SEQUENCE, VIDEO

MAGIC = b"\x93NUMPY"
HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
CHANNELS = (1, 2, 3, 4)
UNKNOWN_TO_NUMPY = ("torch.bfloat16", "torch.float8")
"""Types of tensors that NumPy does not have; their values are exact in float32."""


def as_array(cell: Any) -> np.ndarray:
    """Convert an array, a tensor on any device, or lists of numbers to a NumPy array.

    Raises:
        ValueError: If lists in it are of different lengths.
    """
    if hasattr(cell, "detach"):  # a tensor with a gradient, or on a GPU
        cell = cell.detach().cpu()
        if str(cell.dtype).startswith(UNKNOWN_TO_NUMPY):
            cell = cell.float()
    return np.asarray(cell)


def is_bare_array(cell: Any) -> bool:
    """Whether a cell is ``{"array": …}``, pixels or frames without the samples a second of a recording."""
    if not isinstance(cell, Mapping) or cell.get("array") is None or isinstance(cell["array"], (str, bytes)):
        return False
    return all(value is None for key, value in cell.items() if key != "array")


def packed(array: np.ndarray) -> bytes:
    """``array`` in NumPy's format."""
    file = BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether it is in Fortran order, and type of the array that follows.

    Raises:
        ValueError: If it is damaged, or of a version that is not known.
    """
    version = np.lib.format.read_magic(stream)
    read = HEADERS.get(version)
    if read is None:
        raise ValueError(f"NumPy's format {'.'.join(map(str, version))}")
    return read(stream)


def kind_of(shape: tuple[int, ...], dtype: np.dtype) -> str | None:
    """``image``, ``video`` or ``sequence`` by shape and type; None for anything else.

    Bytes of two dimensions and whole numbers of 16 bits are pixels; other arrays of two dimensions are steps
    and their features.
    """
    if dtype.kind not in "fiub":
        return None
    if len(shape) == 4:
        return VIDEO.modality
    if len(shape) == 3 and channels_last(shape) is not None:
        return IMAGE.modality
    if len(shape) == 3:
        return VIDEO.modality if dtype == np.uint8 else None  # frames of one channel
    if len(shape) == 2 and dtype in (np.uint8, np.uint16):
        return IMAGE.modality
    return SEQUENCE.modality if len(shape) in (1, 2) else None


def channels_last(shape: tuple[int, ...]) -> bool | None:
    """Whether the last of three dimensions holds the channels; False: the first does; None: neither."""
    if shape[-1] in CHANNELS:
        return True
    return False if shape[-3] in CHANNELS else None
