"""Limits while a body arrives: its bytes and its time; and requests while the server ends."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from polymodal.serving.limits import Limits
from polymodal.serving.problems import Refusal, error_response
from polymodal.serving.security import OPEN
from polymodal.serving.service import Service


class BodyLimits:
    """Counts the bytes of a body as they arrive, and the seconds until it is complete.

    Args:
        app: What it protects.
        service: Its limits hold; its metrics count what is refused.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service

    @property
    def limits(self) -> Limits:
        """Of the service."""
        return self.service.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.service.draining and scope["path"] not in (*OPEN, "/metrics"):
            await self._refuse(_ending(), scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdecimal() and int(length) > self.limits.body_bytes:
            await self._refuse(self._too_large(), scope, receive, send)
            return
        await self.app(scope, self._counted(receive), send)

    async def _refuse(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        self.service.metrics.refused(refusal.status)
        await error_response(scope["path"], refusal)(scope, receive, send)

    def _too_large(self) -> Refusal:
        most = self.limits.body_bytes
        reason = f"the body is larger than {most:,} bytes, the limit body_bytes"
        return Refusal(413, f"{reason}. Send fewer rows, or smaller files", headers={"Connection": "close"})

    def _counted(self, receive: Receive) -> Receive:
        """``receive`` that refuses what is too large or too slow.

        What it raises has to be an HTTPException: frameworks turn others into 400.
        """
        ends = time.monotonic() + self.limits.body_seconds
        size, complete = 0, False

        async def counted() -> Message:
            nonlocal size, complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout(max(ends - time.monotonic(), 0)):
                    message = await receive()
            except TimeoutError:
                self.service.metrics.refused(408)
                text = f"the body was not complete after {self.limits.body_seconds:g} seconds"
                raise HTTPException(408, text, {"Connection": "close"}) from None
            size += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if size > self.limits.body_bytes:
                self.service.metrics.refused(413)
                refusal = self._too_large()
                raise HTTPException(413, refusal.message, refusal.headers)
            return message

        return counted


def _ending() -> Refusal:
    headers = {"Retry-After": "5", "Connection": "close"}
    return Refusal(503, "the server ends and takes no new requests. Send it again later", headers=headers)
