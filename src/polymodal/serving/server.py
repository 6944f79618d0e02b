"""The server: a socket, the application, and what happens at SIGTERM."""

from __future__ import annotations

import gc
import ipaddress
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from polymodal.api import RunError
from polymodal.serving.app import create_app
from polymodal.serving.connections import timed_connections
from polymodal.serving.serve_request import ServeRequest
from polymodal.serving.service import Service

DRAINING_SECONDS = 30
"""How long requests in flight may take after SIGTERM."""


def serve(request: ServeRequest) -> None:
    """Serve runs until SIGTERM or Ctrl-C.

    Args:
        request: Of the user.

    Raises:
        RunError: If the address cannot be used, or a folder holds no complete run.
        ConfigError: If a limit is unknown or raised.
    """
    limits, host, port = request.lowered, request.host, request.port
    listener = bind(host, port)
    try:
        service = request.load()
        config = uvicorn.Config(
            create_app(service, request.access(is_local=is_local(listener))), log_level="warning",
            server_header=False, access_log=False, ws="none", http=timed_connections(limits.header_seconds),
            timeout_graceful_shutdown=DRAINING_SECONDS, limit_concurrency=limits.connections,
        )  # fmt: skip
        address = address_of(host, listener.getsockname()[1])
        line = f"Serving {', '.join(service.runs)} at {address} (API: {address}/docs). Ctrl-C ends it"
        with _naming(host, port):
            listener.listen()  # another server may hold the port since
        gc.collect()
        gc.freeze()  # what is loaded stays: to look through it for garbage takes tenths of a second each time
        DrainingServer(config, service, lambda: request.ready(line)).run([listener])
    finally:
        listener.close()


def bind(host: str, port: int) -> socket.socket:
    """A socket that holds an address; it listens later, once runs are loaded.

    Raises:
        RunError: If the address is in use, or is none of this machine.
    """
    with _naming(host, port):
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    return listener


@contextmanager
def _naming(host: str, port: int) -> Iterator[None]:
    """Name the address in the errors of a socket."""
    try:
        yield
    except OSError as error:
        fix = "Choose another with --port, or 0 for a free one" if port else "Choose another with --host"
        reason = (error.strerror or str(error)).lower()
        raise RunError(f"{host}:{port} cannot be listened on ({reason}). {fix}") from None


def is_local(listener: socket.socket) -> bool:
    """Whether a bound socket can be reached from this machine alone."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def address_of(host: str, port: int) -> str:
    """The address to open in a browser."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class DrainingServer(uvicorn.Server):
    """A server that at the first SIGTERM or Ctrl-C answers what is in flight, then ends.

    Until it ends ``/ready`` answers 503, and other new requests are refused with 503.

    Args:
        config: Of uvicorn.
        service: Drained.
        on_start: Called once requests are taken.
    """

    def __init__(self, config: uvicorn.Config, service: Service, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self.service, self.on_start = service, on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See :class:`uvicorn.Server`."""
        await super().startup(sockets)
        self.on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; a second signal ends the process at once."""
        if self.service.draining:
            self.force_exit = self.should_exit = True
        self.service.draining = True

    async def on_tick(self, counter: int) -> bool:
        """See :class:`uvicorn.Server`: also whether all requests are answered after the first signal."""
        ended = await super().on_tick(counter)
        return ended or (self.service.draining and not self.server_state.tasks)
