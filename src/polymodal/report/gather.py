"""All figures of a report, from which the page is rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import torch

from polymodal.config import TargetConfig
from polymodal.error_analysis.error_analysis import failures
from polymodal.error_analysis.subgroups import SubgroupFigures, subgroups
from polymodal.errors import worded
from polymodal.evaluation.metrics.calibration import IntervalCoverage, TemperatureEffect
from polymodal.evaluation.metrics.metrics import evaluate
from polymodal.evaluation.statistics.clusters import row_groups
from polymodal.evaluation.statistics.subgroup_columns import subgroup_columns
from polymodal.importance.emap import MOST_ROWS, InteractionFigures, emap, rows_of_pairs
from polymodal.importance.importance import (
    InputImportance,
    OverallScore,
    Trials,
    input_importance,
    try_inputs,
)
from polymodal.importance.shapley import make_game
from polymodal.importance.subsets import TIMED_BATCH
from polymodal.report.html_cells import show_cell
from polymodal.report.measuring import (
    FEWEST_OF_EMAP,
    Amount,
    Measuring,
    chosen_amount,
    emap_rows,
    in_full,
    measured_rows,
    most_noise_rows,
    selection_metrics,
)
from polymodal.report.provenance import Provenance
from polymodal.report.report_figures import Report, Robustness, TargetReport
from polymodal.report.verdict import Verdict, verdict
from polymodal.robustness.missing_cells import MissingFigures, missing_curves
from polymodal.robustness.noise import NoiseFigures, noise_curves
from polymodal.tasks import Answered, task_of
from polymodal.training.portfolio_results import Portfolio
from polymodal.utils.deadline import Deadline

PARTS = 4
"""Parts of a report that share its time: input importance, missing cells, interactions, noise."""
PAGE_SECONDS = 5.0
"""Plots and the page, about."""
NOISE = 10.0
"""Seconds of noise a row in those of input importance: every level is read and encoded again."""


def gather(request: Measuring) -> dict[str, TargetReport]:
    """Measure a run on rows whose targets are known; the reports by target.

    Encoders run once per row, as far as memory allows to keep the rows; corrupted cells are encoded in
    addition.

    Raises:
        DataError: If there is no such column, or a cell cannot be read.
    """
    run, rows = request.run, request.rows
    inputs = {name: config.modality for name, config in run.declaration.inputs.items()}
    groups, reason = row_groups(rows.table, inputs, request.config.group)
    subgroup_columns(rows.table, request.config.by, np.arange(0))  # refused before anything is measured
    amount = chosen_amount(request)
    begun, deadline = request.deadline.clock(), request.deadline.before(PAGE_SECONDS)
    trials = try_inputs(
        run.model, rows, metrics=selection_metrics(run), precision=run.precision, seed=request.seed,
        deadline=deadline.share(PARTS), kept=request.kept, most_rows=measured_rows(amount),
        shown="report: what each input adds",
    )  # fmt: skip
    shared = _measure_together(request, trials, groups, deadline, deadline.clock() - begun, amount)
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
        left_out=list(request.left_out),
        targets=targets,
        making=made_by,
    )


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


def _measure_together(
    request: Measuring,
    trials: Mapping[str, Trials],
    groups: np.ndarray,
    deadline: Deadline,
    spent: float,
    amount: Amount,
) -> _Shared:
    """Interactions and robustness, each measured for all targets at once.

    Args:
        request: The run and the rows.
        trials: By target.
        groups: ``(rows,)`` cluster ids.
        deadline: Of all of it; what comes too late is left out, noise first.
        spent: Seconds that ``trials`` took.
        amount: A short report has missing cells alone.
    """
    run, scores = request.run, {name: trial.score for name, trial in trials.items()}
    settings: Any = {
        "groups": groups, "precision": run.precision, "seed": request.seed, "kept": request.kept,
    }  # fmt: skip
    interactions = missing = noise = None
    if not trials:
        return _Shared()
    rows = _tried_rows(request, trials)
    batch = spent / rows * min(rows, TIMED_BATCH)  # seconds; the first one is never interrupted
    if _in_time(request, deadline, "robustness to missing cells", batch):
        missing = missing_curves(
            run.model, request.rows, scores, deadline=deadline.share(PARTS - 1),
            most_rows=measured_rows(amount), shown="report: missing cells", **settings,
        )  # fmt: skip
    if amount == "full" and len(run.declaration.inputs) > 1:
        most = _emap_rows(request, deadline.share(PARTS - 2), spent / rows)
        if most >= min(len(request.rows), FEWEST_OF_EMAP):
            settings["shown"] = "report: whether inputs interact"
            interactions = emap(run.model, request.rows, scores, most_rows=most, **settings)
        else:
            request.left_out.append(_line("the interaction of inputs"))
    most = most_noise_rows(request) if amount == "full" else 0
    if most and _in_time(request, deadline, "robustness to noise", NOISE * batch):
        settings["shown"] = "report: corrupted cells"
        noise = noise_curves(run.model, request.rows, scores, most_rows=most, deadline=deadline, **settings)
    _note_samples(request, missing, noise)
    return _Shared(interactions, missing, noise)


def _tried_rows(request: Measuring, trials: Mapping[str, Trials]) -> int:
    """The rows of the trials; a line where these are not all."""
    rows, every = max(len(trial.known) for trial in trials.values()), len(request.rows)
    read = max(trial.read for trial in trials.values())
    if request.deadline.is_set and read < every:
        request.left_out.append(
            f"the report's figures are those of a random {rows} of {every} rows, for time"
        )
    elif read < every:
        measured = f"those of a random {read:,} of {every:,} rows"
        request.left_out.append(f"the report's figures are {measured} ({in_full()} measures all)")
    return rows


def _in_time(request: Measuring, deadline: Deadline, what: str, seconds: float) -> bool:
    """Whether a part of the report can be begun; a line where it cannot."""
    if seconds <= deadline.left:
        return True
    request.left_out.append(_line(what))
    return False


def _line(what: str) -> str:
    again = worded("polymodal report RUN", "run.report()")
    return f"the report leaves out {what}, for time ({again} measures it)"


def _emap_rows(request: Measuring, deadline: Deadline, row_seconds: float) -> int:
    """The size of the sample whose pairs of rows can be predicted in time."""
    inputs = list(request.run.declaration.inputs)
    if not deadline.is_set:
        return emap_rows(request)
    game = make_game(inputs, request.seed)
    pair_seconds = row_seconds / (len(game.subsets) + len(game.players))
    return min(MOST_ROWS, rows_of_pairs(len(inputs), max(0.0, deadline.left) / pair_seconds))


def _note_samples(request: Measuring, missing: MissingFigures | None, noise: NoiseFigures | None) -> None:
    """A line for each curve that the time allowed for a part of the rows only."""
    if not request.deadline.is_set:
        return
    rows = len(request.rows)
    wanted = min(rows, most_noise_rows(request))
    for what, figures, every in (("missing cells", missing, rows), ("noise", noise, wanted)):
        if figures is not None and figures.rows < every:
            request.left_out.append(f"robustness to {what} is that of {figures.rows} rows, for time")


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
    unit = request.run.declaration.targets[name].shown_unit
    rows = Answered(answer, trial.targets, trial.known, trial.weights, unit=unit)
    numbers = np.asarray(request.rows.numbers) if request.run.declaration.keeps_rows else None
    leading = task_of(head.task).headline(name, metrics, rows, numbers)
    return TargetReport(
        task=head.task,
        metrics=metrics,
        worth=worth,
        calibration=_calibration(trial, metrics, request.run.declaration.targets[name]),
        failures=failing,
        verdict=replace(judged, sentences=[*leading, *judged.sentences]),
        unit=unit,
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
        kept=request.kept,
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
