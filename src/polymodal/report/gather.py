"""All figures of a report, as JSON has them; the page is made of these alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np

from polymodal import __version__
from polymodal.data.collator import RowDataset
from polymodal.evaluation.emap import emap
from polymodal.evaluation.failures import failures
from polymodal.evaluation.grouping import row_groups
from polymodal.evaluation.metrics import evaluate
from polymodal.evaluation.worth import Trials, input_worth, try_inputs
from polymodal.models.heads import family_of
from polymodal.report.embedding import show_cell
from polymodal.report.verdict import verdict
from polymodal.run import Run

FORMAT = 1


def gather(
    run: Run, rows: RowDataset, *, what: str, group: str | None = None, seed: int = 0
) -> dict[str, Any]:
    """Measure a run on rows whose targets are known.

    Args:
        run: Of any kind; its encoders run once a row, and once more on the sample of the interaction.
        rows: With targets.
        what: Which rows they are, in words.
        group: The column whose equal values are resampled together; by default rows that share a file.
        seed: Of whatever is drawn.

    Raises:
        DataError: If there is no such column, or a cell cannot be read.
    """
    inputs = {name: config.modality for name, config in run.declaration.inputs.items()}
    groups, reason = row_groups(rows.table, inputs, group)
    metric = run.declaration.train.metric or ""
    named, _, kind = metric.rpartition(".")
    metrics = {name: kind for name in run.declaration.targets if named in ("", name)}
    trials = try_inputs(run.model, rows, metrics=metrics, precision=run.precision, seed=seed)
    additive = _emap(run, rows, trials, groups, seed)
    return {
        "format": FORMAT,
        "polymodal": __version__,
        "made": date.today().isoformat(),
        "run": run.folder.name,
        "what": what,
        "rows": len(rows),
        "inputs": inputs,
        "targets": {
            name: _target(trial, rows, groups, reason, additive.get("targets", {}).get(name), seed)
            | {"emap_rows": additive.get("rows", 0), "failures": _failures(run, rows, name, trial, seed)}
            for name, trial in trials.items()
        },
    }


def _emap(
    run: Run, rows: RowDataset, trials: Mapping[str, Trials], groups: np.ndarray, seed: int
) -> dict[str, Any]:
    if len(run.declaration.inputs) < 2 or not trials:
        return {}
    scores = {name: trial.score for name, trial in trials.items()}
    return emap(run.model, rows, scores, groups=groups, precision=run.precision, seed=seed)


def _failures(run: Run, rows: RowDataset, name: str, trial: Trials, seed: int) -> dict[str, Any]:
    """Where it fails, and of the worst rows what they hold."""
    found = failures(run.model, rows, name, trial, precision=run.precision, seed=seed)
    inputs = run.declaration.inputs
    for card in found.get("worst", ()):
        cells = rows.table.row(card["row"])
        card["cells"] = {
            column: show_cell(cells[column], config.modality, rows.table.root)
            for column, config in inputs.items()
            if column in cells
        }
    return found


def _target(
    trial: Trials,
    rows: RowDataset,
    groups: np.ndarray,
    reason: str,
    additive: Mapping[str, Any] | None,
    seed: int,
) -> dict[str, Any]:
    """One target's sections."""
    head, answer = trial.head, trial.answers
    decided = {name: value.cpu() for name, value in head.decide(answer).items()}
    metrics = evaluate(head.task, answer, trial.targets, family=family_of(head), **decided)
    worth = input_worth(trial, rows, groups, seed) | {"grouped_by": reason}
    return {
        "task": head.task,
        "metrics": metrics,
        "worth": worth,
        "emap": dict(additive or {}),
        "verdict": verdict(worth, additive),
    }
