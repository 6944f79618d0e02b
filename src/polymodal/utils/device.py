"""Devices and precisions."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from polymodal.errors import ConfigError, did_you_mean

if TYPE_CHECKING:  # to check the name of a precision needs no torch
    import torch

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""PyTorch's names of the data types of the computation; the weights keep theirs."""


def known_devices() -> list[str]:
    """The devices of this machine, under PyTorch's names."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    known = ["cpu", *["cuda"][:count], *(f"cuda:{number}" for number in range(count))]
    return [*known, "mps"] if torch.backends.mps.is_available() else known


def find_device(name: str | None = None) -> torch.device:
    """The device of that name; without a name a GPU, if there is one.

    Raises:
        ConfigError: If this machine has no such device.
    """
    import torch

    known = known_devices()
    if name is None:
        return torch.device("cuda" if "cuda" in known else "cpu")
    if name not in known:
        raise ConfigError(f"this machine has no device '{name}'. {did_you_mean(name, known)}")
    return torch.device(name)


def check_precision(precision: str) -> None:
    """Refuse a precision that is none.

    Raises:
        ConfigError: If there is no such precision.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"there is no precision '{precision}'. {did_you_mean(precision, PRECISIONS)}")


def computing_in(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Compute in ``precision`` inside the block, wherever that is safe (PyTorch's autocast).

    Raises:
        ConfigError: If there is no such precision.
    """
    import torch

    check_precision(precision)
    kept = precision != "fp32"
    kind = getattr(torch, PRECISIONS[precision]) if kept else None
    return torch.autocast(device.type, kind, enabled=kept)
