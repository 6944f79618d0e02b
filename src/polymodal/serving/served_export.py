"""An export to ONNX behind the service; it needs no library of training."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from polymodal import api
from polymodal.api import JsonObject
from polymodal.serving.served_run import ServedRun, input_of
from polymodal.serving.values import ServedInput

MOST_ROWS = 32
"""Rows of a batch."""


class ServedExport(ServedRun):
    """An export, which answers predict alone."""

    record: ClassVar[str] = api.EXPORT_FILE
    if TYPE_CHECKING:
        run: api.ExportedRun

    @property
    def kind(self) -> str:
        """``heads``."""
        return api.Kind.heads.value

    @property
    def reading(self) -> api.RowProcessor:
        """See :class:`ServedRun`."""
        return self.run.reading

    @property
    def supported(self) -> list[str]:
        """See :class:`ServedRun`."""
        return ["predict"]

    @property
    def metric(self) -> JsonObject | None:
        """See :class:`ServedRun`: that of its run, where its answers are the same."""
        return None if self.run.manifest.run is None else self.run.manifest.run.metric

    @property
    def source(self) -> JsonObject:
        """See :class:`ServedRun`; an export of an earlier version does not name its run."""
        run = self.run.manifest.run
        named: JsonObject = {"run": None, "identity": None}
        if run is not None:
            named = {"run": run.name, "identity": run.identity}
        return named | {"precision": self.run.precision}

    @cached_property
    def targets(self) -> list[JsonObject]:
        """See :class:`ServedRun`."""
        readers, source = self.run.labels, self.run.manifest.run
        units = {} if source is None else source.units
        return [
            {
                "name": name,
                "task": task,
                "classes": list(readers[name].classes) or None,
                "unit": units.get(name),
            }
            for name, task in self.run.targets.items()
        ]

    def _lacks(self, capability: str) -> str:
        fix = f"Serve the run itself to {capability}"
        return f"'{self.name}' is an export, and an export answers predict alone. {fix}"

    def _inputs(self) -> list[ServedInput]:
        readers = self.run.reading.readers
        return [input_of(name, reader.modality, reader) for name, reader in readers.items()]

    def _most_rows(self) -> int:
        return api.rows_at_once(self.run.reading, MOST_ROWS)

    def _answer(self, rows: Sequence[Any]) -> list[JsonObject]:
        batch = self.run.answer_read([row["cells"] for row in rows])
        return api.rows_as_json(batch, self.run.decoders, self.run.labels, list(self.run.inputs))
