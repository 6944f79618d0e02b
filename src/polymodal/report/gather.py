"""All figures of a report, as JSON has them; the page is made of these alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import torch

from polymodal import __version__
from polymodal.config import ReportConfig
from polymodal.data.collator import RowDataset
from polymodal.error_analysis.error_analysis import failures
from polymodal.error_analysis.subgroup_columns import subgroup_columns
from polymodal.error_analysis.subgroups import subgroups
from polymodal.evaluation.metrics.calibration import before_and_after
from polymodal.evaluation.metrics.metrics import evaluate
from polymodal.evaluation.statistics.clusters import row_groups
from polymodal.importance.emap import emap
from polymodal.importance.importance import Trials, input_importance, try_inputs
from polymodal.models.heads import Classifier, MultilabelClassifier, family_of
from polymodal.report.html_cells import show_cell
from polymodal.report.verdict import verdict
from polymodal.robustness import missing_curves, noise_curves
from polymodal.run import Run
from polymodal.utils.progress import working

FORMAT = 1


@dataclass(frozen=True)
class Measuring:
    """What a report measures, and how.

    Attributes:
        run: Of any kind.
        rows: With their targets.
        config: ``group``, ``by`` and ``noise_rows``.
        seed: Of whatever is drawn.
    """

    run: Run
    rows: RowDataset
    config: ReportConfig
    seed: int = 0


def gather(asked: Measuring, *, what: str) -> dict[str, Any]:
    """Measure a run on rows whose targets are known.

    For all but the noise encoders run at most three times a row: for every subset of the inputs, on a sample
    for their interaction, and for the missing cells.

    Args:
        asked: What is measured.
        what: Which rows they are, in words.

    Raises:
        DataError: If there is no such column, or a cell cannot be read.
    """
    run, rows = asked.run, asked.rows
    inputs = {name: config.modality for name, config in run.declaration.inputs.items()}
    groups, reason = row_groups(rows.table, inputs, asked.config.group)
    subgroup_columns(rows.table, asked.config.by, np.arange(0))  # refused before anything is measured
    with working("what each input is worth"):
        metrics = judged_by(run)
        trials = try_inputs(run.model, rows, metrics=metrics, precision=run.precision, seed=asked.seed)
    shared = _shared(asked, trials, groups)
    figures = frame(asked, what)
    for name, trial in trials.items():
        figures["targets"][name] = _target(asked, name, trial, groups, reason, shared)
    return figures


def frame(asked: Measuring, what: str) -> dict[str, Any]:
    """What a report says before its targets, which are to be filled in."""
    declared = asked.run.declaration.inputs
    return {
        "format": FORMAT,
        "polymodal": __version__,
        "made": date.today().isoformat(),
        "run": asked.run.folder.name,
        "what": what,
        "rows": len(asked.rows),
        "inputs": {name: config.modality for name, config in declared.items()},
        **({"sample_weight": asked.rows.weight} if asked.run.declaration.data.sample_weight else {}),
        "targets": {},
    }


def judged_by(run: Run) -> dict[str, str]:
    """The metric that each target's training was judged by, where one was named."""
    named, _, kind = (run.declaration.train.metric or "").rpartition(".")
    return {name: kind for name in run.declaration.targets if named in ("", name)}


def _shared(asked: Measuring, trials: Mapping[str, Trials], groups: np.ndarray) -> dict[str, dict[str, Any]]:
    """Figures that are measured for all targets at once: ``emap``, ``missing`` and ``noise``."""
    run, scores = asked.run, {name: trial.score for name, trial in trials.items()}
    given: Any = {"groups": groups, "precision": run.precision, "seed": asked.seed}
    found: dict[str, dict[str, Any]] = {"emap": {}, "missing": {}, "noise": {}}
    if not trials:
        return found
    if len(run.declaration.inputs) > 1:
        with working("whether inputs interact"):
            found["emap"] = emap(run.model, asked.rows, scores, **given)
    with working("missing cells"):
        found["missing"] = missing_curves(run.model, asked.rows, scores, **given)
    if most := asked.config.noise_rows:
        with working("worse cells"):
            found["noise"] = noise_curves(run.model, asked.rows, scores, most_rows=most, **given)
    return found


def _target(
    asked: Measuring,
    name: str,
    trial: Trials,
    groups: np.ndarray,
    reason: str,
    shared: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """One target's sections."""
    worth = input_importance(trial, asked.rows, groups, asked.seed, grouped_by=reason)
    own = {key: found.get("targets", {}).get(name, {}) for key, found in shared.items()}
    figures = target_figures(asked, name, trial, groups, worth)
    said = verdict(worth, own["emap"], figures["failures"]["subgroups"])
    robustness = {"missing": own["missing"], "noise": own["noise"]}
    emap_rows = shared["emap"].get("rows", 0)
    return figures | {"emap": own["emap"], "emap_rows": emap_rows, "robustness": robustness, "verdict": said}


def target_figures(
    asked: Measuring,
    name: str,
    trial: Trials,
    groups: np.ndarray,
    worth: Mapping[str, Any],
    said: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The sections of one target that its answers alone are enough for, and room for the others.

    Args:
        asked: What is measured.
        name: Of the target.
        trial: Its answers.
        groups: ``(rows,)`` what each row belongs to.
        worth: What its inputs are worth, or as much as is known.
        said: The verdict, where media are gone: then no row is taken apart.
    """
    head, answer = trial.head, trial.answers
    decided = {key: value.cpu() for key, value in head.decide(answer).items()}
    weight = None if trial.weights is None else torch.from_numpy(trial.weights)
    metrics = evaluate(head.task, answer, trial.targets, weight, family=family_of(head), **decided)
    failing = _failures(asked, name, trial, take_apart=said is None)
    return {
        "task": head.task,
        "metrics": metrics,
        "worth": worth,
        "emap": {},
        "emap_rows": 0,
        "retrained": {},
        "robustness": {"missing": {}, "noise": {}},
        "calibration": _calibration(trial, metrics, asked.run.declaration.targets[name].interval),
        "failures": failing | {"subgroups": _subgroups(asked, trial, groups)},
        "verdict": said,
    }


def _calibration(trial: Trials, metrics: Mapping[str, float], promised: float | None) -> dict[str, Any]:
    """Whether probabilities are right as often as they say, or intervals hold what they promise."""
    head = trial.head
    if isinstance(head, (Classifier, MultilabelClassifier)):
        weight = None if trial.weights is None else torch.from_numpy(trial.weights)
        return before_and_after(head, trial.logits, trial.targets, weight)
    if "coverage" not in metrics:
        return {}
    return {key: metrics[key] for key in ("coverage", "interval_width")} | {"promised": promised}


def _subgroups(asked: Measuring, trial: Trials, groups: np.ndarray) -> dict[str, Any]:
    """The values of the columns that were asked for, compared; nothing where none was."""
    if not asked.config.by or asked.run.declaration.data.private:  # values that few rows may have
        return {}
    columns = subgroup_columns(asked.rows.table, asked.config.by, trial.known)
    statistics = trial.of(trial.full)
    return subgroups(trial.score, statistics, groups[trial.known], columns, seed=asked.seed)


def _failures(asked: Measuring, name: str, trial: Trials, take_apart: bool) -> dict[str, Any]:
    """Where it fails, and of the worst rows what they hold."""
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
    """The figures that no single row stands behind."""
    kept = {key: value for key, value in found.items() if key != "worst"}
    if "residuals" in kept:
        inner = [entry for entry in kept["residuals"]["quantiles"] if 0 < entry["share"] < 1]
        kept["residuals"] = kept["residuals"] | {"points": [], "quantiles": inner}
    return kept
