"""What ``polymodal serve`` is requested to do: the arguments of every way to serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from polymodal.serving.app import Access
from polymodal.serving.limits import Limits
from polymodal.serving.service import Service


@dataclass(frozen=True, kw_only=True)
class ServeRequest:
    """Which runs are served, where, to whom, and how they compute.

    Attributes:
        runs: Their folders.
        host: Address to listen on.
        port: 0 for a free one.
        limits: That are lowered, by name.
        hosts: Names under which the server may be addressed, besides this machine's own.
        origins: Other sites, such as ``https://example.org``, that may send requests.
        on_ready: Called with a line that names the address, once requests are taken.
        index: See :class:`Service`, as ``token``, ``allowed_hosts`` and ``decoders``.
        token: That every request has to send.
        allowed_hosts: Of addresses on the network that requests may name.
        decoders: Processes that decode media.
        device: See :meth:`Service.load`, as ``precision`` and ``threads``.
        precision: Of the runs.
        threads: Of the CPU.
    """

    runs: Sequence[str | Path]
    host: str = "127.0.0.1"
    port: int = 8000
    limits: Mapping[str, str | float] = field(default_factory=dict)
    hosts: Sequence[str] = ()
    origins: Sequence[str] = ()
    on_ready: Callable[[str], None] | None = None
    index: str | Path | None = None
    token: str | None = field(default=None, repr=False)
    allowed_hosts: Sequence[str] = ()
    decoders: int = 2
    device: str | None = None
    precision: str = "fp32"
    threads: int | None = None

    @property
    def lowered(self) -> Limits:
        """The limits of requests.

        Raises:
            ConfigError: If a limit is unknown or raised.
        """
        return Limits.lowered(self.limits)

    def load(self) -> Service:
        """The service, its runs loaded; for what it raises see :meth:`Service.load`."""
        return Service.load(
            self.runs, limits=self.lowered, token=self.token, device=self.device, precision=self.precision,
            threads=self.threads, index=self.index, allowed_hosts=self.allowed_hosts, decoders=self.decoders,
        )  # fmt: skip

    def access(self, *, is_local: bool) -> Access:
        """Who may reach the server; ``is_local``: it listens on this machine alone."""
        return Access(self.hosts, self.origins, is_local=is_local)

    def ready(self, line: str) -> None:
        """Call :attr:`on_ready`."""
        if self.on_ready is not None:
            self.on_ready(line)
