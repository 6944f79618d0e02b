"""A report without its media, from the predictions that the fit kept in ``predictions.parquet``."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from polymodal.config import Declaration
from polymodal.data.readers.base import is_media
from polymodal.errors import DataError, RunError
from polymodal.evaluation.arrays import as_array
from polymodal.evaluation.statistics.bootstrap import Bootstrap, estimate
from polymodal.evaluation.statistics.clusters import row_groups
from polymodal.importance.importance import OverallScore, Trials
from polymodal.report.gather import target_failures, target_report
from polymodal.report.measuring import Measuring, selection_metrics
from polymodal.report.report_figures import TargetReport
from polymodal.report.verdict import Verdict, how_good
from polymodal.tasks import score_of, task_of

ANSWERS = "predictions.parquet"
ALL = "all"
"""The only trial: the predictions from all inputs."""


def lost_media(error: DataError, declaration: Declaration) -> list[str]:
    """The inputs whose files cannot be read, if nothing else is wrong; else none."""
    columns = {problem.column for problem in error.problems}
    inputs = declaration.inputs
    media = [name for name, config in inputs.items() if is_media(config.modality) and name in columns]
    return media if columns <= set(media) else []


def gather_kept(request: Measuring, lost: list[str], reason: str) -> dict[str, TargetReport]:
    """The reports by target, as :func:`polymodal.report.gather.gather` makes them, from kept predictions.

    Input importance and robustness need the media: these sections are skipped; the verdict has the reason.

    Args:
        request: The run and its own test rows.
        lost: The inputs whose files cannot be read.
        reason: The first problem.

    Raises:
        RunError: If there are no kept predictions, or they are of other rows.
    """
    run, rows = request.run, request.rows
    answers = _answers(request)
    inputs = {name: config.modality for name, config in run.declaration.inputs.items()}
    groups, grouped_by = row_groups(rows.table, inputs, request.config.group)
    targets = {}
    for name in run.declaration.targets:
        trial = _trial(request, name, answers)
        if trial is None:
            continue
        drawn = Bootstrap(groups[trial.known], seed=request.seed)
        contributions = trial.of(ALL)
        worth = OverallScore(
            score=trial.score.name,
            rows=len(trial.known),
            groups=drawn.count,
            grouped_by=grouped_by,
            all=estimate(
                trial.score.value(contributions.sum(axis=0)), trial.score.value(drawn.resample(contributions))
            ),
        )
        judged = Verdict(
            fusing="unknown",
            sentences=[how_good(worth), f"What each input is worth cannot be told: {reason}"],
            next=[f"Put the files of {', '.join(lost)} back, and make the report again."],
        )
        failing = target_failures(request, name, trial, groups, take_apart=False)
        targets[name] = target_report(request, name, trial, worth, failing, judged)
    return targets


def _answers(request: Measuring) -> pd.DataFrame:
    """The kept predictions, one per row of the report."""
    path = request.run.folder / ANSWERS
    if not path.is_file():
        raise RunError(
            f"{path}: is not there, and without it nothing can be said of rows that cannot be read"
        )
    kept = pd.read_parquet(path).set_index("row")
    numbers = np.asarray(request.rows.numbers) + 1
    lacking = np.setdiff1d(numbers, kept.index)
    if len(lacking):
        reason = f"does not hold row {lacking[0]} of {request.rows.table.name}"
        raise RunError(f"{path}: {reason}, so that it is of another table or split. Fit again")
    return kept.loc[numbers]


def _trial(request: Measuring, name: str, answers: pd.DataFrame) -> Trials | None:
    """The kept predictions of one target and its ground truth; None where a row has neither."""
    run, table = request.run, request.rows.table
    head = run.model.head(name)
    task = task_of(head.task)
    kept = task.kept_columns(head, name)
    if not set(kept) <= set(answers.columns):
        return None
    cells = table.values(name).to_pylist()
    read = [run.processor.read_row({name: cell}, [name])[0] for cell in cells]
    target = run.processor.batch([{"index": index, **row} for index, row in enumerate(read)])["targets"][name]
    values, logits = task.kept_answer(head, answers[kept].to_numpy(np.float32).copy())
    trial = Trials(head, score_of(head, selection_metrics(run).get(name)), ALL, request.rows.weights)
    trial.start(torch.arange(len(cells)), target, torch.zeros(len(cells), dtype=torch.bool))
    if logits is None:
        trial.add_answer(ALL, torch.from_numpy(as_array(values)))
    else:
        trial.add(ALL, torch.from_numpy(as_array(logits)))
    return trial if len(trial.known) else None
