"""Comparison of runs on their common test rows: scores, paired tests and cost; ``compare.html``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from polymodal.candidates.checks import NEURAL
from polymodal.comparison.alignment import Rows, pick, same_rows
from polymodal.comparison.comparison_figures import ComparedRun, ComparedTarget, ComparisonFigures
from polymodal.comparison.comparison_text import cheapest, sentences
from polymodal.comparison.loaded_runs import TestedRun, read_all
from polymodal.comparison.ranking import classes_of, merged_order, rank, score_for, statistics
from polymodal.errors import RunError
from polymodal.evaluation.number_text import listed
from polymodal.tasks import task_of
from polymodal.utils.atomic import write_text, writing
from polymodal.utils.version import __version__

PAGE, FIGURES = "compare.html", "compare.json"
FORMAT = 1


@dataclass(frozen=True)
class Comparison:
    """The result of :func:`compare`.

    Attributes:
        figures: Everything, as ``compare.json`` has it.
    """

    figures: ComparisonFigures

    @property
    def frame(self) -> pd.DataFrame:
        """The leaderboards: one row per target and run, the best first."""
        return pd.DataFrame(
            {
                "target": name,
                "run": entry.run,
                "metric": target.score,
                "score": entry.score.value,
                "low": entry.score.low,
                "high": entry.score.high,
                "behind": entry.behind.value,
                "as_good_as_best": entry.as_good,
                **self.figures.runs[entry.run].cost,
            }
            for name, target in self.figures.targets.items()
            for entry in target.runs
        )

    @property
    def pairs(self) -> pd.DataFrame:
        """Every pair of runs of every target, the better one first."""
        return pd.DataFrame(
            {
                "target": name,
                "better": pair.better,
                "worse": pair.worse,
                "difference": pair.difference.value,
                "low": pair.difference.low,
                "high": pair.difference.high,
                **{key: pair[key] for key in ("certainty", "p", "corrected", "beats")},
            }
            for name, target in self.figures.targets.items()
            for pair in target.pairs
        )

    def write(self, folder: str | Path) -> Path:
        """Write ``compare.json`` and ``compare.html``, which needs nothing but itself; gives the page.

        Raises:
            RunError: If they cannot be written.
        """
        from polymodal.comparison.comparison_page import comparison_page

        folder = Path(folder)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(self.figures, indent=2, ensure_ascii=False, allow_nan=False)
            write_text(folder / FIGURES, text + "\n")
            footer = f"Written by Polymodal {__version__}. All figures: {FIGURES}."
            write_text(folder / PAGE, comparison_page(self.figures, footer))
        return folder / PAGE


def compare(
    runs: Sequence[str | Path],
    *,
    output: str | Path | None = None,
    group: str | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare runs on the test rows that they have in common, from their folders alone.

    No model is loaded and no medium is opened: predictions and ground truth are read from
    ``predictions.parquet``. Rows that a run skipped (``data.on_error: skip``) or did not predict are skipped
    for all runs, and counted; a run without any prediction of a target is ranked last, unscored.

    Args:
        runs: Two or more run folders.
        output: A folder for ``compare.html`` and ``compare.json``; without it nothing is written.
        group: A column of the table whose equal values form a cluster; by default what a run declares, or
            rows that share an image, recording, clip or sequence.
        seed: Of the resamples.

    Returns:
        The figures; ``.frame`` has them as a DataFrame.

    Raises:
        RunError: If a folder holds no run with test rows, is named twice, or the runs were tested on
            different rows or have no target in common; or if the files cannot be written.
        DataError: If ``group`` is given and the table cannot be read or has no such column.
    """
    tested = read_all(runs)
    targets, notes = _shared(tested)
    rows = same_rows(tested, targets, group)
    figures = ComparisonFigures(
        format=FORMAT,
        polymodal=__version__,
        made=date.today().isoformat(),
        rows=len(rows.numbers),
        notes=[*notes, *rows.notes],
        runs={run.name: _described(run) for run in tested},
        targets={name: _target(tested, name, rows, seed) for name in targets},
    )
    comparison = Comparison(figures)
    if output is not None:
        comparison.write(output)
    return comparison


def default_output(runs: Sequence[str | Path]) -> Path:
    """The folder that all of ``runs`` lie in, or where there is none, the current one."""
    above = {Path(run).resolve().parent for run in runs}
    return Path(runs[0]).parent if len(above) == 1 else Path()


def _described(run: TestedRun) -> ComparedRun:
    declaration = run.declaration
    fuses = NEURAL in (declaration.train.candidates or (NEURAL,)) and len(declaration.inputs) > 1
    return ComparedRun(
        folder=str(run.folder),
        fusion=declaration.fusion.name if fuses else None,
        inputs=list(declaration.inputs),
        cost=run.cost,
    )


def _shared(runs: Sequence[TestedRun]) -> tuple[list[str], list[str]]:
    """The targets that all runs learned as the same task, in one order of classes; notes on the others.

    Raises:
        RunError: If there is none.
    """
    every = list(dict.fromkeys(name for run in runs for name in run.declaration.targets))
    shared = [name for name in every if len({run.families.get(name) for run in runs}) == 1]
    shared = [name for name in shared if name in runs[0].families]
    if not shared:
        learnt = "; ".join(f"{run.name}: {', '.join(run.declaration.targets)}" for run in runs)
        fix = "Compare runs that learnt the same column as the same task"
        raise RunError(f"no target that all runs have in common can be compared ({learnt}). {fix}")
    left = [name for name in every if name not in shared]
    note = (
        f"{listed(left)} left out: not a target of every run, or not learnt as the same task" if left else ""
    )
    unranked = [name for name in shared if _has_no_order(runs, name)]
    reason = "its runs do not agree on one order of the classes"
    if unranked and unranked == shared:
        orders = "; ".join(f"{run.name}: {', '.join(run.classes[unranked[0]])}" for run in runs)
        fix = "Fit them with the same 'classes'"
        raise RunError(f"'{unranked[0]}' cannot be compared: {reason} ({orders}). {fix}")
    notes = [note] if note else []
    notes += [f"{listed([name])} left out: {reason}" for name in unranked]
    return [name for name in shared if name not in unranked], notes


def _has_no_order(runs: Sequence[TestedRun], name: str) -> bool:
    """Whether the classes of an ordinal target cannot be ranked in a way that all runs agree with."""
    is_ordered = task_of(runs[0].families[name]).ordered
    return is_ordered and merged_order([run.classes[name] for run in runs]) is None


def _target(runs: Sequence[TestedRun], name: str, rows: Rows, seed: int) -> ComparedTarget:
    """The comparison on one target.

    Raises:
        RunError: If no row has both a ground truth and a prediction of every run that predicts any.
    """
    family = runs[0].families[name]
    truth = pick(runs[0], rows.numbers, runs[0].truth[name])
    predicted = {run.name: pick(run, rows.numbers, run.predicted[name]) for run in runs}
    known = np.array([cell is not None for cell in truth], dtype=bool)
    if rows.weights is not None:
        known &= rows.weights > 0
    answered = {
        run: np.array([cell is not None for cell in cells]) & known for run, cells in predicted.items()
    }
    answering = [mask for mask in answered.values() if mask.any()]
    kept = np.flatnonzero(np.logical_and.reduce([known, *answering]))
    if not answering or not len(kept):
        raise RunError(f"no test row has a true '{name}' and an answer of every run. Fit again")
    classes = classes_of(family, [truth, *predicted.values()], [run.classes[name] for run in runs])
    metrics = {_metric(run, name) for run in runs}
    score = score_for(family, metrics.pop() if len(metrics) == 1 else None, classes)
    true = [truth[index] for index in kept]
    added = {
        run: statistics(score, family, classes, true, [cells[index] for index in kept])
        for run, cells in predicted.items()
        if answered[run].any()
    }
    if rows.weights is not None:
        added = {run: sums * rows.weights[kept, None] for run, sums in added.items()}
    nothing = np.full_like(next(iter(added.values())), np.nan)
    every = {run: added.get(run, nothing) for run in predicted}
    ranked, pairs = rank(score, every, rows.groups[kept], seed=seed)
    costs = {run.name: run.cost for run in runs}
    result = ComparedTarget(
        task=family,
        score=score.name,
        rows=len(kept),
        groups=len(np.unique(rows.groups[kept])),
        grouped_by=rows.grouped_by,
        unanswered=int(known.sum() - len(kept)),
        runs=ranked,
        pairs=pairs,
        cheapest=cheapest(ranked, costs),
    )
    return replace(result, sentences=sentences(result, costs))


def _metric(run: TestedRun, target: str) -> str | None:
    """The metric that picked the run's epoch, if it is one of this target."""
    named, _, metric = (run.declaration.train.metric or "").rpartition(".")
    return metric or None if named in ("", target) else None
