"""Which rows train together: packs, or padded batches of like length; the same in a resumed run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Sampler

from polymodal.training.language.packing import pack

GROUP = 50
"""Batches whose rows are sorted by length together: chance enough, and little padding."""
LITTLE = 0.1
"""Share of padding up to which rows go together by chance alone: rows of one length are often of one kind,
and a batch of one kind teaches one-sidedly."""


class Batches(Sampler[list[int]]):
    """Base of the samplers of batches: their order hangs on the seed and the epoch.

    Of several processes each takes every so-manieth batch; all take as many, the first ones twice where they
    do not come out even.

    Args:
        seed: Of the order.
        process: Number of this process, from 0.
        processes: That train together.
    """

    def __init__(self, *, seed: int, process: int = 0, processes: int = 1) -> None:
        self.seed, self.epoch = seed, 0
        self.process, self.processes = process, processes

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer at the start of each epoch."""
        self.epoch = epoch

    def batches(self, random: np.random.Generator) -> list[list[int]]:
        """All batches of an epoch, in order; as many in each."""
        raise TypeError(f"{type(self).__name__} does not say which batches there are")

    def __iter__(self) -> Iterator[list[int]]:
        every = self.batches(np.random.default_rng((self.seed, self.epoch)))
        for number in range(len(self)):
            yield every[(number * self.processes + self.process) % len(every)]

    @property
    def count(self) -> int:
        """Batches of all processes."""
        raise TypeError(f"{type(self).__name__} does not say how many batches there are")

    def __len__(self) -> int:
        return -(-self.count // self.processes)


class PackBatches(Batches):
    """Packs, the same ones in every epoch, in another order.

    Args:
        lengths: Tokens of each row.
        limit: Most tokens of a pack.
        options: See :class:`Batches`.
    """

    def __init__(self, lengths: Sequence[int] | np.ndarray, limit: int, **options: Any) -> None:
        super().__init__(**options)
        self.packs = pack(lengths, limit, self.seed)

    def batches(self, random: np.random.Generator) -> list[list[int]]:
        """See :class:`Batches`."""
        return [self.packs[place] for place in random.permutation(len(self.packs))]

    @property
    def count(self) -> int:
        """See :class:`Batches`."""
        return len(self.packs)


class LengthBatches(Batches):
    """Batches of rows of like length, where chance alone would pad much.

    Of so many batches drawn by chance, the rows are sorted.

    Args:
        lengths: Tokens of each row.
        size: Rows a batch.
        options: See :class:`Batches`.
    """

    def __init__(self, lengths: Sequence[int] | np.ndarray, size: int, **options: Any) -> None:
        super().__init__(**options)
        self.lengths, self.size = np.asarray(lengths), size
        self.group = 1
        by_chance = self.batches(np.random.default_rng(self.seed))
        self.group = GROUP if self.padding(by_chance) > LITTLE else 1

    def padding(self, batches: Sequence[Sequence[int]]) -> float:
        """The share of the places in padded ``batches`` that hold no token."""
        places = sum(len(rows) * int(self.lengths[rows].max()) for rows in batches)
        return 1 - float(self.lengths.sum()) / places if places else 0.0

    def batches(self, random: np.random.Generator) -> list[list[int]]:
        """See :class:`Batches`."""
        drawn = random.permutation(len(self.lengths))
        made = []
        for start in range(0, len(drawn), self.group * self.size):
            group = drawn[start : start + self.group * self.size]
            group = group[np.argsort(-self.lengths[group], kind="stable")]
            made += [group[place : place + self.size].tolist() for place in range(0, len(group), self.size)]
        return [made[place] for place in random.permutation(len(made))]

    @property
    def count(self) -> int:
        """See :class:`Batches`."""
        return -(-len(self.lengths) // self.size)


class EpochLoader(DataLoader):
    """A loader that tells its batches and its rows which epoch it is."""

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer at the start of each epoch."""
        for part in (self.batch_sampler, self.dataset):
            part.set_epoch(epoch)  # type: ignore[union-attr]
