"""Answers to conversations: those that wait together are made together, each for as long as it is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from polymodal import api
from polymodal.serving.batching import Batcher
from polymodal.serving.chat.options import Decoding
from polymodal.serving.problems import Refusal

TOGETHER = 8
"""The most answers in one batch."""
ReadItems = Callable[[Sequence[api.Media]], Awaitable[Sequence[Any]]]
"""The readers' arrays of the media of a conversation, in their order."""


@dataclass(frozen=True, eq=False)
class Job:
    """An answer to be made, and how."""

    reply: api.Reply
    decoding: Decoding


class Talker:
    """Answers the conversations of one run.

    Transformers' continuous batching takes token ids alone (``add_request(input_ids=…)``), not the embeddings
    of pictures and recordings, so batches are static: what waits, and is decoded alike, is made together, and
    the next batch begins when its last answer has ended.

    Args:
        run: That answers in words.
        thread: An executor with one thread, in which its model computes.
        read_items: Reads media.
        most_waiting: Conversations that may wait.
        on_batch: Called with the number of answers of each batch.
    """

    def __init__(
        self,
        run: api.LanguageRun,
        thread: Executor,
        read_items: ReadItems,
        *,
        most_waiting: int = 256,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        self.run, self._read_items = run, read_items
        self._batcher: Batcher[Job, Exception | None] = Batcher(
            self._compute, thread, most_items=TOGETHER, most_waiting=most_waiting, on_batch=on_batch
        )

    @property
    def waiting(self) -> int:
        """The number of answers that wait."""
        return self._batcher.waiting

    async def stop(self) -> None:
        """Make what waits, and take no more."""
        await self._batcher.stop()

    async def prepare(
        self, messages: Sequence[dict[str, Any]], decoding: Decoding, stop: Sequence[str] = ()
    ) -> Job:
        """Read the media of a conversation, and tokenize it.

        Args:
            messages: In the Transformers chat format; media are bytes or ``data:`` URIs.
            decoding: Of the answer.
            stop: Texts before which the answer ends.

        Raises:
            Refusal: With status 400, if it leaves no room for an answer in the model's context.
            PolymodalError: If it cannot be read.
        """
        conversation = self.run.conversation(messages)
        media = [part for message in conversation for part in message.parts if isinstance(part, api.Media)]
        kept = iter(await self._read_items([part for part in media if part.cell is not None]))
        turn = await asyncio.to_thread(
            self.run.processor.encode, conversation, api.NOWHERE, reply=True, read=lambda part: next(kept)
        )
        tokens, context = len(turn.encoded.ids), self.run.context
        if context is not None and tokens >= context:
            reason = f"the messages are {tokens} tokens, and the model's context is {context}"
            raise Refusal(400, f"{reason}. Send fewer or shorter ones", param="messages")
        most = decoding.most if context is None else min(decoding.most, context - tokens)
        return Job(api.Reply(turn, most, stop=stop), decoding)

    async def answer(self, job: Job) -> api.Reply:
        """The finished answer. If the caller is cancelled, so is the answer.

        Raises:
            QueueFull: If too many wait.
            PolymodalError: If the model cannot make it.
        """
        async for _ in await self.start(job):
            pass
        return job.reply

    async def start(self, job: Job) -> AsyncGenerator[str, None]:
        """Let an answer wait for its batch; returns its pieces. Closing them cancels the answer.

        Raises:
            QueueFull: If too many wait.
        """
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[str | None]()

        def receive(piece: str) -> None:
            loop.call_soon_threadsafe(queue.put_nowait, piece)

        job.reply.receive = receive
        task = asyncio.ensure_future(self._batcher.submit([job]))
        task.add_done_callback(lambda _: queue.put_nowait(None))
        await asyncio.sleep(0)  # until it waits, or is refused
        if task.done():
            task.result()
        return _pieces(job, task, queue)

    def _compute(self, jobs: Sequence[Job]) -> list[Exception | None]:
        """Make the answers of a batch; returns by answer the error that it ended with."""
        errors: dict[Job, Exception] = {}
        groups = list(_groups(self.run, jobs))
        while groups:
            group = groups.pop(0)
            try:
                self._grow(group)
            except Exception as error:
                # None has a token yet, as when their pictures are too much for the memory: each by itself.
                fresh = len(group) > 1 and not any(job.reply.tokens for job in group)
                groups[:0] = [[job] for job in group] if fresh else []
                errors |= {} if fresh else dict.fromkeys(group, error)
        return [errors.get(job) for job in jobs]

    def _grow(self, group: Sequence[Job]) -> None:
        """Make answers together.

        Raises:
            PolymodalError: If the model cannot make them.
        """
        decoding = group[0].decoding
        api.grow(self.run, [job.reply for job in group], decoding.options, seed=decoding.seed)


async def _pieces(
    job: Job, task: asyncio.Task[list[Exception | None]], queue: asyncio.Queue[str | None]
) -> AsyncGenerator[str, None]:
    """The pieces of an answer, as they arrive in ``queue`` before ``task`` is done.

    Raises:
        PolymodalError: If the model cannot make it.
    """
    try:
        while (piece := await queue.get()) is not None:
            yield piece
        [error] = task.result()
        if error is not None:
            raise error
    finally:
        job.reply.cancel()
        task.cancel()


def _groups(run: api.LanguageRun, jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Jobs by batch of the model: decoded alike, and together within its context."""
    rest = [job for job in jobs if not job.reply.cancelled]
    while rest:
        group = rest[:1]
        for job in rest[1:]:
            alike = group[0].decoding.joins(job.decoding)
            if alike and api.fit_together(run, [each.reply for each in [*group, job]]):
                group.append(job)
        rest = [job for job in rest if job not in group]
        yield group
