"""The batcher alone: batches, the bounded queue, cancelled callers and failures."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from polymodal.serving.batching import Batcher, QueueFull, Stopped
from polymodal.utils.cancelling import stop_if_cancelled


class Model:
    """Doubles numbers, and waits for ``released`` first; keeps the batches it was given."""

    def __init__(self):
        self.batches, self.released, self.began = [], threading.Event(), threading.Event()
        self.released.set()

    def __call__(self, items):
        self.batches.append(list(items))
        self.began.set()
        assert self.released.wait(10)
        if "bad" in items:
            raise ValueError("a bad item")
        return [2 * item for item in items]


@pytest.fixture
def model():
    return Model()


def run(model, scenario, **options):
    """What ``scenario(batcher)`` returns."""
    with ThreadPoolExecutor(1) as executor:
        return asyncio.run(scenario(Batcher(model, executor, **options)))


async def held(batcher, model, item):
    """A task whose item is being computed until ``model.released`` is set."""
    model.released.clear()
    first = asyncio.create_task(batcher.submit([item]))
    await asyncio.to_thread(model.began.wait, 10)
    return first


def test_what_waits_together_is_computed_together(model):
    async def scenario(batcher):
        first = await held(batcher, model, 1)
        others = [asyncio.create_task(batcher.submit([number])) for number in (2, 3, 4, 5)]
        await asyncio.sleep(0)
        assert batcher.waiting == 4
        model.released.set()
        return await asyncio.gather(first, *others)

    assert run(model, scenario, most_items=3) == [[2], [4], [6], [8], [10]]
    assert model.batches == [[1], [2, 3, 4], [5]]


def test_more_items_than_a_batch_come_in_order(model):
    assert run(model, lambda batcher: batcher.submit(range(7)), most_items=3) == [0, 2, 4, 6, 8, 10, 12]
    assert [len(batch) for batch in model.batches] == [3, 3, 1]


def test_a_full_queue_refuses(model):
    async def scenario(batcher):
        first = await held(batcher, model, 1)
        waiting = asyncio.create_task(batcher.submit([2, 3]))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await batcher.submit([4])
        model.released.set()
        return await asyncio.gather(first, waiting)

    assert run(model, scenario, most_waiting=2) == [[2], [4, 6]]


def test_a_cancelled_caller_is_not_computed_and_wedges_nothing(model):
    async def scenario(batcher):
        first = await held(batcher, model, 1)
        gone = asyncio.create_task(batcher.submit([2]))
        stays = asyncio.create_task(batcher.submit([3]))
        await asyncio.sleep(0)
        first.cancel()  # while it is computed
        gone.cancel()  # while it waits
        await asyncio.sleep(0)
        model.released.set()
        return await stays, await batcher.submit([4])

    assert run(model, scenario) == ([6], [8])
    assert model.batches == [[1], [3], [4]]


def test_a_batch_that_nobody_waits_for_ends_at_its_next_step():
    stepped, ended = threading.Event(), threading.Event()

    def compute(items):
        if items[0] != "slow":
            return items
        try:
            while True:
                stepped.set()
                stop_if_cancelled()
                time.sleep(0.01)
        finally:
            ended.set()

    async def scenario(batcher):
        first, second = (asyncio.create_task(batcher.submit(["slow"])) for _ in range(2))
        await asyncio.to_thread(stepped.wait, 10)
        first.cancel()
        await asyncio.sleep(0.05)
        assert not ended.is_set()
        second.cancel()
        return await batcher.submit([4])

    assert run(compute, scenario) == [4] and ended.is_set()


def test_a_request_that_fails_fails_alone(model):
    async def scenario(batcher):
        first = await held(batcher, model, 1)
        others = [asyncio.create_task(batcher.submit([item])) for item in (2, "bad", 3)]
        await asyncio.sleep(0)
        model.released.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    first, second, bad, third = run(model, scenario)
    assert (first, second, third) == ([2], [4], [6]) and isinstance(bad, ValueError)


def test_stopping_computes_what_waits(model):
    async def scenario(batcher):
        first = await held(batcher, model, 1)
        waiting = asyncio.create_task(batcher.submit([2]))
        await asyncio.sleep(0)
        ending = asyncio.create_task(batcher.stop())
        await asyncio.sleep(0)
        with pytest.raises(Stopped):
            await batcher.submit([3])
        model.released.set()
        await ending
        return await asyncio.gather(first, waiting)

    assert run(model, scenario) == [[2], [4]]
