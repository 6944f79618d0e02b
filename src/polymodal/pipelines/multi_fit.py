"""Several fits in one folder: a resumable run folder per fit, and a table of all fits.

Whoever varies something (the fusion, the fold, the seed) names its jobs, calls :func:`check_folders` before
the data are checked, and :func:`fit_several` after.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from polymodal.artifact.run_folder import BLEND
from polymodal.config import Declaration
from polymodal.errors import RunError, option
from polymodal.evaluation.number_text import metric
from polymodal.pipelines.fit import steps_of
from polymodal.pipelines.pages import is_of_page
from polymodal.pipelines.time_limits import in_its_time, require_some
from polymodal.runs.core import AnyRun, RunBase
from polymodal.training.fingerprint import remember, require_same
from polymodal.training.loop.model_selection import best_epoch
from polymodal.training.opening import AnyJob
from polymodal.training.output_folder import (
    FAILED,
    check_folder,
    clear_folder,
    finished_results,
    is_finished,
    prepare_folder,
)
from polymodal.training.portfolio_results import Portfolio
from polymodal.training.recorded_metrics import FitResults, LanguageResults, PredictionResults
from polymodal.utils.atomic import discard, write_text, writing
from polymodal.utils.lock import claimed
from polymodal.utils.overview import Overview, Overviewed
from polymodal.utils.progress import CONSOLE, Remarks, quiet_libraries
from polymodal.utils.records import JsonObject


@dataclass(frozen=True)
class Fit:
    """Results of one of several fits.

    Attributes:
        name: Of the fit and of its folder.
        selection: What picked its best epoch, the higher the better: the metric, ties broken by the loss.
        validation: The same metric as it is read, of that epoch; a loss where there are several targets.
        test: Metrics of the test rows by target.
        parameters: Of the whole model.
        seconds: Of the training.
        rows_per_second: Trained on; None without a neural model.
        epoch: The best one; None without a neural model.
    """

    name: str
    selection: float
    validation: float
    test: dict[str, dict[str, float]]
    parameters: int
    seconds: float
    rows_per_second: float | None
    epoch: float | None


@dataclass(frozen=True, repr=False)
class Fits(Overviewed):
    """Several fits in one folder.

    Attributes:
        folder: Holds a run folder a fit, and ``<varied>s.json``.
        varied: What they differ in, such as ``fusion``.
        metric: The validation metric that compares them: the one that picks the best epoch of each.
        fits: In the order in which they were made.
        warnings: What should be known of the data and of the comparison.
        notes: What was done in any of the fits that one may want to know.
        page: Where the fits are compared on their test rows; None where they are not.
        open_run: Loads the run in a folder.
    """

    folder: Path
    varied: str
    metric: str
    fits: list[Fit]
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    page: Path | None = None
    open_run: Callable[[Path], AnyRun] = field(default=RunBase.load, repr=False, compare=False)

    @property
    def best(self) -> str:
        """Name of the fit with the best validation score; test rows are not used."""
        return max(self.fits, key=lambda fit: _number(fit.selection)).name

    def load(self, name: str | None = None) -> AnyRun:
        """The run of a fit, by default of the best one."""
        return self.open_run(self.folder / (name or self.best))

    def overview(self) -> Overview:
        """A row per fit: the validation score that compares them, and each target's leading test metric."""
        leading = {name: key for fit in self.fits for name, own in fit.test.items() for key in list(own)[:1]}
        heads = (self.varied, f"{self.metric}, validation", *(f"{k}, test: {n}" for n, k in leading.items()))
        rows = []
        for fit in self.fits:
            values = [(key, fit.test.get(name, {}).get(key)) for name, key in leading.items()]
            scores = ("" if value is None else metric(key, value) for key, value in values)
            rows.append((fit.name, metric(self.metric, fit.validation), *scores))
        lines = (
            f"best on validation rows: {self.best}",
            *([f"compared in {self.page}"] if self.page else []),
        )
        return Overview(f"{len(self.fits)} fits in {self.folder}", heads, tuple(rows), lines)

    def to_json(self) -> JsonObject:
        """As plain values."""
        values: dict[str, Any] = {"run": str(self.folder), "best": self.best, "metric": self.metric}
        values[f"{self.varied}s"] = [asdict(fit) for fit in self.fits]
        values |= {"warnings": self.warnings, "notes": self.notes}
        return values | ({"page": str(self.page)} if self.page else {})


def check_folders(
    folder: Path, declarations: Mapping[str, Declaration], *, resume: bool, overwrite: bool
) -> None:
    """Refuse a folder that several runs cannot be written to; nothing is changed.

    Raises:
        RunError: If it or a folder in it holds a run already, is a file, is of other declarations that are to
            be resumed, or has nothing to resume.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file, expected a folder to write the runs to")
    if any((folder / name).exists() for name in ("model.safetensors", BLEND)) and not overwrite:
        fix = f"Give another folder with {option('output')}"
        fix += "" if resume else f", or {option('overwrite', True)}"
        raise RunError(f"{folder}: holds the run of a single fit. {fix}")
    if resume and not any((folder / name / "run.yaml").exists() for name in declarations):
        raise RunError(f"{folder}: no fit to resume. Start without {option('resume', True)}")
    for name, declaration in declarations.items():
        check_folder(folder / name, declaration, resume=resume, overwrite=overwrite)


def fit_several(
    jobs: Mapping[str, AnyJob],
    folder: Path,
    *,
    varied: str,
    resume: bool = False,
    quiet: bool = True,
    warnings: Iterable[str] = (),
) -> Fits:
    """Fit every job into a folder of its name, and write what they came to.

    Args:
        jobs: Checked jobs by name; those that share a cache decode every file once.
        folder: Gets a run folder a job, and ``<varied>s.json`` once all are done.
        varied: What the jobs differ in, in the singular.
        resume: Leave finished fits as they are, go on with those that were interrupted.
        quiet: Show no progress.
        warnings: Handed on to the result.

    Raises:
        PolymodalError: If a run cannot be written, a fit fails, or their time limit is too short.
    """
    summary, fits, lines = folder / f"{varied}s.json", [], list(warnings)
    notes: dict[str, None] = {}
    data = next(iter(jobs.values())).describe()
    if resume and not all(is_finished(folder / name) for name in jobs):
        require_same(folder, data)
    with writing(folder):
        summary.unlink(missing_ok=True)
        if not resume:
            _clear(folder, jobs)
    remarks, first = Remarks(), True
    remarks.show(lines, next(iter(jobs.values())).known_notes(), quiet=quiet)
    if not resume:
        remember(folder, data)  # fits that are finished have no checkpoints to keep it
    with quiet_libraries():
        for number, (name, job) in enumerate(jobs.items(), start=1):
            results = finished_results(folder / name) if resume else None
            if not quiet:
                done = ": done before" if results else ""
                CONSOLE.print(f"{varied} {name} ({number} of {len(jobs)}){done}", soft_wrap=True)
            if results and results.pages == FAILED:
                steps_of(job, folder / name).finish_pages()
                results = finished_results(folder / name)
            if results is None:
                fits_left = len(jobs) - number + 1
                with in_its_time(job.deadline, fits_left):
                    timed = replace(job, deadline=job.deadline.part(fits_left))
                    results = fit_one(timed, folder / name, remarks, resume=resume, quiet=quiet, first=first)
                first = False
            discard(folder / name / "checkpoints")  # a kill may have left them
            fits.append(summarize(name, results, job.metric))
            lines += [f"{name}: {line}" for line in results.warnings if is_of_page(line)]
            notes |= dict.fromkeys(results.notes)
    metric = next(iter(jobs.values())).metric
    result = Fits(folder, varied, metric, fits, lines, list(notes))
    remarks.show(notes=notes, quiet=quiet)  # of fits that were finished before
    discard(folder / "checkpoints")
    write_aside(summary, json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n")
    return result


def _clear(folder: Path, names: Iterable[str]) -> None:
    """All at once: what an earlier call left must not pass for a part of this one when it is resumed."""
    for path in (folder, *(folder / name for name in names)):
        clear_folder(path)


def fit_one(
    job: AnyJob, folder: Path, remarks: Remarks, *, resume: bool, quiet: bool, first: bool
) -> FitResults:
    """Fit a job, from its last checkpoint if it is to be resumed and has one, and give its results.

    The first of several fits prints what it will do.

    Raises:
        OutOfTime: If its time limit is too short.
    """
    require_some(job.deadline)
    with claimed(folder):
        goes_on = prepare_folder(folder, job.declaration, resume=resume)
        # A fit adds to its job, and what it adds may hold an encoder: it goes when the fit is done.
        fresh = replace(job, notes=list(job.notes))
        steps = steps_of(fresh, folder, remarks)
        steps.announces = first
        steps.complete(resume=goes_on, quiet=quiet)
        fresh.release()  # rows and processor are those of the job too
    results = finished_results(folder)
    assert results is not None
    return results


def summarize(name: str, results: FitResults, metric: str) -> Fit:
    """One fit's row of the table, from its ``metrics.json``; see :attr:`Fits.metric` for ``metric``."""
    history, trained = results.history, results.train
    if isinstance(results, PredictionResults) and results.candidates is not None:
        return _of_portfolio(name, results, results.candidates, metric)
    if isinstance(results, LanguageResults):  # its run is the end of its last stage
        last = [*results.stages][-1]
        history = [entry for entry in history if entry["stage"] == last]
    best, validation = best_epoch(history, metric)
    assert results.parameters is not None and trained.seconds is not None
    assert trained.rows_per_second is not None
    return Fit(
        name=name,
        selection=best["eval_selection"],
        validation=validation,
        test=results.test,
        parameters=results.parameters,
        seconds=trained.seconds,
        rows_per_second=trained.rows_per_second,
        epoch=best["epoch"],
    )


def _of_portfolio(name: str, results: PredictionResults, board: Portfolio, metric: str) -> Fit:
    """The row of a fit of several candidates: its blend is compared, by the loss that chose it."""
    target, _, key = metric.rpartition(".")
    blends = {n: splits["validation"].metrics for n, splits in board.blend.items() if "validation" in splits}
    values = [metrics[key] for n, metrics in blends.items() if target in ("", n) and key in metrics]
    loss = sum(board.losses.values()) if board.losses else math.nan
    assert results.parameters is not None and results.train.seconds is not None
    return Fit(
        name=name,
        selection=-loss,
        validation=sum(values) / len(values) if values else loss,
        test=results.test,
        parameters=results.parameters,
        seconds=results.train.seconds,
        rows_per_second=results.train.rows_per_second,
        epoch=results.train.epochs,
    )


def write_aside(path: Path, text: str) -> None:
    """Write a file atomically.

    Raises:
        RunError: If it cannot be written.
    """
    with writing(path):
        write_text(path, text)


def _number(value: float) -> float:
    """What is no number (a fit that diverged) is worse than any."""
    return -math.inf if math.isnan(value) else value
