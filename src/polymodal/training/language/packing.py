"""Conversations of different lengths into packs of almost equal length, so that little is padded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pack(lengths: Sequence[int] | np.ndarray, limit: int, seed: int = 0) -> list[list[int]]:
    """Rows into packs of at most ``limit`` tokens, by best fit decreasing (Johnson 1974).

    The longest row goes first, each into the pack that it fills best; rows of one length in an order that the
    seed draws, and within a pack in the order of the rows.

    Args:
        lengths: Tokens of each row.
        limit: Most tokens of a pack.
        seed: Of the order.

    Returns:
        The rows of each pack.

    Raises:
        ValueError: If a row is longer than a pack.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if len(sizes) and sizes.max() > limit:
        longest = int(sizes.argmax())
        raise ValueError(f"row {longest} has {sizes[longest]} tokens, and a pack holds {limit}")
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    packs: list[list[int]] = []
    with_space: list[list[int]] = [[] for _ in range(limit + 1)]
    spaces = 0  # bit s is set where some pack has room for exactly s tokens more
    for row, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        fitting = spaces >> size
        if fitting:
            space = size + (fitting & -fitting).bit_length() - 1
            place = with_space[space].pop()
            if not with_space[space]:
                spaces ^= 1 << space
        else:
            space, place = limit, len(packs)
            packs.append([])
        packs[place].append(row)
        with_space[space - size].append(place)
        spaces |= 1 << (space - size)
    return [sorted(rows) for rows in packs]


def padding(lengths: Sequence[int] | np.ndarray, packs: Sequence[Sequence[int]], limit: int) -> float:
    """The share of ``limit`` tokens a pack that holds none."""
    return 1 - float(np.sum(lengths)) / (len(packs) * limit) if packs else 0.0
