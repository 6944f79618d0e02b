"""Connections that send no complete header in time are closed: uvicorn has no such limit."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class TimedConnection(H11Protocol):
    """A connection whose every header has to be complete in time.

    Attributes:
        header_seconds: From its first byte, or from the start of the connection; 0 for no limit.
    """

    header_seconds: ClassVar[float] = 0.0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See :class:`H11Protocol`."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """See :class:`H11Protocol`."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`H11Protocol`."""
        self._forget()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Start the clock where a header is awaited, and stop it where it came."""
        if self.conn.their_state is not h11.IDLE:
            self._forget()
        elif self._deadline is None and self.header_seconds:
            self._deadline = self.loop.call_later(self.header_seconds, self._end)

    def _forget(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _end(self) -> None:
        self._deadline = None
        if self.conn.their_state is h11.IDLE:
            self.transport.close()


def timed_connections(seconds: float) -> type[TimedConnection]:
    """The class of connections whose headers may take so many seconds."""
    return type("Connection", (TimedConnection,), {"header_seconds": seconds})
