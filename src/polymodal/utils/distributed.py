"""Several processes that train one model (``torchrun``): which is the main one, and how all wait for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any, TypeVar

from polymodal.errors import PolymodalError, ToldElsewhere

T = TypeVar("T")
LONGEST_WAIT = timedelta(days=7)
"""For what the main process does alone: reading every cell of a large table takes its time."""


def count() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", 1))


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return count() == 1 or int(os.environ.get("RANK", 0)) == 0


def start() -> None:
    """Meet the other processes, if there are any: on gloo, or on what the accelerator at hand speaks."""
    if count() > 1:
        import torch
        from accelerate import PartialState

        PartialState(cpu=not torch.cuda.is_available())


def stop() -> None:
    """Part from the other processes."""
    if count() > 1:
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()
            waiting_group.cache_clear()


@cache
def waiting_group() -> Any:
    """All processes, on gloo: main memory, and as much patience as it takes."""
    import torch.distributed as dist

    return dist.new_group(backend="gloo", timeout=LONGEST_WAIT)


def everywhere(work: Callable[[], T]) -> T:
    """The result of ``work``, done by every process; if it fails in one, it fails in all, and is told once.

    Raises:
        PolymodalError: What ``work`` raised, in the first process that it failed in.
        ToldElsewhere: In the others.
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
            raise ToldElsewhere
        raise error
    return result


def on_main(work: Callable[[], T]) -> T:
    """The result of ``work``, done by the main process when all have come this far; the others wait for it.

    Raises:
        PolymodalError: What ``work`` raised, in the main process.
        ToldElsewhere: In the others.
    """
    if count() == 1:
        return work()
    import torch.distributed as dist

    dist.barrier(group=waiting_group())
    done: list[Any] = everywhere(lambda: [work() if is_main() else None])
    dist.broadcast_object_list(done, src=0, group=waiting_group())
    return done[0]
