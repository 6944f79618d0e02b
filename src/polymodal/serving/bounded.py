"""Work on one request: ended when the client goes, and after its time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from polymodal.serving.batching import QueueFull, Stopped
from polymodal.serving.problems import Refusal
from polymodal.serving.service import Service

T = TypeVar("T")
RETRY_SECONDS = 1


async def bounded(
    request: Request, service: Service, work: Coroutine[Any, Any, T], seconds: float | None = None
) -> T:
    """What ``work`` returns; it is cancelled when the client goes.

    Args:
        request: Its body is read.
        service: Its limits hold.
        work: That answers the request.
        seconds: That it may take; by default the limit of the service.

    Raises:
        Refusal: If too much waits (503), the time is over (504), or the client went (499).
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    seconds = seconds or service.limits.seconds
    try:
        done, _ = await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            return task.result()
    except QueueFull:
        raise _full() from None
    except Stopped:
        raise Refusal(503, "the server ends. Send it again later", headers={"Retry-After": "5"}) from None
    finally:
        for each in (task, gone):
            each.cancel()
    if gone in done:
        raise Refusal(499, "the client went")
    message = f"no answer after {seconds:g} seconds. Send fewer rows, or send it again later"
    raise Refusal(504, message)


def _full() -> Refusal:
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return Refusal(503, "too many rows wait for the model. Send it again later", headers=headers)


async def _gone(request: Request) -> None:
    """Return when the client closed the connection."""
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            return
