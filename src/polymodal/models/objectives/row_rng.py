"""Random numbers keyed by row: equal seeds give equal numbers, in any order, on any number of processes."""

from __future__ import annotations

import math
import zlib

import torch
from torch import Tensor

GOLDEN, FIRST, SECOND = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15
"""The odd constants of SplitMix64 (Steele, Lea & Flood 2014, figure 17), as signed 64-bit numbers."""
BITS = 24
"""Random bits of a float32 between 0 and 1."""


def salt(*names: str) -> int:
    """A number per purpose, so that different draws for a row are independent."""
    return zlib.crc32("\0".join(names).encode())


def mixed(numbers: Tensor) -> Tensor:
    """Hash int64 ``numbers`` with the last steps of SplitMix64."""
    numbers = (numbers ^ _shifted(numbers, 30)) * FIRST
    numbers = (numbers ^ _shifted(numbers, 27)) * SECOND
    return numbers ^ _shifted(numbers, 31)


def uniform(draws: Tensor, what: int, *shape: int) -> Tensor:
    """Uniform random numbers in [0, 1): ``(rows, *shape)`` float32.

    Args:
        draws: ``(rows,)`` int64, one seed per row and epoch.
        what: The purpose: see :func:`salt`.
        shape: Numbers per row.
    """
    indices = torch.arange(math.prod(shape), device=draws.device) * GOLDEN
    numbers = mixed(mixed(draws * GOLDEN + what).unsqueeze(1) + indices)
    return _as_float(numbers).view(len(draws), *shape)


def item_draws(draws: Tensor, row: Tensor) -> Tensor:
    """Seeds ``(items,)`` of items: from the seed of their row and their index in it."""
    count = torch.bincount(row, minlength=len(draws))
    first = count.cumsum(0) - count
    return draws[row] + (torch.arange(len(row), device=row.device) - first[row])


def gumbel_pairs(draws: Tensor, others: Tensor, what: int) -> Tensor:
    """Gumbel noise ``(rows, others)``: the argmax of logits plus noise is a draw from their softmax."""
    numbers = mixed(mixed(draws * GOLDEN + what).unsqueeze(1) + mixed(others).unsqueeze(0) * GOLDEN)
    chance = _as_float(numbers).clamp(min=2.0**-BITS, max=1 - 2.0**-BITS)
    return -(-chance.log()).log()


def _as_float(numbers: Tensor) -> Tensor:
    return _shifted(numbers, 64 - BITS).float() / 2**BITS


def _shifted(numbers: Tensor, bits: int) -> Tensor:
    """Logical right shift of ``numbers``; torch shifts in the sign bit."""
    return (numbers >> bits) & ((1 << (64 - bits)) - 1)
