"""All figures of a report, from which the page is rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import torch

from polymodal.config import ReportConfig, TargetConfig
from polymodal.data.collator import RowDataset
from polymodal.error_analysis.error_analysis import failures
from polymodal.error_analysis.subgroups import SubgroupFigures, subgroups
from polymodal.evaluation.metrics.calibration import IntervalCoverage, TemperatureEffect
from polymodal.evaluation.metrics.metrics import evaluate
from polymodal.evaluation.statistics.clusters import row_groups
from polymodal.evaluation.statistics.subgroup_columns import subgroup_columns
from polymodal.importance.emap import InteractionFigures, emap
from polymodal.importance.importance import (
    InputImportance,
    OverallScore,
    Trials,
    input_importance,
    try_inputs,
)
from polymodal.report.html_cells import show_cell
from polymodal.report.provenance import Provenance
from polymodal.report.report_figures import Report, Robustness, TargetReport
from polymodal.report.verdict import Verdict, verdict
from polymodal.robustness.missing_cells import MissingFigures, missing_curves
from polymodal.robustness.noise import NoiseFigures, noise_curves
from polymodal.runs.prediction_run import PredictionRun
from polymodal.tasks import Answered, task_of
from polymodal.utils.progress import working


@dataclass(frozen=True)
class Measuring:
    """The run and the rows of a report.

    Attributes:
        run: A prediction run.
        rows: With their targets.
        config: ``group``, ``by`` and ``noise_rows``.
        seed: Of everything random.
    """

    run: PredictionRun
    rows: RowDataset
    config: ReportConfig
    seed: int = 0


def gather(asked: Measuring) -> dict[str, TargetReport]:
    """Measure a run on rows whose targets are known; the reports by target.

    But for the noise, encoders run at most three times per row: for the subsets of the inputs, on a sample
    for their interaction, and for the missing cells.

    Raises:
        DataError: If there is no such column, or a cell cannot be read.
    """
    run, rows = asked.run, asked.rows
    inputs = {name: config.modality for name, config in run.declaration.inputs.items()}
    groups, reason = row_groups(rows.table, inputs, asked.config.group)
    subgroup_columns(rows.table, asked.config.by, np.arange(0))  # refused before anything is measured
    with working("what each input is worth"):
        metrics = selection_metrics(run)
        trials = try_inputs(run.model, rows, metrics=metrics, precision=run.precision, seed=asked.seed)
    shared = _measure_together(asked, trials, groups)
    return {name: _target(asked, name, trial, groups, reason, shared) for name, trial in trials.items()}


def assemble(asked: Measuring, what: str, targets: dict[str, TargetReport], made_by: Provenance) -> Report:
    """The whole report, from those on its targets.

    Args:
        asked: The run and the rows.
        what: The rows, in words.
        targets: The reports by target.
        made_by: How the run was made.
    """
    declaration = asked.run.declaration
    return Report(
        made=date.today().isoformat(),
        run=asked.run.folder.name,
        what=what,
        rows=len(asked.rows),
        inputs={name: config.modality for name, config in declaration.inputs.items()},
        sample_weight=asked.rows.weight if declaration.data.sample_weight else "",
        targets=targets,
        making=made_by,
    )


def selection_metrics(run: PredictionRun) -> dict[str, str]:
    """The metric that selected the epoch, by target, where one was named."""
    named, _, kind = (run.declaration.train.metric or "").rpartition(".")
    return {name: kind for name in run.declaration.targets if named in ("", name)}


@dataclass(frozen=True)
class _Shared:
    """Figures that are measured for all targets at once; None where they were not.

    Attributes:
        emap: Interactions.
        missing: Robustness to missing cells.
        noise: Robustness to corrupted cells.
    """

    emap: InteractionFigures | None = None
    missing: MissingFigures | None = None
    noise: NoiseFigures | None = None


def _measure_together(asked: Measuring, trials: Mapping[str, Trials], groups: np.ndarray) -> _Shared:
    """Measure what is measured for all targets at once."""
    run, scores = asked.run, {name: trial.score for name, trial in trials.items()}
    given: Any = {"groups": groups, "precision": run.precision, "seed": asked.seed}
    interactions = noise = None
    if not trials:
        return _Shared()
    if len(run.declaration.inputs) > 1:
        with working("whether inputs interact"):
            interactions = emap(run.model, asked.rows, scores, **given)
    with working("missing cells"):
        missing = missing_curves(run.model, asked.rows, scores, **given)
    if most := asked.config.noise_rows:
        with working("worse cells"):
            noise = noise_curves(run.model, asked.rows, scores, most_rows=most, **given)
    return _Shared(interactions, missing, noise)


def _target(
    asked: Measuring, name: str, trial: Trials, groups: np.ndarray, reason: str, shared: _Shared
) -> TargetReport:
    """The report on one target."""
    worth = input_importance(trial, asked.rows, groups, asked.seed, grouped_by=reason)
    interactions = shared.emap.targets.get(name, {}) if shared.emap else {}
    failing = target_failures(asked, name, trial, groups)
    return replace(
        target_report(
            asked, name, trial, worth, failing, verdict(worth, interactions, failing["subgroups"] or None)
        ),
        emap=interactions,
        emap_rows=shared.emap.rows if shared.emap else 0,
        robustness=Robustness(
            missing=shared.missing.targets.get(name) if shared.missing else None,
            noise=shared.noise.targets.get(name) if shared.noise else None,
        ),
    )


def target_report(
    asked: Measuring,
    name: str,
    trial: Trials,
    worth: InputImportance | OverallScore,
    failing: dict[str, Any],
    judged: Verdict,
) -> TargetReport:
    """The report on one target, as far as its predictions go: without interactions and robustness.

    Args:
        asked: The run and the rows.
        name: Of the target.
        trial: Its predictions.
        worth: The importance of its inputs, or the score alone.
        failing: Its error analysis.
        judged: Its verdict.
    """
    head, answer = trial.head, trial.answers
    decided = {key: value.cpu() for key, value in head.decide(answer).items()}
    weight = None if trial.weights is None else torch.from_numpy(trial.weights)
    metrics = evaluate(head.task, answer, trial.targets, weight, family=head.reads(), **decided)
    return TargetReport(
        task=head.task,
        metrics=metrics,
        worth=worth,
        calibration=_calibration(trial, metrics, asked.run.declaration.targets[name]),
        failures=failing,
        verdict=judged,
    )


def target_failures(
    asked: Measuring, name: str, trial: Trials, groups: np.ndarray, *, take_apart: bool = True
) -> dict[str, Any]:
    """The error analysis of one target, with its subgroups.

    Args:
        asked: The run and the rows.
        name: Of the target.
        trial: Its predictions.
        groups: ``(rows,)`` cluster ids.
        take_apart: Whether to measure each input's contribution to the worst predictions.
    """
    return _failures(asked, name, trial, take_apart) | {"subgroups": _subgroups(asked, trial, groups) or {}}


def _calibration(
    trial: Trials, metrics: Mapping[str, float], config: TargetConfig
) -> TemperatureEffect | IntervalCoverage | None:
    """The calibration of probabilities, or the coverage of intervals."""
    logits = trial.logits if trial.has_logits else None
    rows = Answered(trial.answers, trial.targets, trial.known, trial.weights, logits=logits)
    return task_of(trial.head.task).calibration(trial.head, rows, metrics, config)


def _subgroups(asked: Measuring, trial: Trials, groups: np.ndarray) -> SubgroupFigures | None:
    """The comparison of the declared subgroups; None where there are none."""
    if not asked.config.by or asked.run.declaration.data.private:  # values that few rows may have
        return None
    columns = subgroup_columns(asked.rows.table, asked.config.by, trial.known)
    statistics = trial.of(trial.full)
    return subgroups(trial.score, statistics, groups[trial.known], columns, seed=asked.seed)


def _failures(asked: Measuring, name: str, trial: Trials, take_apart: bool) -> dict[str, Any]:
    """The error analysis, and the cells of the worst rows."""
    run, table = asked.run, asked.rows.table
    found = failures(
        run.model, asked.rows, name, trial, take_apart=take_apart, precision=run.precision, seed=asked.seed
    )
    if not run.declaration.keeps_rows:
        return _without_rows(found)
    for card in found.get("worst", ()):
        cells = table.row(card["row"])
        card["cells"] = {
            column: show_cell(cells[column], config.modality, table.root)
            for column, config in run.declaration.inputs.items()
            if column in cells and run.declaration.shows_cells
        }
    return found


def _without_rows(found: dict[str, Any]) -> dict[str, Any]:
    """The figures that show no single row."""
    kept = {key: value for key, value in found.items() if key != "worst"}
    if "residuals" in kept:
        inner = [entry for entry in kept["residuals"]["quantiles"] if 0 < entry["share"] < 1]
        kept["residuals"] = kept["residuals"] | {"points": [], "quantiles": inner}
    return kept
