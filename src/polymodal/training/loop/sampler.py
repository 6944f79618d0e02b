"""Which process trains on which row: together, in each step, on the rows that one process would take."""

from __future__ import annotations

from collections.abc import Iterator

from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import Sampler

from polymodal.data.collator import RowDataset


class EvenSampler(Sampler[int]):
    """The order of a single process, filled up so that every process has rows in every step.

    What fills up is ``~index``, which :class:`RowDataset` reads as a row without cells: it teaches nothing.
    (Accelerate would fill up with the epoch's first rows, which would then count twice.)

    Args:
        rows: To draw from.
        step: Rows that all processes take in one step.
        seed: Of the order; by default that of torch.
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
        """Accelerate calls this in the place of the dataset's own, which needs it too."""
        self.order.set_epoch(epoch)
        self.rows.set_epoch(epoch)
