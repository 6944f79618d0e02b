"""An index of vectors that requests search in, by the run that made it."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from polymodal import api
from polymodal.api import JsonObject, JsonValue
from polymodal.serving.problems import ItemProblem, Refusal
from polymodal.serving.served_heads import ServedHeads
from polymodal.serving.served_run import ServedRun
from polymodal.serving.values import MEDIA
from polymodal.serving.vectors import item_vectors

Value = str | int | float | bool | None


@dataclass(frozen=True)
class ServedIndex:
    """An index, and the served run that made it.

    Attributes:
        name: Of its folder.
        index: Opened.
        served: The run, which makes the vectors of queries.
    """

    name: str
    index: api.Index
    served: ServedRun

    @classmethod
    def open(cls, folder: str | Path, runs: Mapping[str, ServedRun]) -> Self:
        """The index in ``folder``.

        Args:
            folder: That ``polymodal index`` wrote.
            runs: The served runs by name.

        Raises:
            RunError: If it is no index, or none of the runs made it.
            ConfigError: If LanceDB is not installed.
        """
        path = Path(folder)
        made_by = api.read_manifest(path).run_folder(path)
        for served in runs.values():
            own = served.run.folder.resolve()
            if isinstance(served, ServedHeads) and own in (made_by.resolve(), *made_by.resolve().parents):
                index = api.open_index(path, run=served.run)
                index.run()  # refuses an index of another model
                return cls(path.resolve().name, index, served)
        fix = f"Serve it too: polymodal serve {made_by} … --index {path}"
        raise api.RunError(f"{path}: was made by the run in {made_by}, which is not served. {fix}")

    async def hits(
        self,
        cells: Mapping[str, Any],
        *,
        input: str | None = None,
        where: str | Mapping[str, Value | Sequence[Value]] | None = None,
        limit: int = 10,
    ) -> list[JsonObject]:
        """The items nearest to a row, the nearest first; without paths.

        Args:
            cells: By input, as :meth:`ServedRun.cells` returns them; one is enough.
            input: The only input to search; by default all that can be compared.
            where: Conditions: by column a value or several, or a text.
            limit: The most hits.

        Raises:
            Refusal: If the row is empty, or cannot be read or compared (422).
            PolymodalError: If it is no condition, or there is no such column or input.
        """
        vector, searched = await self._query(cells, input)
        wanted = api.Asked(vector=vector)
        hits = await self.served.in_model(
            self.index.hits, wanted, input=searched, where=condition(where), k=limit
        )
        return [shown(hit, self.index.manifest.inputs) for hit in hits]

    async def _query(self, cells: Mapping[str, Any], input: str | None) -> tuple[np.ndarray, str | None]:
        """The vector of a row, and the input to search."""
        if self.index.manifest.shared:
            [vector] = await item_vectors(self.served, [cells])
            return _readable(vector), input
        filled = [name for name, cell in cells.items() if cell is not None]
        name = input or next(iter(filled), None)
        if filled != [name]:
            reason = f"the row has {' and '.join(filled) or 'nothing'}, expected one input"
            why = "the vectors of different inputs cannot be compared: each is compared with itself"
            raise Refusal(422, f"{reason}{f', {name}' if input else ''}. In this index {why}", param="row")
        [values] = await self.served.embed([cells], name)
        return _readable(values), name


def _readable(vector: np.ndarray | Sequence[float] | ItemProblem | None) -> np.ndarray:
    if isinstance(vector, ItemProblem):
        raise Refusal(422, vector.message, [vector], param="row")
    if vector is None:
        raise Refusal(422, "the row is empty, expected something to search for", param="row")
    return np.asarray(vector, dtype=np.float32)


def condition(where: str | Mapping[str, Value | Sequence[Value]] | None) -> str | None:
    """Conditions by column as a text, see :mod:`polymodal.search.conditions`; None for no condition."""
    if where is None or isinstance(where, str):
        return where
    return " and ".join(_test(column, value) for column, value in where.items()) or None


def _test(column: str, value: Value | Sequence[Value]) -> str:
    name = '"' + column.replace('"', '""') + '"'
    if value is None:
        return f"{name} is empty"
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not value or None in value:
            raise Refusal(422, f"where: {column} has no value, or an empty one, in its list", param="where")
        return f"{name} in ({', '.join(map(_literal, value))})"
    return f"{name} = {_literal(value)}"


def _literal(value: Value) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else json.dumps(value)


def shown(hit: api.Hit, inputs: Mapping[str, str]) -> JsonObject:
    """A hit as JSON: files of its row have no value, and no key, but a preview.

    Args:
        hit: The hit.
        inputs: Modality by input of the index.
    """
    values = {
        name: _plain(value)
        for name, value in hit.fields.items()
        if inputs.get(name) not in (*MEDIA, "sequence") and api.recognise(value) is None
    }
    preview = None
    if hit.thumbnail is not None:
        preview = f"data:image/jpeg;base64,{base64.b64encode(hit.thumbnail).decode('ascii')}"
    key = None if api.recognise(hit.key) else hit.key
    score = round(hit.score, 6)
    return {
        "row": hit.row, "score": score, "input": hit.input, "key": key, "values": values, "preview": preview
    }  # fmt: skip


def _plain(value: Any) -> JsonValue:
    """A cell of an index for JSON."""
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else value
