"""A run with heads, or one that only embeds, behind the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from polymodal import api
from polymodal.api import JsonObject
from polymodal.serving.problems import ItemProblem
from polymodal.serving.served_run import ServedRun, input_of, problem_of
from polymodal.serving.values import ServedInput


class ServedHeads(ServedRun):
    """A run whose answers are predictions and vectors."""

    if TYPE_CHECKING:
        run: api.Run

    @property
    def kind(self) -> str:
        """``heads``, or ``space`` of one that was pre-trained without targets."""
        return self.run.kind.value

    @property
    def reading(self) -> api.RowProcessor:
        """See :class:`ServedRun`."""
        return self.run.reading

    @cached_property
    def supported(self) -> list[str]:
        """See :class:`ServedRun`."""
        has = self.run.capabilities
        return [name for name in ("predict", "embed", "explain") if api.Capability(name) in has]

    @property
    def shares_space(self) -> bool:
        """See :class:`ServedRun`."""
        return self.run.shares_space

    @cached_property
    def targets(self) -> list[JsonObject]:
        """See :class:`ServedRun`."""
        readers, declared = self.run.reading.targets, self.run.declaration.targets
        return [
            {
                "name": name,
                "task": declared[name].task,
                "classes": list(readers[name].classes) or None,
                "unit": declared[name].shown_unit or None,
            }
            for name in self.run.targets
        ]

    def _inputs(self) -> list[ServedInput]:
        readers = self.run.reading.readers
        declared = self.run.declaration.inputs
        return [input_of(name, entry.modality, readers[name]) for name, entry in declared.items()]

    def _most_rows(self) -> int:
        return api.most_rows(self.run)

    def _answer(self, rows: Sequence[Any]) -> Sequence[JsonObject | api.PolymodalError]:
        return api.answer_rows(self.run, rows)

    async def _embedded(
        self, rows: Sequence[Mapping[str, Any]], input: str | None
    ) -> list[list[float] | ItemProblem | None]:
        batcher = self._vectors_of(input, api.embed_rows)
        fused = await self.in_model(lambda: self.run.fused)
        read = await self.decoders.read(fused.reading, rows)
        vectors = iter(await batcher.submit([each.row for each in read if not each.problems]))
        return [
            problem_of(each, number) if each.problems else next(vectors)
            for number, each in enumerate(read, start=1)
        ]
