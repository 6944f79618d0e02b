"""Arrays of features."""

from __future__ import annotations

from polymodal.data.media.formats.base import FileFormats

SEQUENCE = FileFormats(
    modality="sequence",
    noun="a sequence of features",
    suffixes=(".npy", ".npz"),
    unopened=(".pt", ".pth", ".pkl", ".pickle", ".h5", ".hdf5", ".mat", ".safetensors", ".zarr"),
    opened=".npy or .npz",
    convert="Save the numbers by numpy.save.",
    magic=(b"\x93NUMPY",),
)  # fmt: skip
