"""Which rows make a batch, in which order: packs, or rows of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from torch.utils.data import Sampler
from transformers import TrainerCallback

WINDOW = 50
"""Steps: chance enough, and little padding."""
LITTLE = 0.1
"""Share of padding up to which rows go together by chance alone: rows of one length are often of one kind,
and a batch of one kind teaches one-sidedly."""
FILLING = [~0]
"""A batch for a process that has no rows left; ``~index`` is a row that teaches nothing, as elsewhere."""


class BatchesByEpoch(Sampler[list[int]]):
    """Batches in an order that hangs on seed and epoch alone, a multiple of ``processes``.

    For ``DataLoader(batch_sampler=…)``. Accelerate deals them out in turn, so that ``processes`` batches one
    after another are one step. (Without the filling it would begin again, and rows would count twice.)
    A sampler has no ``batch_size``: if it did, accelerate would drop batches that have fewer rows.

    Args:
        seed: Of the order.
        processes: That share the batches.
    """

    def __init__(self, *, seed: int, processes: int = 1) -> None:
        self.seed, self.processes, self.epoch = seed, processes, 0

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} does not say how many batches there are")

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer and by accelerate; see also :class:`EpochOfSampler`."""
        self.epoch = epoch

    def random(self) -> np.random.Generator:
        """Of this epoch."""
        return np.random.default_rng((self.seed, self.epoch))


class PackSampler(BatchesByEpoch):
    """Packs, the same in every epoch, in another order.

    Args:
        packs: See :func:`polymodal.training.loop.packing.pack`.
        seed: Of the order.
        processes: That share the packs.
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
    """Rows of like length, to be padded: sorted within windows of shuffled rows, cut, and shuffled as steps.

    A step holds the rows that one process would take with a batch ``processes`` times as large; the last
    may hold fewer.

    Args:
        lengths: Tokens of each row.
        batch_size: Most rows of a batch.
        seed: Of the order.
        processes: That share the batches.
        window: Steps within which rows are sorted: the more, the less padding, and the less chance. By
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
        """The share of an epoch's places that hold no token, were each step one batch, as for one process."""
        places = sum(len(rows) * int(self.lengths[rows].max()) for rows in self._steps())
        return 1 - float(self.lengths.sum()) / max(1, places)


class EpochOfSampler(TrainerCallback):
    """Tells a sampler the epoch where the Trainer does not.

    It reaches the sampler through one wrapper. Of several processes that resume within an epoch there are
    two, one that deals out and one that skips; their first epoch would be in the order of epoch 0.

    Args:
        sampler: To be told.
    """

    def __init__(self, sampler: BatchesByEpoch) -> None:
        self.sampler = sampler

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called before the loader is gone through."""
        self.sampler.set_epoch(int(state.epoch))
