"""An export beside its run: the largest difference of an answer, on the same rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from polymodal.answers.batches import AnsweredRows
from polymodal.artifact.samples import read_samples
from polymodal.data.media.path_access import MediaAccess, Root
from polymodal.data.tables.table import read_table
from polymodal.errors import InputWarning
from polymodal.exporting.onnx.made_rows import made_rows
from polymodal.runs.prediction_run import PredictionRun
from polymodal.runtime.exported_run import ExportedRun

NEAR = 1e-3
"""Largest difference of an answer in fp32: above rounding, far below what decides."""
MOST_ROWS = 256
"""Rows that are compared, evenly spaced over a table."""


@dataclass(frozen=True)
class Compared:
    """The answers of an export beside those of its run.

    Attributes:
        rows: How many were compared.
        made: Whether they are noise, and no rows of a table.
        largest: The largest difference of a probability, or of a number over 1 or its own size, whichever is
            more.
        target: Where it is.
        changed: Share of the rows for which another class, set of labels or the like is answered, by target;
            none for numbers.
    """

    rows: int
    made: bool
    largest: float
    target: str
    changed: Mapping[str, float]

    @property
    def summary(self) -> str:
        """In one line."""
        of = "rows of noise" if self.made else "rows"
        text = f"largest difference to the run on {self.rows} {of}: {self.largest:.1e} ('{self.target}')"
        others = [f"'{name}' {share:.1%}" for name, share in self.changed.items() if share]
        return text + (f"; other answers: {', '.join(others)}" if others else "")


def rows_of(run: PredictionRun, source: Any) -> tuple[list[dict[str, Any]], Root, bool]:
    """The rows to compare on, with what their paths start from: of a table, else those that the run keeps.

    Where it keeps none they are noise, as the last of what is returned shows.

    Raises:
        DataError: If the table cannot be read.
        RunError: If the rows that the run keeps cannot be read.
    """
    if source is None:
        samples = read_samples(run.folder)
        if samples is not None and samples.rows:
            return [dict(row) for row in samples.named()], MediaAccess.inside(samples.folder), False
        return made_rows(run.reading.readers), None, True
    table = read_table(source)
    picked = np.unique(np.linspace(0, len(table) - 1, min(len(table), MOST_ROWS)).astype(int))
    names = [name for name in run.reading.readers if table.has(name)]
    columns = table.select(picked).data.select_columns(names).cells(range(len(picked)))
    rows = [{name: columns[name][index] for name in names} for index in range(len(picked))]
    return rows, table.root, False


def compare(
    run: PredictionRun, export: ExportedRun, rows: Sequence[dict[str, Any]], root: Root, made: bool
) -> Compared:
    """Compare what a run and its export answer.

    Args:
        run: The run.
        export: Its export.
        rows: By input its cell, of each row.
        root: What paths in cells start from.
        made: Whether the rows are noise.

    Raises:
        DataError: If a row cannot be read.
    """
    table = replace(read_table(list(rows)), root=root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        own = joined(run.answered(run.rows(table), 128))
        other = joined(export.answered(rows, root))
    apart = {name: float(difference(own[name], other[name]).max(initial=0.0)) for name in own}
    target = max(apart, key=lambda name: apart[name])
    return Compared(len(rows), made, apart[target], target, _changed(export, own, other))


def joined(batches: Iterable[AnsweredRows]) -> dict[str, np.ndarray]:
    """By target the answers of all batches."""
    parts = [batch.answers for batch in batches]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def difference(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """By how much answers differ: absolute up to 1, relative to ``own`` above."""
    own, other = own.astype(np.float64), other.astype(np.float64)
    return np.abs(own - other) / np.maximum(1.0, np.abs(own))


def _changed(
    export: ExportedRun, own: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Share of rows that are decided otherwise, by target."""
    changed = {}
    for name, decoder in export.decoders.items():
        first, second = decoder.decide(own[name]), decoder.decide(other[name])
        if own[name].ndim > 1:
            kinds = [key for key in first if first[key].dtype.kind in "iub"]
            differs = [(first[key] != second[key]).reshape(len(own[name]), -1).any(axis=1) for key in kinds]
            changed[name] = float(np.any(differs, axis=0).mean()) if differs else 0.0
    return changed
