"""Worker processes that read media: a decoder that crashes or never ends takes no other request with it."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from polymodal import api
from polymodal.api import MediaAccess, ReadRow, RowProcessor

CRASHED = "this file ended the process that decoded it. Write it again with another program"
FEW, SHORT = 32, 500
"""Cells, and characters of a text, that the thread of the requests reads itself."""
STARTING_SECONDS = 60.0
"""That a process may take to import what it needs, before its first answer."""


class Decoders:
    """Processes that read the media of rows; everything else is read in this process.

    Args:
        count: Of processes.
        seconds: That the media of one row may take; then its process is replaced.
        access: The files that cells may name, and the limits of what is read of a cell.
    """

    def __init__(self, count: int, seconds: float, access: MediaAccess) -> None:
        self.count, self.seconds, self.access = count, seconds, access
        self._threads = ThreadPoolExecutor(
            count, thread_name_prefix="polymodal-decoding", initializer=self._start
        )
        self._own = threading.local()
        self._workers: list[_Worker] = []
        self._parts: dict[int, _Parts] = {}

    def _start(self) -> None:
        """Each thread has a process of its own."""
        self._own.worker = _Worker(self.access)
        self._workers.append(self._own.worker)

    def warm_up(self) -> None:
        """Start the processes, which takes seconds, before the first request needs them."""
        for _ in range(self.count):
            self._threads.submit(lambda: None)

    async def read(self, reading: RowProcessor, rows: Sequence[Mapping[str, Any]]) -> list[ReadRow]:
        """What ``reading`` keeps of rows of cells, in their order.

        Args:
            reading: Of a run.
            rows: By input.
        """
        parts = self._parts.get(id(reading))
        if parts is None:
            parts = self._parts[id(reading)] = _Parts(reading)
        at_once = len(rows) * len(reading.readers) <= FEW
        return list(await asyncio.gather(*(self._read_row(parts, row, at_once) for row in rows)))

    async def _read_row(self, parts: _Parts, row: Mapping[str, Any], at_once: bool) -> ReadRow:
        media = {name: row[name] for name in parts.media.readers if row.get(name) is not None}
        loop = asyncio.get_running_loop()
        if not media:
            return await self._read_here(parts.whole, row, at_once)
        decoded = loop.run_in_executor(self._threads, self._decode, parts, media)
        try:
            others = await self._read_here(parts.others, row, at_once)
            return api.joined(others, await decoded, list(parts.whole.readers))
        finally:
            decoded.cancel()

    async def _read_here(self, reading: RowProcessor, row: Mapping[str, Any], at_once: bool) -> ReadRow:
        """Read cells in this process; in a thread, unless that takes longer to begin than they do."""
        if at_once and all(_is_short(row.get(name)) for name in reading.readers):
            return api.read_row(reading, row, self.access)
        return await asyncio.to_thread(api.read_row, reading, row, self.access)

    def _decode(self, parts: _Parts, media: Mapping[str, Any]) -> ReadRow:
        """Read media in the process of this thread."""
        worker: _Worker = self._own.worker
        result = worker.read(parts, media, self.seconds)
        if isinstance(result, ReadRow):
            return result
        unread = {"index": 0, "draw": 0, "cells": {}, "targets": {}}
        return ReadRow(unread, tuple((name, result) for name in media))

    def stop(self) -> None:
        """End the processes."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._workers:
            worker.end()


def _is_short(cell: object) -> bool:
    """Whether a cell without media is a number, or a text of few words."""
    return cell is None or isinstance(cell, int | float) or (isinstance(cell, str) and len(cell) < SHORT)


class _Parts:
    """A processor, in the parts that a worker process reads, and that this process reads.

    Args:
        whole: The processor.
    """

    def __init__(self, whole: RowProcessor) -> None:
        names = api.media_names(whole)
        self.whole, self.media = whole, api.part_of(whole, names)
        self.others = api.part_of(whole, [name for name in whole.readers if name not in names])
        self.pickled = pickle.dumps(self.media)


class _Worker:
    """One process, started again after it crashed or was ended; used by one thread.

    Args:
        access: The files that cells may name, and the limits.
    """

    def __init__(self, access: MediaAccess) -> None:
        self.access = access
        self._begin()

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, self.access), daemon=True)
        self.process.start()
        theirs.close()
        self.known: set[int] = set()
        self.spare = STARTING_SECONDS

    def read(self, parts: _Parts, media: Mapping[str, Any], seconds: float) -> ReadRow | str:
        """What the process read of media; or a sentence that states why it could not.

        Args:
            parts: With the processor.
            media: By input.
            seconds: That it may take.
        """
        if not self.process.is_alive():
            self._again()
        try:
            if id(parts) not in self.known:
                self.connection.send((id(parts), parts.pickled))
                self.known.add(id(parts))
            self.connection.send((id(parts), media))
            if self.connection.poll(seconds + self.spare):
                result: ReadRow | Exception = self.connection.recv()
                self.spare = 0.0
                if isinstance(result, Exception):
                    raise result
                return result
        except (EOFError, OSError):
            self._again()
            return CRASHED
        self._again()
        return f"takes more than {seconds:g} seconds to decode. Make it smaller"

    def _again(self) -> None:
        self.end()
        self._begin()

    def end(self) -> None:
        """End the process."""
        self.connection.close()
        self.process.kill()
        self.process.join()


def work(connection: Connection, access: MediaAccess) -> None:
    """Read media until the other end is closed; the body of a worker process.

    Args:
        connection: Receives processors (bytes) and rows of cells, each with the number of its processor.
        access: The files that cells may name, and the limits.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is of the service, which ends its workers
    processors: dict[int, RowProcessor] = {}
    while True:
        try:
            number, content = connection.recv()
        except EOFError:
            return
        if isinstance(content, bytes):
            processors[number] = pickle.loads(content)
            continue
        try:
            connection.send(api.read_row(processors[number], content, access))
        except Exception as error:  # a defect of a reader: the service logs it, the process goes on
            connection.send(RuntimeError(f"{type(error).__name__}: {error}"))
