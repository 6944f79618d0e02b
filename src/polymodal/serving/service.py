"""The service: runs loaded once, the thread in which their models compute, and its state."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from polymodal import api
from polymodal.serving.decoding import Decoders
from polymodal.serving.fetching import Fetcher, urls_in
from polymodal.serving.limits import Limits
from polymodal.serving.loading import load_runs, served_as
from polymodal.serving.metrics import Metrics
from polymodal.serving.problems import Refusal
from polymodal.serving.served_index import ServedIndex
from polymodal.serving.served_run import ServedRun
from polymodal.serving.served_words import LANGUAGE, ServedWords
from polymodal.serving.values import Given

if TYPE_CHECKING:
    from polymodal.serving.served_run import Loaded


class Service:
    """Runs that answer requests; used by one event loop.

    Args:
        runs: Loaded, by their names in requests; some may be exports.
        limits: Of requests.
        token: That every request has to send; None for none.
        index: Folder of an index of vectors that one of the runs made; None for none.
        allowed_hosts: Of addresses on the network that requests may name.
        decoders: Processes that decode media.

    Attributes:
        runs: Served, by name.
        model_thread: One thread, in which models compute. A run that answers in words has one of its own: an
            answer takes seconds, which no other run has to wait for.
        metrics: For Prometheus.
        decoders: Read media in other processes.
        fetcher: Fetches media from allowed hosts.
        draining: Whether it ends: what is in flight is answered, and ``/ready`` is 503.
    """

    def __init__(
        self,
        runs: Mapping[str, Loaded],
        *,
        limits: Limits | None = None,
        token: str | None = None,
        index: str | Path | None = None,
        allowed_hosts: Sequence[str] = (),
        decoders: int = 2,
    ) -> None:
        self.limits, self.token = limits or Limits(), token
        self.metrics = Metrics(lambda: self.waiting)
        self.fetcher = Fetcher(allowed_hosts, self.limits.file_bytes)
        access = replace(api.NOWHERE, limits=self.limits.media)
        self.decoders = Decoders(decoders, self.limits.decoding_seconds, access)
        self.model_thread = ThreadPoolExecutor(1, thread_name_prefix="polymodal-model")
        self.runs = {name: self._served(name, run) for name, run in runs.items()}
        self.index = None if index is None else ServedIndex.open(index, self.runs)
        self.draining = False

    def _served(self, name: str, run: Loaded) -> ServedRun:
        on_batch, kind = self.metrics.batch.labels(name).observe, served_as(run)
        speaks = kind is ServedWords
        thread = ThreadPoolExecutor(1, f"polymodal-{name}") if speaks else self.model_thread
        return kind(name, run, thread, self.limits, self.decoders, on_batch)

    @classmethod
    def load(
        cls,
        folders: Sequence[str | Path],
        *,
        limits: Limits | None = None,
        token: str | None = None,
        device: str | None = None,
        precision: str = "fp32",
        threads: int | None = None,
        **options: Any,
    ) -> Self:
        """Load runs and exports from their folders; each is named after its folder.

        Args:
            folders: One or more.
            limits: Of requests.
            token: That every request has to send.
            device: Of the runs: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; by default a GPU if there is one.
            precision: Of the runs: ``fp32``, ``bf16`` or ``fp16``.
            threads: Of the CPU; by default as many as the first run was trained with.
            options: Of the class.

        Raises:
            RunError: If a folder holds no complete run or export, or two have the same name.
            ConfigError: If this machine has no such device, a library is not installed that a run needs, or
                a device is chosen for exports alone.
        """
        runs = load_runs([Path(folder) for folder in folders], device, precision, threads)
        return cls(runs, limits=limits, token=token, **options)

    def run(self, name: str | None = None) -> ServedRun:
        """The run that a request names; without a name the only one.

        Raises:
            Refusal: If there is no such run (404), or none is named and there are several (422).
        """
        if name is None:
            if len(self.runs) == 1:
                return next(iter(self.runs.values()))
            listed = ", ".join(self.runs)
            raise Refusal(422, f"the field 'run' is missing, and this server has {listed}", param="run")
        if name not in self.runs:
            fix = api.did_you_mean(name, self.runs)
            raise Refusal(404, f"there is no run '{api.one_line(name, 80)}'. {fix}", param="run")
        return self.runs[name]

    @property
    def language_runs(self) -> list[ServedRun]:
        """The runs that answer in words."""
        return [run for run in self.runs.values() if run.kind == LANGUAGE]

    def without_paths(self, text: str) -> str:
        """A message in which the folder of each run is its name."""
        for name, served in self.runs.items():
            folder = served.run.folder
            for path in {str(folder.resolve()), str(folder.absolute()), str(folder)}:
                text = text.replace(path, name)
        return text

    @property
    def waiting(self) -> int:
        """The number of rows that wait for a model."""
        return sum(run.waiting for run in self.runs.values())

    async def start(self) -> None:
        """Prepare for requests; called by the event loop that serves them."""
        if any(run.reads_media for run in self.runs.values()):
            self.decoders.warm_up()

    async def with_addresses(
        self, served: ServedRun, rows: Sequence[Mapping[str, Any]], given: Given
    ) -> Given:
        """What a request brings, with the content of the addresses that its rows name."""
        names = [each.name for each in served.inputs.values() if each.accept]
        urls = urls_in(rows, names)
        return replace(given, addresses=await self.fetcher.fetch_all(urls)) if urls else given

    async def stop(self) -> None:
        """Answer what is in flight, then release what it holds."""
        self.draining = True
        await asyncio.gather(*(run.stop() for run in self.runs.values()))
        await asyncio.to_thread(self.decoders.stop)
        for thread in {self.model_thread, *(run.model_thread for run in self.runs.values())}:
            thread.shutdown(wait=True)
