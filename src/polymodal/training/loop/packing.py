"""Several conversations in one row: which go together, so that little of the row stays empty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pack(lengths: Sequence[int] | np.ndarray, limit: int, seed: int) -> list[list[int]]:
    """Best fit: in an order drawn by the seed, each row goes where it leaves the least space.

    Sorted by falling length first, packs would be a little fuller still; but then rows of one length would
    always learn together, four long ones here and a hundred short ones there.

    Args:
        lengths: Tokens of each row.
        limit: Most tokens of a pack.
        seed: Of the order.

    Returns:
        The numbers of the rows of each pack.

    Raises:
        ValueError: If a row has no token, or more than a pack may have.
    """
    counts = np.asarray(lengths, dtype=np.int64)
    refused = np.flatnonzero((counts < 1) | (counts > limit))
    if len(refused):
        found = f"row {refused[0]} has {counts[refused[0]]} tokens"
        raise ValueError(f"{found}, expected 1 to {limit}, as many as a pack takes")
    packs: list[list[int]] = []
    waiting: list[list[int]] = [[] for _ in range(limit + 1)]  # packs by the space that is left in them
    spaces = 0  # bit n is set where a pack waits with space n; from a length up, the lowest is the best fit
    order = np.random.default_rng(seed).permutation(len(counts))
    for row, length in zip(order.tolist(), counts[order].tolist(), strict=True):
        fitting = spaces >> length
        if fitting:
            space = length + (fitting & -fitting).bit_length() - 1
            number = waiting[space].pop()
            spaces ^= 0 if waiting[space] else 1 << space
            packs[number].append(row)
        else:
            space, number = limit, len(packs)
            packs.append([row])
        if space > length:
            waiting[space - length].append(number)
            spaces |= 1 << (space - length)
    return packs


def padding_share(lengths: Sequence[int] | np.ndarray, packs: Sequence[Sequence[int]], limit: int) -> float:
    """Which share of the packs, each of ``limit`` tokens, stays empty."""
    filled = sum(int(lengths[row]) for rows in packs for row in rows)
    return 1 - filled / (limit * len(packs)) if packs else 0.0
