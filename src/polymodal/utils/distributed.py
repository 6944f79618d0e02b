"""Distributed training (``torchrun``): the process group, and work of the main process."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from polymodal.errors import PolymodalError, ReportedElsewhere

T = TypeVar("T")
LONGEST_WAIT = timedelta(days=7)
"""Timeout of work in the main process only: reading every cell of a large table can take hours."""


def count() -> int:
    """Number of processes."""
    return int(os.environ.get("WORLD_SIZE", 1))


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return count() == 1 or int(os.environ.get("RANK", 0)) == 0


def start() -> None:
    """Initialize the process group, with several processes: on gloo, or on the accelerator's backend."""
    if count() > 1:
        import torch
        from accelerate import PartialState

        PartialState(cpu=not torch.cuda.is_available())


def stop() -> None:
    """Destroy the process group."""
    if count() > 1:
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()
            waiting_group.cache_clear()


@cache
def waiting_group() -> Any:
    """A gloo group of all processes with a long timeout."""
    import torch.distributed as dist

    return dist.new_group(backend="gloo", timeout=LONGEST_WAIT)


def everywhere(work: Callable[[], T]) -> T:
    """Run ``work`` in every process; if it fails in one, it fails in all, and the error is reported once.

    Raises:
        PolymodalError: What ``work`` raised, in the first process in which it failed.
        ReportedElsewhere: In the others.
    """
    if count() == 1:
        return work()
    import torch.distributed as dist

    error: PolymodalError | None = None
    try:
        result = work()
    except PolymodalError as raised:
        error = raised
    failed: list[bool] = [False] * count()
    dist.all_gather_object(failed, error is not None, group=waiting_group())
    if any(failed):
        if error is None or failed.index(True) != dist.get_rank():
            raise ReportedElsewhere
        raise error
    return result


def on_main(work: Callable[[], T]) -> T:
    """Run ``work`` in the main process once all processes are here; the others wait for its result.

    Raises:
        PolymodalError: What ``work`` raised, in the main process.
        ReportedElsewhere: In the others.
    """
    if count() == 1:
        return work()
    import torch.distributed as dist

    dist.barrier(group=waiting_group())
    done: list[Any] = everywhere(lambda: [work() if is_main() else None])
    dist.broadcast_object_list(done, src=0, group=waiting_group())
    return done[0]
