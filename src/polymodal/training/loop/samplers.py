"""Samplers of rows and batches: distributed training, packing, and batches of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import Sampler
from transformers import TrainerCallback

from polymodal.data.row_dataset import RowDataset


class EvenSampler(Sampler[int]):
    """The order of a single process, padded so that every process has rows in every step.

    Padding is ``~index``, which :class:`RowDataset` reads as a row without cells and loss. (Accelerate would
    pad with the epoch's first rows, which would then count twice.)

    Args:
        rows: The rows.
        step: Rows of all processes in one step.
        seed: Seed of the order; by default that of torch.
    """

    def __init__(self, rows: RowDataset, step: int, seed: int | None = None) -> None:
        self.rows, self.step = rows, step
        self.order = SeedableRandomSampler(rows, data_seed=seed)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.step) * self.step

    def __iter__(self) -> Iterator[int]:
        yield from self.order
        yield from (~index for index in [0] * (len(self) - len(self.rows)))

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the rows as well: accelerate calls the sampler's method only."""
        self.order.set_epoch(epoch)
        self.rows.set_epoch(epoch)


def pack(lengths: Sequence[int] | np.ndarray, limit: int, seed: int) -> list[list[int]]:
    """Best-fit packing: in a seeded random order, each row goes to the pack where it leaves the least space.

    Sorted by decreasing length, packs would be slightly fuller, but rows of one length would always be in one
    batch.

    Args:
        lengths: Tokens of each row.
        limit: Most tokens of a pack.
        seed: Seed of the order.

    Returns:
        The numbers of the rows of each pack.

    Raises:
        ValueError: If a row has no token, or more than a pack may have.
    """
    counts = np.asarray(lengths, dtype=np.int64)
    refused = np.flatnonzero((counts < 1) | (counts > limit))
    if len(refused):
        reason = f"row {refused[0]} has {counts[refused[0]]} tokens"
        raise ValueError(f"{reason}, expected 1 to {limit}, as many as a pack takes")
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
    """The share of padding in packs of ``limit`` tokens each."""
    filled = sum(int(lengths[row]) for rows in packs for row in rows)
    return 1 - filled / (limit * len(packs)) if packs else 0.0


WINDOW = 50
"""Steps per window: random enough, with little padding."""
LITTLE = 0.1
"""Share of padding up to which batches are random: rows of one length are often of one kind, and a batch of
one kind gives a biased gradient."""
FILLING = [~0]
"""A batch for a process without rows; ``~index`` is a row without loss, as elsewhere."""


class BatchesByEpoch(Sampler[list[int]]):
    """Batches in an order that depends on seed and epoch only; their number is a multiple of ``processes``.

    For ``DataLoader(batch_sampler=…)``. Accelerate distributes them in turn, so that ``processes`` successive
    batches are one step. (Without filling batches it would start over, and rows would count twice.) The
    sampler has no ``batch_size``, for accelerate would then drop batches of fewer rows.

    Args:
        seed: Seed of the order.
        processes: Number of processes.
    """

    def __init__(self, *, seed: int, processes: int = 1) -> None:
        self.seed, self.processes, self.epoch = seed, processes, 0

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} has no __len__ of its own")

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; called by the Trainer and by accelerate, see also :class:`EpochOfSampler`."""
        self.epoch = epoch

    def random(self) -> np.random.Generator:
        """The generator of this epoch."""
        return np.random.default_rng((self.seed, self.epoch))


class PackSampler(BatchesByEpoch):
    """Samples packs: the same in every epoch, in another order.

    Args:
        packs: Row numbers of each pack: see :func:`polymodal.training.loop.samplers.pack`.
        seed: Seed of the order.
        processes: Number of processes.
    """

    def __init__(self, packs: Sequence[list[int]], *, seed: int, processes: int = 1) -> None:
        super().__init__(seed=seed, processes=processes)
        self.packs = packs

    def __len__(self) -> int:
        return -(-len(self.packs) // self.processes) * self.processes

    def __iter__(self) -> Iterator[list[int]]:
        yield from (self.packs[number] for number in self.random().permutation(len(self.packs)))
        yield from (FILLING for _ in range(len(self) - len(self.packs)))


class LengthGroupedSampler(BatchesByEpoch):
    """Batches of rows of similar length: shuffled rows are sorted in windows, cut into steps, and shuffled.

    A step has the rows of one process with a batch ``processes`` times as large; the last may have fewer.

    Args:
        lengths: Tokens of each row.
        batch_size: Most rows of a batch.
        seed: Seed of the order.
        processes: Number of processes.
        window: Steps within which rows are sorted: more steps mean less padding and less randomness. By
            default one, and :data:`WINDOW` where that would pad more than :data:`LITTLE`.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        batch_size: int,
        *,
        seed: int,
        processes: int = 1,
        window: int | None = None,
    ) -> None:
        super().__init__(seed=seed, processes=processes)
        self.lengths, self.step, self.window = np.asarray(lengths), batch_size * processes, window or 1
        if window is None and self._padding() > LITTLE:
            self.window = WINDOW

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.step) * self.processes

    def __iter__(self) -> Iterator[list[int]]:
        parts = (np.array_split(rows, self.processes) for rows in self._steps())
        yield from (batch.tolist() or FILLING for batch in chain.from_iterable(parts))

    def _steps(self) -> Iterator[np.ndarray]:
        """The rows of each step of an epoch."""
        random = self.random()
        rows = random.permutation(len(self.lengths))
        windows = np.arange(len(rows)) // (self.step * self.window)
        rows = rows[np.lexsort((self.lengths[rows], windows))]
        for start in random.permutation(np.arange(0, len(rows), self.step)):
            yield rows[start : start + self.step]

    def _padding(self) -> float:
        """The share of padding in an epoch, if each step were one batch, as for one process."""
        indices = sum(len(rows) * int(self.lengths[rows].max()) for rows in self._steps())
        return 1 - float(self.lengths.sum()) / max(1, indices)


class EpochOfSampler(TrainerCallback):
    """Sets the epoch of a sampler where the Trainer does not.

    The Trainer reaches the sampler through one wrapper. With several processes that resume within an epoch
    there are two, for distribution and for skipping; their first epoch would be in the order of epoch 0.

    Args:
        sampler: The sampler.
    """

    def __init__(self, sampler: BatchesByEpoch) -> None:
        self.sampler = sampler

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Set the epoch, before the loader is iterated."""
        self.sampler.set_epoch(int(state.epoch))
