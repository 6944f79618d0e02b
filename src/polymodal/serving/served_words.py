"""A run that answers in words, behind the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from polymodal import api
from polymodal.api import JsonObject
from polymodal.serving.batching import Batcher
from polymodal.serving.chat.talker import Talker
from polymodal.serving.problems import ItemProblem, Refusal
from polymodal.serving.served_run import ServedRun, problem_of
from polymodal.serving.values import MEDIA, ServedInput

LANGUAGE = "language"
"""The kind of a run that answers in words, as the service names it."""
MOST_PROMPTS = 8
"""Rows that are answered at once."""


class ServedWords(ServedRun):
    """A run that answers rows and conversations in words."""

    if TYPE_CHECKING:
        run: api.LanguageRun

    @property
    def kind(self) -> str:
        """``language``."""
        return LANGUAGE

    @property
    def reading(self) -> api.RowProcessor:
        """See :class:`ServedRun`."""
        return self.run.processor

    @cached_property
    def supported(self) -> list[str]:
        """See :class:`ServedRun`; a run of conversations has no rows."""
        has = self.run.capabilities
        names = ("predict", "embed", "chat") if self.inputs else ("chat",)
        return [name for name in names if api.Capability(name) in has]

    @cached_property
    def targets(self) -> list[JsonObject]:
        """See :class:`ServedRun`."""
        named: JsonObject = {"name": self.run.column, "task": "generation", "classes": None, "unit": None}
        return [named] if "predict" in self.supported else []

    @property
    def attachments(self) -> list[str]:
        """See :class:`ServedRun`."""
        modalities = dict.fromkeys(reader.modality for reader in self.run.processor.readers.values())
        return [f"{modality}/*" for modality in modalities if modality in MEDIA]

    @cached_property
    def talker(self) -> Talker:
        """See :class:`ServedRun`."""
        return Talker(
            self.run, self.model_thread, self._read_items, most_waiting=self.limits.waiting_rows,
            on_batch=self.on_batch,
        )  # fmt: skip

    async def _read_items(self, media: Sequence[api.Media]) -> list[Any]:
        read = await self.decoders.read(self.reading, [{part.input: part.cell} for part in media])
        for each in read:
            if each.problems:
                raise Refusal(400, problem_of(each, 1).message, param="messages")
        return [each.row["cells"][part.input] for part, each in zip(media, read, strict=True)]

    def _inputs(self) -> list[ServedInput]:
        modalities = {name: entry.modality for name, entry in self.run.declaration.inputs.items()}
        names = api.prompt_columns(self.run)
        return [ServedInput(name, modalities.get(name, "text")) for name in names]

    def _most_rows(self) -> int:
        return MOST_PROMPTS

    def _answer(self, rows: Sequence[Any]) -> Sequence[JsonObject | api.PolymodalError]:
        return api.answer_in_words(self.run, rows)

    async def _predicted(
        self, rows: Sequence[Mapping[str, Any]], shares: bool
    ) -> list[JsonObject | ItemProblem]:
        return await self._of_words(rows, self._answers)

    async def _embedded(
        self, rows: Sequence[Mapping[str, Any]], input: str | None
    ) -> list[list[float] | ItemProblem | None]:
        return await self._of_words(rows, self._vectors_of(input, api.embed_prompts))

    async def _of_words(self, rows: Sequence[Mapping[str, Any]], batcher: Batcher[Any, Any]) -> list[Any]:
        problems = await self.check_media(rows)
        good = [row for row, problem in zip(rows, problems, strict=True) if problem is None]
        results = iter(await batcher.submit(good))
        made = [next(results) if problem is None else problem for problem in problems]
        return [
            ItemProblem(str(result), row) if isinstance(result, Exception) else result
            for row, result in enumerate(made, start=1)
        ]

    async def check_media(self, rows: Sequence[Mapping[str, Any]]) -> list[ItemProblem | None]:
        """The problem of each row whose media cannot be decoded, which another process tries.

        The run decodes them again itself, in this process.
        """
        media = [{name: row.get(name) for name, each in self.inputs.items() if each.is_media} for row in rows]
        read = await self.decoders.read(self.reading, media)
        return [
            problem_of(each, number) if each.problems else None for number, each in enumerate(read, start=1)
        ]
