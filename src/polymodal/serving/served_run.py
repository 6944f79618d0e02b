"""One loaded run of the service: what it reads, and its answers in batches with other requests."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias, TypeVar

from polymodal import api
from polymodal.api import JsonObject
from polymodal.serving.batching import Batcher, QueueFull
from polymodal.serving.chat.talker import Talker
from polymodal.serving.decoding import Decoders
from polymodal.serving.limits import Limits
from polymodal.serving.problems import ItemProblem, Refusal
from polymodal.serving.values import Given, ServedInput, ValueProblem, cell_of

if TYPE_CHECKING:
    Loaded: TypeAlias = api.Run | api.LanguageRun | api.ExportedRun
T = TypeVar("T")
MOST_VECTORS = 64
"""Rows that are embedded at once."""


class ServedRun(ABC):
    """A run, or an export of one, that answers requests; a subclass per kind.

    Args:
        name: In requests.
        run: Loaded.
        model_thread: An executor with one thread, in which its model computes.
        limits: Of requests.
        decoders: Decode media in other processes.
        on_batch: Called with the number of rows of each batch.

    Attributes:
        kind: As the service names it: ``heads``, ``space`` or ``language``.
        inputs: What a row may hold, in declared order.
        in_flight: Rows that are read, wait or are computed.
    """

    record: ClassVar[str] = "run.yaml"
    """The file that is written once, with the run."""

    def __init__(
        self,
        name: str,
        run: Loaded,
        model_thread: Executor,
        limits: Limits,
        decoders: Decoders,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        self.name, self.run, self.model_thread, self.limits = name, run, model_thread, limits
        self.decoders, self.on_batch = decoders, on_batch
        self.inputs = {each.name: each for each in self._inputs()}
        self._answers: Batcher[Any, Any] = self._batcher(self._answer, self._most_rows())
        self._vectors: dict[str | None, Batcher[Any, Any]] = {}
        self.in_flight = 0

    def _batcher(self, compute: Callable[[Sequence[Any]], Sequence[T]], size: int) -> Batcher[Any, T]:
        return Batcher(
            compute, self.model_thread, most_items=size, most_waiting=self.limits.waiting_rows,
            on_batch=self.on_batch,
        )  # fmt: skip

    @property
    @abstractmethod
    def kind(self) -> str:
        """See the class."""

    @property
    @abstractmethod
    def reading(self) -> api.RowProcessor:
        """Reads the media of rows, and where words are no answer the whole rows."""

    @property
    @abstractmethod
    def supported(self) -> list[str]:
        """What requests may be about, by the names of the routes, besides the report."""

    @abstractmethod
    def _inputs(self) -> list[ServedInput]:
        """The inputs that a row may hold, in declared order."""

    @abstractmethod
    def _most_rows(self) -> int:
        """Rows of a batch."""

    @abstractmethod
    def _answer(self, rows: Sequence[Any]) -> Sequence[JsonObject | api.PolymodalError]:
        """The answers to rows; runs in the thread of the model."""

    @property
    @abstractmethod
    def targets(self) -> list[JsonObject]:
        """What it predicts: name, task, classes and unit of each target."""

    @property
    def metric(self) -> JsonObject | None:
        """The leading metric of the first target on the test rows."""
        return api.leading_metric(self.run.folder)

    @property
    def source(self) -> JsonObject | None:
        """Of an export: the name and the identity of its run, and its precision; None of a run."""
        return None

    @property
    def capabilities(self) -> list[str]:
        """What requests may be about, by the names of the routes."""
        return self.supported + ["report"] * (self.run.folder / "report.html").is_file()

    @property
    def shares_space(self) -> bool:
        """Whether the vectors of its inputs may be compared with each other."""
        return False

    @property
    def written(self) -> int:
        """When it was written, in seconds since 1970."""
        return int((self.run.folder / self.record).stat().st_mtime)

    @property
    def talker(self) -> Talker | None:
        """What answers conversations; None where the run does not answer in words."""
        return None

    @property
    def reads_media(self) -> bool:
        """Whether rows may hold pictures, recordings, clips or sequences."""
        return any(each.is_media for each in self.inputs.values())

    def _vectors_of(
        self, input: str | None, compute: Callable[..., Sequence[list[float] | api.PolymodalError | None]]
    ) -> Batcher[Any, Any]:
        """The queue of vectors of an input, None for those of rows; ``compute`` takes the run and rows."""
        if input not in self._vectors:
            own = partial(compute, self.run, input=input)
            self._vectors[input] = self._batcher(own, MOST_VECTORS)
        return self._vectors[input]

    @property
    def attachments(self) -> list[str]:
        """The types of file that messages may hold; none of a run without conversations."""
        return []

    @property
    def waiting(self) -> int:
        """The number of rows that wait for the model."""
        talking = 0 if self.talker is None else self.talker.waiting
        return self._answers.waiting + sum(each.waiting for each in self._vectors.values()) + talking

    @contextmanager
    def admitted(self, rows: int) -> Iterator[None]:
        """Count rows as in flight within the block.

        Raises:
            QueueFull: If others are in flight, and all were too many.
        """
        if self.in_flight and self.in_flight + rows > self.limits.waiting_rows:
            raise QueueFull
        self.in_flight += rows
        try:
            yield
        finally:
            self.in_flight -= rows

    def require(self, capability: str) -> None:
        """Refuse what the run does not support.

        Raises:
            Refusal: Naming what it supports (422).
        """
        if capability not in self.supported and capability not in self.capabilities:
            raise Refusal(422, self._lacks(capability), param="run")

    def _lacks(self, capability: str) -> str:
        """Why requests may not be about something, in a line."""
        listed = ", ".join(self.capabilities) or "nothing of it"
        return f"the run '{self.name}' cannot {capability}, but {listed}"

    async def in_model(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """What a function returns that computes with the model, in the thread of all models.

        If the caller is cancelled, it does not begin, or ends at its next step.
        """
        cancelled = threading.Event()
        work = partial(api.until_cancelled, cancelled, function, *arguments, **options)
        try:
            return await asyncio.get_running_loop().run_in_executor(self.model_thread, work)
        finally:
            cancelled.set()

    def cells(
        self, values: Mapping[str, Any], given: Given, row: int = 1
    ) -> tuple[dict[str, Any], ItemProblem | None]:
        """The cells of a row of a request, and the first problem of its values.

        Args:
            values: By input.
            given: The files and addresses that they refer to.
            row: The row's number, from 1.

        Raises:
            Refusal: If the run has no such input (422).
        """
        for name in values:
            if name not in self.inputs:
                fix = api.did_you_mean(name, self.inputs)
                problem = ItemProblem(
                    f"there is no input '{api.one_line(name, 80)}'. {fix}", row, api.one_line(name, 80)
                )
                raise Refusal(422, problem.message, [problem])
        cells = {}
        for name, value in values.items():
            try:
                cells[name] = cell_of(value, self.inputs[name], given)
            except ValueProblem as error:
                return {}, ItemProblem(f"{name}: {error}", row, name)
        return cells, None

    async def predict(
        self, rows: Sequence[Mapping[str, Any]], shares: bool = False
    ) -> list[JsonObject | ItemProblem]:
        """The answers to rows of cells, in their order; the problem of a row that cannot be read.

        Args:
            rows: By input, as :meth:`cells` returns them.
            shares: Add how much each input contributed.

        Returns:
            By row ``values``, ``probabilities``, ``intervals``, ``missing`` and ``warnings``; maybe
            ``shares``.

        Raises:
            Refusal: If the run does not predict, or has no shares (422).
            QueueFull: If too many rows wait.
        """
        self.require("predict")
        if shares:
            self.require("explain")
        with self.admitted(len(rows)):
            return await self._predicted(rows, shares)

    async def _predicted(
        self, rows: Sequence[Mapping[str, Any]], shares: bool
    ) -> list[JsonObject | ItemProblem]:
        """What :meth:`predict` returns, of rows that are admitted."""
        read = await self.decoders.read(self.reading, rows)
        good = [each.row for each in read if not each.problems]
        answers = await self._answers.submit(good)
        if shares and good:
            added = await self.in_model(lambda run: api.row_shares(run, good), self.run)
            answers = [{**one, "shares": own} for one, own in zip(answers, added, strict=True)]
        made = iter(answers)
        return [
            problem_of(each, number) if each.problems else {**next(made), "warnings": list(each.warnings)}
            for number, each in enumerate(read, start=1)
        ]

    async def embed(
        self, rows: Sequence[Mapping[str, Any]], input: str | None = None
    ) -> list[list[float] | ItemProblem | None]:
        """The vectors of rows of cells; None where a row lacks the input.

        Args:
            rows: By input, as :meth:`cells` returns them.
            input: Whose vectors to return; by default those of the fused rows.

        Raises:
            Refusal: If the run has no vectors, or no such input (422).
            QueueFull: If too many rows wait.
        """
        self.require("embed")
        if input is not None and input not in self.inputs:
            fix = api.did_you_mean(input, self.inputs)
            raise Refusal(422, f"there is no input '{api.one_line(input, 80)}'. {fix}", param="input")
        with self.admitted(len(rows)):
            return await self._embedded(rows, input)

    async def _embedded(
        self, rows: Sequence[Mapping[str, Any]], input: str | None
    ) -> list[list[float] | ItemProblem | None]:
        """What :meth:`embed` returns, of rows that are admitted; overridden by runs with vectors."""
        raise Refusal(422, self._lacks("embed"), param="run")

    async def stop(self) -> None:
        """Compute what waits, and take no more."""
        for batcher in [self._answers, *self._vectors.values()]:
            await batcher.stop()
        if self.talker is not None:
            await self.talker.stop()

    @cached_property
    def samples(self) -> list[JsonObject]:
        """The rows that the run keeps, as requests have them, with its answers to them.

        Raises:
            RunError: If they cannot be read.
        """
        kept = api.read_samples(self.run.folder)
        if kept is None:
            return []
        sequences = [each.name for each in self.inputs.values() if each.modality == "sequence"]
        whole = kept.embedded(sequences)
        rows = [{name: row[name] for name in self.inputs if name in row} for row in whole]
        return [{"row": row, "answer": sample.answer} for row, sample in zip(rows, kept.rows, strict=True)]


def input_of(name: str, modality: str, reader: Any) -> ServedInput:
    """An input that a reader reads."""
    names = reader.vocabulary
    return ServedInput(name, modality, tuple(names.names) if names is not None else None)


def problem_of(read: api.ReadRow, row: int) -> ItemProblem:
    """The problem of a row that cannot be read."""
    name, text = read.problems[0]
    return ItemProblem(f"{name}: {text}", row, name)
