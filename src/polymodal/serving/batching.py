"""Dynamic batching: requests that wait together are computed together. No HTTP here."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from polymodal.api import Cancelled, until_cancelled

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


class QueueFull(Exception):
    """As many items wait as may."""


class Stopped(Exception):
    """The batcher takes no more items."""


@dataclass
class _Waiting(Generic[I, O]):
    """Items of one request, and the future of their results."""

    items: Sequence[I]
    results: asyncio.Future[list[O]]


class Batcher(Generic[I, O]):
    """Computes what waits in batches, one after the other.

    Nothing is waited for: a batch holds what arrived while the one before was computed.

    Args:
        compute: The results of a batch of items, one per item; runs in ``executor``.
        executor: With one thread, in which the model computes.
        most_items: Of a batch. A request with more is computed in several.
        most_waiting: Items that may wait.
        on_batch: Called with the number of items of each batch.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[I]], Sequence[O]],
        executor: Executor,
        *,
        most_items: int = 128,
        most_waiting: int = 4096,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        self.compute, self.executor = compute, executor
        self.most_items, self.most_waiting, self.on_batch = most_items, most_waiting, on_batch
        self._queue: deque[_Waiting[I, O]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._computed: list[_Waiting[I, O]] = []
        self._unawaited = threading.Event()
        self._waiting = 0
        self._stopped = False

    @property
    def waiting(self) -> int:
        """The number of items that wait."""
        return self._waiting

    async def submit(self, items: Sequence[I]) -> list[O]:
        """The results of ``items``, in their order.

        If the caller is cancelled, they are not computed; a batch that nobody waits for any more ends at its
        next step.

        Args:
            items: Computed in one batch if they are not more than ``most_items``.

        Raises:
            QueueFull: If too many items wait.
            Stopped: After :meth:`stop`.
        """
        if self._stopped:
            raise Stopped
        if not items:
            return []
        if self._waiting and self._waiting + len(items) > self.most_waiting:
            raise QueueFull
        parts = [
            self._enqueue(items[at : at + self.most_items]) for at in range(0, len(items), self.most_items)
        ]
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        try:
            results = await asyncio.gather(*parts)
        finally:
            for part in parts:
                part.cancel()
            self._end_unawaited()
        return [result for part in results for result in part]

    def _enqueue(self, items: Sequence[I]) -> asyncio.Future[list[O]]:
        future: asyncio.Future[list[O]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(items, future))
        self._waiting += len(items)
        return future

    def _end_unawaited(self) -> None:
        """Cancel the batch that is computed, if all its callers went."""
        if self._computed and all(entry.results.done() for entry in self._computed):
            self._unawaited.set()

    async def _run(self) -> None:
        """Compute batches until nothing waits."""
        try:
            while batch := self._next_batch():
                await self._compute(batch)
        finally:
            self._task = None

    def _next_batch(self) -> list[_Waiting[I, O]]:
        """The requests of the next batch; those whose callers went are dropped."""
        batch: list[_Waiting[I, O]] = []
        size = 0
        while self._queue:
            entry = self._queue[0]
            if not entry.results.done() and batch and size + len(entry.items) > self.most_items:
                break
            self._queue.popleft()
            self._waiting -= len(entry.items)
            if not entry.results.done():
                batch.append(entry)
                size += len(entry.items)
        return batch

    async def _compute(self, batch: list[_Waiting[I, O]]) -> None:
        items = [item for entry in batch for item in entry.items]
        if self.on_batch is not None:
            self.on_batch(len(items))
        try:
            results = await self._computed_until_unawaited(batch, items)
        except Cancelled:
            return
        except Exception as error:
            await self._compute_apart(batch, error)
            return
        start = 0
        for entry in batch:
            _settle(entry.results, list(results[start : start + len(entry.items)]))
            start += len(entry.items)

    async def _computed_until_unawaited(self, batch: list[_Waiting[I, O]], items: Sequence[I]) -> Sequence[O]:
        """The results of the items of a batch.

        Raises:
            Cancelled: If all its callers went.
            ValueError: If there are not as many results as items.
        """
        self._computed, self._unawaited = batch, threading.Event()
        work = partial(until_cancelled, self._unawaited, self.compute, items)
        try:
            results = await asyncio.get_running_loop().run_in_executor(self.executor, work)
        finally:
            self._computed = []
        if len(results) != len(items):
            raise ValueError(f"{len(results)} results of {len(items)} items")
        return results

    async def _compute_apart(self, batch: list[_Waiting[I, O]], error: Exception) -> None:
        """After a batch failed: each of its requests alone, so that one cannot fail the others."""
        if len(batch) == 1:
            if not batch[0].results.done():
                batch[0].results.set_exception(error)
            return
        for entry in batch:
            if not entry.results.done():
                await self._compute([entry])

    async def stop(self) -> None:
        """Take no more items, and wait until what was taken is computed."""
        self._stopped = True
        while self._task is not None:
            await asyncio.wait([self._task])


def _settle(future: asyncio.Future[list[O]], results: list[O]) -> None:
    if not future.done():
        future.set_result(results)
