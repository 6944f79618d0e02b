"""How a run was made: what its folder says, for the last section of the report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from polymodal.config import Declaration
from polymodal.data.checks.split_view import Parts
from polymodal.data.tables.table import Table
from polymodal.run import Run
from polymodal.training.declaration.source import resolve
from polymodal.training.loop.model_selection import metric_name

FREE = ("data.train", "data.validation", "data.test")
"""Settings that say where the data lie rather than how to learn from them."""


def making(run: Run, table: Table, results: Mapping[str, Any]) -> dict[str, Any]:
    """Training, settings, data and versions.

    Args:
        run: What was made.
        table: The rows of the report, whose empty cells are counted.
        results: What ``metrics.json`` holds; empty where it is not there.
    """
    trained, declaration = results.get("train", {}), run.declaration
    tasks = {name: target.family for name, target in declaration.targets.items()}
    metric = metric_name(declaration.train.metric, tasks)
    return {
        "seconds": trained.get("seconds"),
        "rows_per_second": trained.get("rows_per_second"),
        "epochs": trained.get("epochs"),
        "best_epoch": (results.get("validation") or {}).get("epoch"),
        "parameters": run.model.num_parameters(),
        "metric": metric,
        "curves": curves(results.get("history", []), metric),
        "splits": results.get("rows", {}),
        "settings": changed_settings(declaration),
        "data": data_card(run, table),
        "versions": results.get("versions", {}),
        "warnings": results.get("warnings", []),
        "notes": results.get("notes", []),
        "command": f"polymodal fit {run.folder / 'run.yaml'} -o runs/again",
    }


def curves(history: Sequence[Mapping[str, Any]], metric: str) -> dict[str, list[Any]]:
    """``(name, epochs, values)`` of the loss, and of the metric that picked the epoch."""
    lines: dict[str, list[Any]] = {"loss": [], "selection": []}
    keys = [("loss", "training", "loss"), ("loss", "validation", "eval_loss")]
    if metric != "loss":
        names = {name for entry in history for name in entry if name.startswith("eval_")}
        wanted = f"eval_{metric}"
        found = sorted(name for name in names if name == wanted or name.endswith(f".{metric}"))
        keys += [("selection", "validation", name) for name in found[:1]]
    for place, name, key in keys:
        seen = [(entry["epoch"], entry[key]) for entry in history if key in entry]
        if seen:
            lines[place].append((name, [epoch for epoch, _ in seen], [value for _, value in seen]))
    return lines


def changed_settings(declaration: Declaration) -> dict[str, Any]:
    """What differs from the defaults, by its path such as ``train.epochs``."""
    changed = declaration.model_dump(mode="json", exclude_defaults=True)
    return {path: value for path, value in _paths(changed) if path not in FREE}


def _paths(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _paths(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def data_card(run: Run, table: Table) -> dict[str, Any]:
    """Columns with their share of empty cells in the rows of the report; the training file's digest."""
    declaration = run.declaration
    roles: dict[str, str] = {name: entry.modality for name, entry in declaration.inputs.items()}
    roles |= {name: entry.family for name, entry in declaration.targets.items()}
    parts = Parts({"train": table}, {}, roles)
    columns = {
        name: {"role": role, "empty": float(parts.empty("train", name).mean()) if len(table) else 0.0}
        for name, role in roles.items()
        if name in table.columns
    }
    path = training_file(run)
    digest = None
    if path is not None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"columns": columns, "name": path.name if path else table.name, "sha256": digest}


def training_file(run: Run) -> Path | None:
    """The file that the run was trained on, if it was one and is still there."""
    named = run.declaration.data.train
    if not isinstance(named, str):
        return None
    path = resolve(named, run.folder)
    return path if path.is_file() else None
