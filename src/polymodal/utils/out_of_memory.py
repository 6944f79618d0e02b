"""Memory that is too small for the rows of a batch: the same work, with fewer rows at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from polymodal.errors import RunError, option
from polymodal.utils.progress import note

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
R = TypeVar("R")
NOT_MEMORY = "CUDNN_STATUS_NOT_SUPPORTED"
"""What accelerate takes for memory that is too small as well, though most often a tensor has a wrong form."""

PRIMITIVE = "could not create a primitive"
"""All that oneDNN reports of a convolution or product on a CPU whose working memory cannot be allocated."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of a device, or the main memory, was too small for what failed with ``error``."""
    import torch
    from accelerate.utils.memory import should_reduce_batch_size

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return str(error) == PRIMITIVE or (should_reduce_batch_size(error) and NOT_MEMORY not in str(error))


def free_memory() -> None:
    """Free what a failed attempt has left, and what the device keeps for later."""
    from accelerate.utils.memory import clear_device_cache

    clear_device_cache(garbage_collection=True)


class RowsAtOnce:
    """Work on rows with as many at once as fit into memory: at first ``rows``, half as many after a failure.

    Args:
        rows: At most as many at once.
        device: Of the work, for messages.

    Attributes:
        rows: At most as many at once from now on.
    """

    def __init__(self, rows: int, device: torch.device | str = "cpu") -> None:
        self.rows, self.device = rows, device

    def work(self, items: Sequence[T], work: Callable[[Sequence[T]], R]) -> Iterator[tuple[Sequence[T], R]]:
        """Parts of ``items``, in order, each with what ``work`` makes of it.

        Raises:
            RunError: If memory is too small for a single one.
        """
        start = 0
        while start < len(items):
            part = items[start : start + self.rows]
            made = self._tried(part, work)
            if made:
                start += len(part)
                yield part, made[0]

    def _tried(self, part: Sequence[T], work: Callable[[Sequence[T]], R]) -> list[R]:
        """What ``work`` makes of a part, in a list; empty if memory was too small, which halves the rows."""
        try:
            return [work(part)]
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(part) == 1:
                raise self._too_small() from error
        free_memory()  # only here, where the frames of the error, and what they computed, are gone
        self.rows = len(part) // 2
        note(f"out of memory with {len(part)} rows per batch: goes on with {self.rows}")
        return []

    def _too_small(self) -> RunError:
        kind = str(self.device).partition(":")[0]
        fix = "Use a machine with more memory" if kind == "cpu" else f"Use {option('device', 'cpu')}"
        return RunError(f"{kind}: out of memory with a single row. {fix}, or a run with smaller encoders")
