"""The report of a run, measured and written: ``report.json`` and ``report.html`` in its folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from polymodal.artifact.capabilities import Capability
from polymodal.data.checks.rejected import SKIP
from polymodal.data.row_dataset import RowDataset
from polymodal.data.tables.table import Table, read_table
from polymodal.errors import ConfigError, DataError, Problem, RunError, did_you_mean, worded
from polymodal.report.cached import gather_kept, lost_media
from polymodal.report.gather import assemble, gather
from polymodal.report.measuring import Amount, Measuring
from polymodal.report.provenance import provenance
from polymodal.report.report_figures import Report
from polymodal.report.report_page import render
from polymodal.runs.core import AnyRun
from polymodal.runs.fitted_rows import described_rows
from polymodal.runs.prediction_run import PredictionRun
from polymodal.training.declaration.source import (
    read_declared_table,
    require_own_tables,
    resolve,
    same_table,
)
from polymodal.training.declaration.splitting import split_and_skip, without_rare_values
from polymodal.training.output_folder import read_results
from polymodal.training.recorded_metrics import FitResults, PredictionResults
from polymodal.utils.atomic import require_folder, write_text, writing
from polymodal.utils.records import JsonObject
from polymodal.utils.version import __version__

PAGE, FIGURES = "report.html", "report.json"
TEST = "test rows"
Retrain = Callable[[Report, PredictionRun, RowDataset, Path], Report]
"""Adds the scores of fits to a report: of a run, its rows and the folder of the report."""
VALIDATION = "validation rows (there is no test split, and these picked the best epoch: figures flatter)"


def report(
    run: PredictionRun | str | Path,
    source: Any = None,
    *,
    data: Any = None,
    group: str | None = None,
    by: Sequence[str] = (),
    amount: Amount | None = None,
    noise_rows: int | None = None,
    retrain: Retrain | None = None,
    output: str | Path | None = None,
    seed: int = 0,
) -> Path:
    """Measure a run, by default on its own test rows, and write the report.

    Args:
        run: A run, or its folder.
        source: A table with the targets; by default the run's test rows, or where it has none those of
            validation.
        data: The table that the run was fitted to, if it was in memory, or its file was moved.
        group: A column whose equal values are resampled together; by default rows that share a file.
        by: Columns whose values are compared, whether the model reads them or not; by default those declared.
        amount: ``short`` leaves out corrupted cells and the interaction of inputs; by default what is
            declared, else ``full`` where it takes at most some ten seconds.
        noise_rows: The number of rows whose cells are corrupted; by default as declared.
        retrain: Retrains with subsets of the inputs into ``retrained/`` in ``output``, and adds the scores
            (see :func:`polymodal.pipelines.ablation.retrained_figures`); by default nothing is retrained.
        output: A folder for ``report.html`` and ``report.json``; the run's own by default.
        seed: Of all random draws.

    Returns:
        The page.

    Raises:
        PolymodalError: If run or table cannot be read, a target's column is missing, or no row has an answer.
    """
    opened = run if isinstance(run, PredictionRun) else PredictionRun.load(run)
    opened.require(Capability.report)
    refuse_both(source, data)
    rows, what = own_rows(opened, data) if source is None else _given_rows(opened, read_table(source))
    declared = opened.declaration.report
    given = {"group": group, "by": list(by), "noise_rows": noise_rows, "amount": amount}
    config = declared.model_copy(
        update={name: value for name, value in given.items() if value not in (None, [])}
    )
    folder = Path(output) if output else opened.folder
    require_folder(folder)
    request = Measuring(opened, rows, config, seed, noise_rows=noise_rows)
    figures = measure(request, read_results(opened.folder), what=what)
    if retrain:
        figures = retrain(figures, opened, rows, folder)
    return write(figures, folder)


def measure(request: Measuring, results: FitResults, *, what: str) -> Report:
    """All figures of a report without the retrained models.

    Where files of the run's own test rows can no longer be read, the figures are those of its kept
    predictions.

    Args:
        request: The run and the rows; without a group of its own rows are clustered as they were split.
        results: Of the fit.
        what: The rows, in words.

    Raises:
        DataError: If no row has an answer.
    """
    group = request.config.group or request.run.declaration.data.group
    request = replace(request, config=request.config.model_copy(update={"group": group}))
    try:
        targets = gather(request)
    except DataError as error:
        lost = lost_media(error, request.run.declaration) if what == TEST else []
        if not lost:
            raise
        targets = gather_kept(request, lost, str(error.problems[0]))
        what = f"{what}, as the fit answered them"
    if not targets:
        reason, expected = "every target cell is empty", "rows with answers"
        raise DataError(Problem(file=request.rows.table.name, found=reason, expected=expected))
    made_by = provenance(request.run, request.rows.table, results)
    made_by = replace(made_by, notes=[*made_by.notes, *request.left_out])
    candidates = results.candidates if isinstance(results, PredictionResults) else None
    return assemble(request, what, targets, made_by, candidates)


def write(figures: Mapping[str, Any], folder: Path, *, template: str = "report.html") -> Path:
    """Write ``report.json`` and ``report.html``; returns the path of the page.

    Raises:
        RunError: If they cannot be written.
    """
    targets = ", ".join(figures["targets"])
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(without_cells(figures), indent=2, ensure_ascii=False, allow_nan=False)
        write_text(folder / FIGURES, text + "\n")
        page = render(
            template,
            report=figures,
            title=f"{targets} from {', '.join(figures['inputs'])}",
            footer=f"Run {figures['run']}, written by Polymodal {__version__}. All figures: {FIGURES}.",
        )
        write_text(folder / PAGE, page)
    return folder / PAGE


def without_cells(figures: Mapping[str, Any]) -> JsonObject:
    """The figures without the images, recordings and texts of the cards."""
    targets = {}
    for name, target in figures["targets"].items():
        failing = dict(target["failures"])
        if "worst" in failing:
            failing["worst"] = [{k: v for k, v in card.items() if k != "cells"} for card in failing["worst"]]
        targets[name] = target | {"failures": failing}
    return {**figures, "targets": targets}


def refuse_both(source: Any, data: Any) -> None:
    """Refuse rows to measure on beside the table whose test rows are to be measured on.

    Raises:
        ConfigError: If both are given.
    """
    if source is not None and data is not None:
        raise ConfigError("data= is the table of the fit, whose test rows are measured: give no other table")


def own_rows(run: PredictionRun, data: Any = None) -> tuple[RowDataset, str]:
    """The rows that the run was tested on, split again as declared; ``data`` as :func:`own_table`."""
    table, what = own_table(run, data)
    return _rows(run, table, table.places, run.declaration.data.on_error == SKIP), what


def own_table(run: AnyRun, data: Any = None) -> tuple[Table, str]:
    """The table of the rows that a run was tested on, or without any of validation; which they are, in words.

    Args:
        run: Whose rows.
        data: The table that it was fitted to; by default the file that it names, or the table in memory of
            the fit in this process.

    Raises:
        RunError: If the table is not known, or is not the one that the run was fitted to.
        DataError: If the table cannot be read.
    """
    named, given = run.declaration.data.train, run.fitted_to if data is None else data
    if given is not None:
        table = same_table(run.folder, run.declaration, read_results(run.folder), given)
    elif isinstance(named, str):
        require_own_tables(run.folder, run.declaration, read_results(run.folder))
        table = read_declared_table(resolve(named, run.folder), run.declaration.data, run.folder)
    else:
        again = worded(
            "Name a table: polymodal report RUN TABLE",
            "Give it again, run.report(data=frame), or measure on other rows, run.report(frame)",
        )
        raise RunError(f"{run.folder}: was fitted to a table in memory, not to a file. {again}")
    splits = without_rare_values(split_and_skip(table, run.declaration, run.folder)[0], run.declaration)
    return (splits["test"], TEST) if len(splits["test"]) else (splits["validation"], VALIDATION)


def _given_rows(run: PredictionRun, table: Table) -> tuple[RowDataset, str]:
    for name in run.declaration.targets:
        if name not in table.columns:
            fix = did_you_mean(name, table.columns)
            reason = f"no column '{name}' to measure against"
            raise DataError(Problem(file=table.name, found=reason, cure=fix))
    return _rows(run, table, table.places, skip=False), described_rows(run, table)


def _rows(run: PredictionRun, table: Table, numbers: np.ndarray, skip: bool) -> RowDataset:
    return RowDataset(
        table, run.processor, targets=run.declaration.targets, numbers=numbers.tolist(), skip=skip,
        weight=run.weighted_by(table),
    )  # fmt: skip
