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
from polymodal.training.portfolio_results import Portfolio
from polymodal.utils.progress import working


@dataclass(frozen=True)
class Measuring:
    """The run and the rows of a report.

    Attributes:
        run: A prediction run.
        rows: With their targets.
        config: ``group``, ``by`` and ``noise_rows``.
        seed: Of all random draws.
    """

    run: PredictionRun
    rows: RowDataset
    config: ReportConfig
    seed: int = 0


def gather(request: Measuring) -> dict[str, TargetReport]:
    """Measure a run on rows whose targets are known; the reports by target.

    Encoders run at most three times per row: for the subsets of the inputs, on a sample for their
    interaction, and for the missing cells. Corrupted cells are encoded in addition.

    Raises:
        DataError: If there is no such column, or a cell cannot be read.
    """
    run, rows = request.run, request.rows
    inputs = {name: config.modality for name, config in run.declaration.inputs.items()}
    groups, reason = row_groups(rows.table, inputs, request.config.group)
    subgroup_columns(rows.table, request.config.by, np.arange(0))  # refused before anything is measured
    with working("what each input is worth"):
        metrics = selection_metrics(run)
        trials = try_inputs(run.model, rows, metrics=metrics, precision=run.precision, seed=request.seed)
    shared = _measure_together(request, trials, groups)
    return {name: _target(request, name, trial, groups, reason, shared) for name, trial in trials.items()}


def assemble(
    request: Measuring,
    what: str,
    targets: dict[str, TargetReport],
    made_by: Provenance,
    candidates: Portfolio | None = None,
) -> Report:
    """The whole report, from the reports on its targets.

    Args:
        request: The run and the rows.
        what: The rows, in words.
        targets: The reports by target.
        made_by: How the run was made.
        candidates: The models that were tried, if several were.
    """
    declaration = request.run.declaration
    return Report(
        made=date.today().isoformat(),
        run=request.run.folder.name,
        what=what,
        rows=len(request.rows),
        inputs={name: config.modality for name, config in declaration.inputs.items()},
        sample_weight=request.rows.weight if declaration.data.sample_weight else "",
        candidates=candidates,
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


def _measure_together(request: Measuring, trials: Mapping[str, Trials], groups: np.ndarray) -> _Shared:
    """Interactions and robustness, each measured for all targets at once."""
    run, scores = request.run, {name: trial.score for name, trial in trials.items()}
    settings: Any = {"groups": groups, "precision": run.precision, "seed": request.seed}
    interactions = noise = None
    if not trials:
        return _Shared()
    if len(run.declaration.inputs) > 1:
        with working("whether inputs interact"):
            interactions = emap(run.model, request.rows, scores, **settings)
    with working("missing cells"):
        missing = missing_curves(run.model, request.rows, scores, **settings)
    if most := request.config.noise_rows:
        with working("worse cells"):
            noise = noise_curves(run.model, request.rows, scores, most_rows=most, **settings)
    return _Shared(interactions, missing, noise)


def _target(
    request: Measuring, name: str, trial: Trials, groups: np.ndarray, reason: str, shared: _Shared
) -> TargetReport:
    """The report on one target."""
    worth = input_importance(trial, request.rows, groups, request.seed, grouped_by=reason)
    interactions = shared.emap.targets.get(name, {}) if shared.emap else {}
    failing = target_failures(request, name, trial, groups)
    return replace(
        target_report(
            request, name, trial, worth, failing, verdict(worth, interactions, failing["subgroups"] or None)
        ),
        emap=interactions,
        emap_rows=shared.emap.rows if shared.emap else 0,
        robustness=Robustness(
            missing=shared.missing.targets.get(name) if shared.missing else None,
            noise=shared.noise.targets.get(name) if shared.noise else None,
        ),
    )


def target_report(
    request: Measuring,
    name: str,
    trial: Trials,
    worth: InputImportance | OverallScore,
    failing: dict[str, Any],
    judged: Verdict,
) -> TargetReport:
    """The report on one target from its predictions alone: without interactions and robustness.

    Args:
        request: The run and the rows.
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
    rows = Answered(answer, trial.targets, trial.known, trial.weights)
    numbers = np.asarray(request.rows.numbers) if request.run.declaration.keeps_rows else None
    leading = task_of(head.task).headline(name, metrics, rows, numbers)
    return TargetReport(
        task=head.task,
        metrics=metrics,
        worth=worth,
        calibration=_calibration(trial, metrics, request.run.declaration.targets[name]),
        failures=failing,
        verdict=replace(judged, sentences=[*leading, *judged.sentences]),
    )


def target_failures(
    request: Measuring, name: str, trial: Trials, groups: np.ndarray, *, take_apart: bool = True
) -> dict[str, Any]:
    """The error analysis of one target, with its subgroups.

    Args:
        request: The run and the rows.
        name: Of the target.
        trial: Its predictions.
        groups: ``(rows,)`` cluster ids.
        take_apart: Whether to measure each input's contribution to the worst predictions.
    """
    return _failures(request, name, trial, take_apart) | {
        "subgroups": _subgroups(request, trial, groups) or {}
    }


def _calibration(
    trial: Trials, metrics: Mapping[str, float], config: TargetConfig
) -> TemperatureEffect | IntervalCoverage | None:
    """The calibration of probabilities, or the coverage of intervals."""
    logits = trial.logits if trial.has_logits else None
    rows = Answered(trial.answers, trial.targets, trial.known, trial.weights, logits=logits)
    return task_of(trial.head.task).calibration(trial.head, rows, metrics, config)


def _subgroups(request: Measuring, trial: Trials, groups: np.ndarray) -> SubgroupFigures | None:
    """The comparison of the declared subgroups; None where there are none."""
    if not request.config.by or request.run.declaration.data.private:  # values that few rows may have
        return None
    columns = subgroup_columns(request.rows.table, request.config.by, trial.known)
    statistics = trial.of(trial.full)
    return subgroups(trial.score, statistics, groups[trial.known], columns, seed=request.seed)


def _failures(request: Measuring, name: str, trial: Trials, take_apart: bool) -> dict[str, Any]:
    """The error analysis, and the cells of the worst rows."""
    run, table = request.run, request.rows.table
    result = failures(
        run.model,
        request.rows,
        name,
        trial,
        take_apart=take_apart,
        precision=run.precision,
        seed=request.seed,
    )
    if not run.declaration.keeps_rows:
        return _without_rows(result)
    for card in result.get("worst", ()):
        cells = table.row(card["row"])
        card["cells"] = {
            column: show_cell(cells[column], config.modality, table.root)
            for column, config in run.declaration.inputs.items()
            if column in cells and run.declaration.shows_cells
        }
    return result


def _without_rows(found: dict[str, Any]) -> dict[str, Any]:
    """The figures that show no single row."""
    kept = {key: value for key, value in found.items() if key != "worst"}
    if "residuals" in kept:
        inner = [entry for entry in kept["residuals"]["quantiles"] if 0 < entry["share"] < 1]
        kept["residuals"] = kept["residuals"] | {"points": [], "quantiles": inner, "dominant": None}
    return kept
