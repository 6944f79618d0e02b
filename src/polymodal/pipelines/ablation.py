"""Retraining ablation: scores of models trained on subsets of the inputs.

Masking an input of a trained model measures how much that model relies on it. A model trained without the
input may get the same information from other inputs; so these scores complement those of
:mod:`polymodal.importance.importance`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from polymodal.artifact.run_folder import trained_threads
from polymodal.config import Declaration
from polymodal.config.parsing import declares
from polymodal.data.checks.rejected import SKIP
from polymodal.data.row_dataset import RowDataset
from polymodal.errors import RunError
from polymodal.importance.importance import InputImportance
from polymodal.pipelines.multi_fit import fit_several
from polymodal.report.report_figures import Agreement, Report, Retrained, RetrainedSubset
from polymodal.report.report_writing import Retrain
from polymodal.runs.prediction_run import PredictionRun
from polymodal.training.declaration.source import require_own_tables
from polymodal.training.fingerprint import has_changed
from polymodal.training.opening import open_prediction_job
from polymodal.training.output_folder import has_begun, read_results
from polymodal.training.prediction_job import PredictionJob
from polymodal.training.request import FitRequest
from polymodal.utils.expansion import literal_names
from polymodal.utils.lock import claimed

FOLDER = "retrained"
SEEDS = 3

Subset = tuple[str, ...]


def retrained_figures(seeds: int, quiet: bool = True) -> Retrain:
    """A function that adds the scores of :func:`retrain` to a report; its runs are in ``retrained/``."""

    def add(figures: Report, run: PredictionRun, rows: RowDataset, folder: Path) -> Report:
        importance = {
            name: target.worth
            for name, target in figures.targets.items()
            if isinstance(target.worth, InputImportance)
        }
        scores = retrain(run, rows, importance, folder=folder / FOLDER, seeds=seeds, quiet=quiet)
        targets = {
            name: replace(target, retrained=scores.get(name)) for name, target in figures.targets.items()
        }
        return replace(figures, targets=targets)

    return add


def retrain(
    run: PredictionRun,
    rows: RowDataset,
    worth: Mapping[str, InputImportance],
    *,
    folder: Path,
    seeds: int = SEEDS,
    quiet: bool = True,
) -> dict[str, Retrained]:
    """Retrain with every single input, every leave-one-out and all inputs, and measure on the same rows.

    Everything else is as in the run: rows, split, settings, and what the processor learns from the training
    rows. Finished fits of an earlier call are reused.

    Args:
        run: Fitted to a file, which is read again.
        rows: With targets; no row that the run was trained on.
        worth: The input importance by target, on these rows.
        folder: Gets one run folder per fit.
        seeds: Their number, counted from ``train.seed``; the split stays that of the run.
        quiet: Show no progress.

    Returns:
        Scores by target.

    Raises:
        RunError: If the run was not fitted to a file or reads one input, or the folder cannot be written.
        DataError: If the file has changed so that it cannot be trained on.
    """
    if not isinstance(run.declaration.data.train, str):
        raise RunError(f"{run.folder}: was not fitted to a file, so that nothing can be retrained")
    if len(run.declaration.inputs) < 2:
        raise RunError(f"{run.folder}: reads one input, so that there is nothing to retrain without")
    with literal_names():  # an untrusted run must not read environment variables of this machine
        return _retrain(run, rows, worth, folder=folder, seeds=seeds, quiet=quiet)


def _retrain(
    run: PredictionRun,
    rows: RowDataset,
    worth: Mapping[str, InputImportance],
    *,
    folder: Path,
    seeds: int,
    quiet: bool,
) -> dict[str, Retrained]:
    require_own_tables(run.folder, run.declaration, read_results(run.folder))
    request = FitRequest(run.folder / "run.yaml", settings=["report.write=false"])
    job = open_prediction_job(request)
    job.declaration.train.threads = job.declaration.train.threads or trained_threads(run.folder)
    varied = dict(variations(job.declaration, seeds))
    jobs = make_jobs(job, {name: declaration for name, (_, declaration) in varied.items()}, quiet)
    with claimed(folder):
        changed = has_changed(folder, next(iter(jobs.values())).describe())
        fit_several(jobs, folder, varied="subset", resume=not changed and _goes_on(folder, jobs), quiet=quiet)
    on_error = "skip" if job.declaration.data.on_error == SKIP else "refuse"
    by_subset: dict[Subset, list[dict[str, dict[str, float]]]] = {}
    for name, (subset, _) in varied.items():
        measured = PredictionRun.load(folder / name).evaluate(rows.table, on_error=on_error, quiet=True)
        by_subset.setdefault(subset, []).append(measured)
    return {name: _figures(name, own, by_subset, seeds) for name, own in worth.items()}


def subsets(inputs: Sequence[str]) -> list[Subset]:
    """All inputs, each alone, and all but each; none of them twice."""
    singles = [(name,) for name in inputs]
    fewer = [tuple(other for other in inputs if other != name) for name in inputs]
    return list(dict.fromkeys([tuple(inputs), *singles, *fewer]))


def variations(declaration: Declaration, seeds: int) -> Iterator[tuple[str, tuple[Subset, Declaration]]]:
    """Names of folders, each with its inputs and its declaration."""
    data, train = declaration.data, declaration.train
    split = train.seed if data.seed is None else data.seed
    for index, subset in enumerate(subsets(list(declaration.inputs))):
        words = re.sub(r"[^\w.-]+", "_", "+".join(subset))[:60]
        for seed in range(train.seed, train.seed + seeds):
            changed = {
                "inputs": {name: declaration.inputs[name] for name in subset},
                "data": data.model_copy(update={"seed": split}),
                "train": train.model_copy(update={"seed": seed}),
            }
            yield f"{index}_{words}_seed{seed}", (subset, declaration.model_copy(update=changed))


def make_jobs(
    first: PredictionJob, varied: Mapping[str, Declaration], quiet: bool
) -> dict[str, PredictionJob]:
    """A job a fit; the files are read and checked once for all of them.

    Raises:
        DataError: If the rows cannot be trained on.
    """
    first.require_sound(quiet)
    jobs, processors = {}, {}
    for name, declaration in varied.items():
        job = first.varied(declaration)
        subset = tuple(declaration.inputs)
        if subset not in processors:
            processors[subset] = job.prepared()
        job.processor, job.report = processors[subset], None
        jobs[name] = job
    return jobs


def _goes_on(folder: Path, jobs: Mapping[str, PredictionJob]) -> bool:
    """Whether the fits in ``folder`` are of these declarations, so that they can be resumed."""
    begun = {name: folder / name / "run.yaml" for name in jobs if has_begun(folder / name)}
    return bool(begun) and all(
        path.exists() and declares(path.read_text(encoding="utf-8"), jobs[name].declaration)
        for name, path in begun.items()
    )


def _figures(
    target: str,
    worth: InputImportance,
    by_subset: Mapping[Subset, Sequence[Mapping[str, Mapping[str, float]]]],
    seeds: int,
) -> Retrained:
    """The scores for one target."""
    score = worth.score
    masked = {tuple(entry.inputs): entry.estimate for entry in worth.subsets}
    entries = []
    for subset, measured in by_subset.items():
        values = [fit[target][score] for fit in measured if score in fit.get(target, {})]
        entries.append(
            RetrainedSubset(
                inputs=list(subset),
                by_seed=values,
                mean=float(np.mean(values)) if values else None,
                deviation=float(np.std(values, ddof=1)) if len(values) > 1 else None,
                masked=masked[subset],
            )
        )
    return Retrained(score=score, seeds=seeds, subsets=entries, agreement=agreement(entries))


def agreement(entries: Sequence[RetrainedSubset]) -> Agreement:
    """Whether removing inputs and training without them rank the subsets alike, all but the whole."""
    proper = [entry for entry in entries if len(entry.inputs) < max(len(e.inputs) for e in entries)]
    pairs = [(entry.mean, entry.masked.value) for entry in proper]
    if any(value is None for pair in pairs for value in pair):
        return Agreement(same=None, tau=None)
    means, masked = (np.array(values) for values in zip(*pairs, strict=True))
    tau = float(kendalltau(means, masked).statistic)
    same = bool(np.array_equal(np.argsort(means, kind="stable"), np.argsort(masked, kind="stable")))
    return Agreement(same=same, tau=None if np.isnan(tau) else tau)
