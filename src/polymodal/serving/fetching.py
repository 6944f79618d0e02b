"""Media at addresses on the network, of hosts that the server allows: resolved once, and bounded."""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from polymodal.api import one_line
from polymodal.serving.values import ValueProblem

SECONDS = 10.0
"""That one file may take, from the look-up of its host to its last byte."""
CHUNK = 2**16
Resolve = Callable[[str, int], Sequence[str]]
"""Host and port to addresses of numbers."""


def resolved(host: str, port: int) -> list[str]:
    """The addresses of a host, by the system's resolver."""
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))


class Fetcher:
    """Fetches media from allowed hosts.

    Args:
        hosts: That are allowed, as ``name`` or ``name:port``.
        most_bytes: Of a file.
        resolve: See :data:`Resolve`.
        is_public: Whether an address of numbers may be connected to.
    """

    def __init__(
        self,
        hosts: Collection[str],
        most_bytes: int,
        resolve: Resolve = resolved,
        is_public: Callable[[str], bool] = lambda address: ipaddress.ip_address(address).is_global,
    ) -> None:
        self.hosts, self.most_bytes = {host.lower() for host in hosts}, most_bytes
        self.resolve, self.is_public = resolve, is_public

    async def fetch_all(self, urls: Iterable[str]) -> dict[str, bytes | ValueProblem]:
        """The content of each address, or why it was not fetched."""
        distinct = list(dict.fromkeys(urls))
        made = await asyncio.gather(*(asyncio.to_thread(self._content_or_problem, url) for url in distinct))
        return dict(zip(distinct, made, strict=True))

    def _content_or_problem(self, url: str) -> bytes | ValueProblem:
        try:
            return self.fetch(url)
        except ValueProblem as error:
            return error

    def fetch(self, url: str) -> bytes:
        """The content of one address.

        Raises:
            ValueProblem: If its host is not allowed or private, or it cannot be had within the limits.
        """
        parts = self._allowed(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        assert parts.hostname is not None
        try:
            return self._read(parts, port, self._address(parts.hostname, port))
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            reason = "it took too long" if isinstance(error, TimeoutError) else type(error).__name__
            raise ValueProblem(f"{_shown(url)} cannot be fetched ({reason})") from None

    def _allowed(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            raise ValueProblem(f"{_shown(url)} is no address") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ValueProblem(f"{_shown(url)}, expected an address that begins with https://")
        named = host if port in (None, 80, 443) else f"{host}:{port}"
        if named not in self.hosts:
            fix = "Send the file itself, or have the host allowed with --allow-host"
            raise ValueProblem(f"the host '{one_line(named, 80)}' is not allowed on this server. {fix}")
        return parts

    def _address(self, host: str, port: int) -> str:
        """The address of numbers to connect to: of several, all have to be public."""
        addresses = self.resolve(host, port)
        if not addresses or not all(map(self.is_public, addresses)):
            raise ValueProblem(f"the host '{one_line(host, 80)}' has a private address, which is not fetched")
        return addresses[0]

    def _read(self, parts: SplitResult, port: int, address: str) -> bytes:
        ends = time.monotonic() + SECONDS
        connection = _Connection(parts, port, address)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", target, headers={"Accept": "*/*", "User-Agent": "polymodal"})
            response = connection.getresponse()
            if response.status != 200:
                moved = " (it leads elsewhere, which is not followed)" if 300 <= response.status < 400 else ""
                raise ValueProblem(f"{_shown(parts.geturl())} answers with status {response.status}{moved}")
            content = bytearray()
            while chunk := response.read1(CHUNK):
                content += chunk
                if len(content) > self.most_bytes:
                    raise ValueProblem(f"{_shown(parts.geturl())} holds more than {self.most_bytes:,} bytes")
                if time.monotonic() > ends:
                    raise TimeoutError
            return bytes(content)
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    """A connection to one address of numbers, whose certificate is that of the host's name."""

    def __init__(self, parts: SplitResult, port: int, address: str) -> None:
        super().__init__(parts.hostname or "", port, timeout=SECONDS)
        self.address, self.is_encrypted = address, parts.scheme == "https"

    def connect(self) -> None:
        """See :class:`http.client.HTTPConnection`."""
        self.sock = socket.create_connection((self.address, self.port), self.timeout)
        if self.is_encrypted:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


def urls_in(rows: Iterable[Mapping[str, Any]], names: Collection[str]) -> list[str]:
    """The addresses that values of some inputs name as ``{"url": …}``."""
    values = [row[name] for row in rows for name in names if name in row]
    items = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return [item["url"] for item in items if isinstance(item, dict) and isinstance(item.get("url"), str)]


def _shown(url: str) -> str:
    return f"'{one_line(url, 120)}'"
