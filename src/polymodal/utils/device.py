"""Devices and precisions."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from polymodal.errors import ConfigError, did_you_mean

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Data types of the computation; the weights keep theirs."""


def known_devices() -> list[str]:
    """The devices of this machine, under PyTorch's names."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    known = ["cpu", *["cuda"][:count], *(f"cuda:{number}" for number in range(count))]
    return [*known, "mps"] if torch.backends.mps.is_available() else known


def find_device(name: str | None = None) -> torch.device:
    """The device of that name; without a name a GPU, if there is one.

    Raises:
        ConfigError: If this machine has no such device.
    """
    known = known_devices()
    if name is None:
        return torch.device("cuda" if "cuda" in known else "cpu")
    if name not in known:
        raise ConfigError(f"this machine has no device '{name}'. {did_you_mean(name, known)}")
    return torch.device(name)


def computing_in(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Compute in ``precision`` inside the block, wherever that is safe (PyTorch's autocast).

    Raises:
        ConfigError: If there is no such precision.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"there is no precision '{precision}'. {did_you_mean(precision, PRECISIONS)}")
    kept = precision != "fp32"
    return torch.autocast(device.type, PRECISIONS[precision] if kept else None, enabled=kept)
