"""One loaded run of the service: what it reads, and its answers in batches with other requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, TypeVar

from polymodal import api
from polymodal.api import JsonObject
from polymodal.serving.batching import Batcher, QueueFull
from polymodal.serving.chat.talker import Talker
from polymodal.serving.decoding import Decoders
from polymodal.serving.limits import Limits
from polymodal.serving.problems import ItemProblem, Refusal
from polymodal.serving.values import Given, ServedInput, ValueProblem, cell_of

T = TypeVar("T")
LANGUAGE = "language"
"""The kind of a run that answers in words, as the service names it."""


class ServedRun:
    """A run that answers requests.

    Args:
        name: In requests.
        run: Loaded.
        model_thread: An executor with one thread, in which its model computes.
        limits: Of requests.
        decoders: Decode media in other processes.
        on_batch: Called with the number of rows of each batch.

    Attributes:
        inputs: What a row may hold, in declared order.
        in_flight: Rows that are read, wait or are computed.
    """

    def __init__(
        self,
        name: str,
        run: api.Run | api.LanguageRun,
        model_thread: Executor,
        limits: Limits,
        decoders: Decoders,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        self.name, self.run, self.model_thread, self.limits = name, run, model_thread, limits
        self.decoders, self.on_batch = decoders, on_batch
        self.inputs = {each.name: each for each in inputs_of(run)}
        size = api.most_rows(run) if isinstance(run, api.Run) else 8
        self._answers: Batcher[Any, Any] = self._batcher(self._answer, size)
        self._vectors: dict[str | None, Batcher[Any, Any]] = {}
        self.in_flight = 0

    def _batcher(self, compute: Callable[[Sequence[Any]], Sequence[T]], size: int) -> Batcher[Any, T]:
        return Batcher(
            compute, self.model_thread, most_items=size, most_waiting=self.limits.waiting_rows,
            on_batch=self.on_batch,
        )  # fmt: skip

    @property
    def kind(self) -> str:
        """``heads``, ``space``, or ``language`` for a run that answers in words."""
        return LANGUAGE if self.run.kind is api.Kind.words else self.run.kind.value

    @property
    def capabilities(self) -> list[str]:
        """What requests may be about, by the names of the routes."""
        has = self.run.capabilities
        names = [name for name in ("predict", "embed", "explain", "chat") if api.Capability(name) in has]
        if not self.inputs:
            names = [name for name in names if name == "chat"]
        return names + ["report"] * (self.run.folder / "report.html").is_file()

    @property
    def reads_media(self) -> bool:
        """Whether rows may hold pictures, recordings, clips or sequences."""
        return any(each.is_media for each in self.inputs.values())

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
        if capability not in self.capabilities:
            listed = ", ".join(self.capabilities) or "nothing of it"
            raise Refusal(422, f"the run '{self.name}' cannot {capability}, but {listed}", param="run")

    async def in_model(self, function: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """What a function returns that computes with the model, in the thread of all models."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.model_thread, partial(function, *arguments, **options))

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
            if not isinstance(self.run, api.Run):
                return await self._of_words(rows, self._answers)
            read = await self.decoders.read(self.run.reading, rows)
            good = [each.row for each in read if not each.problems]
            answers = await self._answers.submit(good)
            if shares and good:
                added = await self.in_model(api.row_shares, self.run, good)
                answers = [{**one, "shares": own} for one, own in zip(answers, added, strict=True)]
        made = iter(answers)
        return [
            _problem(each, number) if each.problems else {**next(made), "warnings": list(each.warnings)}
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
        batcher = self._vectors.setdefault(input, self._batcher(partial(self._embed, input), 64))
        with self.admitted(len(rows)):
            if not isinstance(self.run, api.Run):
                return await self._of_words(rows, batcher)
            read = await self.decoders.read((await self.in_model(self._fused)).reading, rows)
            vectors = iter(await batcher.submit([each.row for each in read if not each.problems]))
        return [
            _problem(each, number) if each.problems else next(vectors)
            for number, each in enumerate(read, start=1)
        ]

    @cached_property
    def talker(self) -> Talker | None:
        """What answers conversations; None where the run does not answer in words."""
        run = self.run
        if isinstance(run, api.Run):  # naming the other class would import torch
            return None

        async def read_items(media: Sequence[api.Media]) -> list[Any]:
            read = await self.decoders.read(run.processor, [{part.input: part.cell} for part in media])
            for each in read:
                if each.problems:
                    raise Refusal(400, _problem(each, 1).message, param="messages")
            return [each.row["cells"][part.input] for part, each in zip(media, read, strict=True)]

        return Talker(
            run, self.model_thread, read_items, most_waiting=self.limits.waiting_rows, on_batch=self.on_batch
        )

    def _fused(self) -> Any:
        assert isinstance(self.run, api.Run)
        return self.run.fused

    async def check_media(self, rows: Sequence[Mapping[str, Any]]) -> list[ItemProblem | None]:
        """The problem of each row whose media cannot be decoded, which another process tries.

        A run that answers in words decodes them again itself, in this process.
        """
        media = [{name: row.get(name) for name, each in self.inputs.items() if each.is_media} for row in rows]
        reading = self.run.reading if isinstance(self.run, api.Run) else self.run.processor
        read = await self.decoders.read(reading, media)
        return [
            _problem(each, number) if each.problems else None for number, each in enumerate(read, start=1)
        ]

    async def _of_words(self, rows: Sequence[Mapping[str, Any]], batcher: Batcher[Any, Any]) -> list[Any]:
        """The results of a run that answers in words."""
        problems = await self.check_media(rows)
        good = [row for row, problem in zip(rows, problems, strict=True) if problem is None]
        results = iter(await batcher.submit(good))
        made = [next(results) if problem is None else problem for problem in problems]
        return [
            ItemProblem(str(result), row) if isinstance(result, Exception) else result
            for row, result in enumerate(made, start=1)
        ]

    def _answer(self, rows: Sequence[Any]) -> Sequence[JsonObject | api.PolymodalError]:
        if isinstance(self.run, api.Run):
            return api.answer_rows(self.run, rows)
        return api.answer_in_words(self.run, rows)

    def _embed(
        self, input: str | None, rows: Sequence[Any]
    ) -> Sequence[list[float] | api.PolymodalError | None]:
        if isinstance(self.run, api.Run):
            return api.embed_rows(self.run, rows, input)
        return api.embed_prompts(self.run, rows, input)

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
        rows = [{name: row[name] for name in self.inputs if name in row} for row in kept.embedded()]
        return [{"row": row, "answer": sample.answer} for row, sample in zip(rows, kept.rows, strict=True)]

    @cached_property
    def targets(self) -> list[JsonObject]:
        """What it predicts: name, task, classes and unit of each target."""
        if not isinstance(self.run, api.Run):
            named: JsonObject = {"name": self.run.column, "task": "generation", "classes": None, "unit": None}
            return [named] if "predict" in self.capabilities else []
        readers = self.run.reading.targets
        return [
            {
                "name": name,
                "task": self.run.declaration.targets[name].task,
                "classes": list(readers[name].classes) or None,
                "unit": None,
            }
            for name in self.run.targets
        ]


def inputs_of(run: api.Run | api.LanguageRun) -> list[ServedInput]:
    """The inputs that a row of a request may hold; none of a run of conversations, which have no rows."""
    if isinstance(run, api.Run):
        readers = run.reading.readers
        return [_input(name, entry.modality, readers[name]) for name, entry in run.declaration.inputs.items()]
    names = api.prompt_columns(run)
    modalities = {name: entry.modality for name, entry in run.declaration.inputs.items()}
    return [ServedInput(name, modalities.get(name, "text")) for name in names]


def _input(name: str, modality: str, reader: Any) -> ServedInput:
    names = reader.vocabulary
    return ServedInput(name, modality, tuple(names.names) if names is not None else None)


def _problem(read: api.ReadRow, row: int) -> ItemProblem:
    name, text = read.problems[0]
    return ItemProblem(f"{name}: {text}", row, name)
