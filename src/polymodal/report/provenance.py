"""Provenance of a run: training, settings, data and versions, for the last section of the report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymodal.config import Declaration
from polymodal.data.checks.split_view import Parts
from polymodal.data.tables.table import Table
from polymodal.runs.core import AnyRun
from polymodal.tasks import reader_name
from polymodal.training.declaration.source import resolve
from polymodal.training.loop.defaults import metric_name
from polymodal.training.recorded_metrics import FitResults
from polymodal.utils.records import JsonValue, Record

FREE = ("data.train", "data.validation", "data.test")
"""Settings of the location of the data, which are not shown."""

Curve = tuple[str, list[float], list[float]]
"""Name, epochs, values."""


@dataclass(frozen=True, kw_only=True)
class Curves(Record):
    """Curves of training.

    Attributes:
        loss: Training and validation loss.
        selection: The metric that selected the epoch; empty where that is the loss.
    """

    loss: list[Curve]
    selection: list[Curve]


@dataclass(frozen=True, kw_only=True)
class ColumnCard(Record):
    """A column of the data.

    Attributes:
        role: Its modality as an input, or its task as a target.
        empty: The share of empty cells in the rows of the report, from 0 to 1.
    """

    role: str
    empty: float


@dataclass(frozen=True, kw_only=True)
class DataCard(Record):
    """The data of a run.

    Attributes:
        columns: Inputs and targets.
        name: Of the training file, or of the table.
        sha256: The digest of the training file; None where there is none.
    """

    columns: dict[str, ColumnCard]
    name: str
    sha256: str | None


@dataclass(frozen=True, kw_only=True)
class Provenance(Record):
    """How a run was made; None where ``metrics.json`` does not hold it.

    Attributes:
        seconds: Of training.
        rows_per_second: In training.
        epochs: Trained.
        best_epoch: The epoch that was kept.
        parameters: Number of parameters.
        metric: That selected the epoch.
        curves: Of training.
        splits: Number of rows by split.
        settings: Those that differ from the defaults, by path such as ``train.epochs``.
        data: Columns and training file.
        versions: Of the libraries.
        warnings: Of the fit.
        notes: Of the fit.
        command: That fits the same again.
    """

    seconds: float | None
    rows_per_second: float | None
    epochs: float | None
    best_epoch: float | None
    parameters: int
    metric: str
    curves: Curves
    splits: dict[str, int]
    settings: dict[str, JsonValue]
    data: DataCard
    versions: dict[str, str]
    warnings: list[str]
    notes: list[str]
    command: str


def provenance(run: AnyRun, table: Table, results: FitResults) -> Provenance:
    """How a run was made.

    Args:
        run: The run.
        table: The rows of the report, whose empty cells are counted.
        results: Of the fit; defaults where ``metrics.json`` is missing.
    """
    trained, declaration = results.train, run.declaration
    tasks = {name: target.task for name, target in declaration.targets.items()}
    metric = metric_name(declaration.train.metric, tasks)
    return Provenance(
        seconds=trained.seconds,
        rows_per_second=trained.rows_per_second,
        epochs=trained.epochs,
        best_epoch=(results.validation or {}).get("epoch"),
        parameters=run.parameters,
        metric=metric,
        curves=curves(results.history, metric),
        splits=results.rows,
        settings=changed_settings(declaration),
        data=data_card(run, table),
        versions=results.versions,
        warnings=results.warnings,
        notes=results.notes,
        command=f"polymodal fit {run.folder / 'run.yaml'} -o runs/again",
    )


def curves(history: Sequence[Mapping[str, Any]], metric: str) -> Curves:
    """The curves of the loss, and of the metric that selected the epoch."""
    lines: dict[str, list[Curve]] = {"loss": [], "selection": []}
    stages = [entry["stage"] for entry in history if "stage" in entry]
    history = [entry for entry in history if entry.get("stage") in (None, stages[-1])] if stages else history
    validation = "eval_loss_total" if stages else "eval_loss"  # of a language model, the only one
    keys = [("loss", "training", "loss"), ("loss", "validation", validation)]
    if metric != "loss":
        names = {name for entry in history for name in entry if name.startswith("eval_")}
        wanted = f"eval_{metric}"
        matches = sorted(name for name in names if name == wanted or name.endswith(f".{metric}"))
        keys += [("selection", "validation", name) for name in matches[:1]]
    for kind, name, key in keys:
        seen = [(entry["epoch"], entry[key]) for entry in history if key in entry]
        if seen:
            lines[kind].append((name, [epoch for epoch, _ in seen], [value for _, value in seen]))
    return Curves(loss=lines["loss"], selection=lines["selection"])


def changed_settings(declaration: Declaration) -> dict[str, JsonValue]:
    """Settings that differ from the defaults, by path such as ``train.epochs``."""
    changed = declaration.model_dump(mode="json", exclude_defaults=True)
    return {path: value for path, value in _paths(changed) if path not in FREE}


def _paths(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _paths(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def data_card(run: AnyRun, table: Table) -> DataCard:
    """The columns with their share of empty cells in ``table``, and the training file's digest."""
    declaration = run.declaration
    roles: dict[str, str] = {name: entry.modality for name, entry in declaration.inputs.items()}
    roles |= {name: reader_name(entry.task) for name, entry in declaration.targets.items()}
    parts = Parts({"train": table}, {}, roles)
    columns = {
        name: ColumnCard(role=role, empty=float(parts.empty("train", name).mean()) if len(table) else 0.0)
        for name, role in roles.items()
        if name in table.columns
    }
    path = training_file(run)
    digest = None
    if path is not None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return DataCard(columns=columns, name=path.name if path else table.name, sha256=digest)


def training_file(run: AnyRun) -> Path | None:
    """The training file; None for rows in memory, or where it is gone."""
    named = run.declaration.data.train
    if not isinstance(named, str):
        return None
    path = resolve(named, run.folder)
    return path if path.is_file() else None
