"""The figures that need no medium: from the answers that the fit kept in ``predictions.parquet``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from polymodal.config import Declaration
from polymodal.data.readers.base import is_media
from polymodal.errors import DataError, RunError
from polymodal.evaluation.metrics.scores import score_of
from polymodal.evaluation.statistics.bootstrap import Bootstrap, estimate
from polymodal.evaluation.statistics.clusters import row_groups
from polymodal.importance.importance import Trials
from polymodal.models.heads import Classifier, MultilabelClassifier
from polymodal.report.gather import Measuring, frame, judged_by, target_figures
from polymodal.report.verdict import how_good

ANSWERS = "predictions.parquet"
ALL = "all"
"""The one trial there is: every input as the fit had it."""
TINY = 1e-30
"""Probabilities are kept in single precision, where less is zero."""


def lost_media(error: DataError, declaration: Declaration) -> list[str]:
    """The inputs whose files cannot be read, if that is all that is wrong; else none."""
    columns = {problem.column for problem in error.problems}
    inputs = declaration.inputs
    media = [name for name, config in inputs.items() if is_media(config.modality) and name in columns]
    return media if columns <= set(media) else []


def gather_kept(asked: Measuring, lost: list[str], reason: str, *, what: str) -> dict[str, Any]:
    """What :func:`polymodal.report.gather.gather` gives, as far as kept answers go.

    What each input is worth, and how robust the run is, takes the media: these sections are left out, and
    the verdict says why.

    Args:
        asked: The run and its own test rows.
        lost: The inputs whose files are gone.
        reason: The first thing that could not be read.
        what: Which rows they are, in words.

    Raises:
        RunError: If the answers are not there, or are of other rows.
    """
    run, rows = asked.run, asked.rows
    answers = _answers(asked)
    inputs = {name: config.modality for name, config in run.declaration.inputs.items()}
    groups, grouped_by = row_groups(rows.table, inputs, asked.config.group)
    figures = frame(asked, f"{what}, as the fit answered them")
    for name in run.declaration.targets:
        trial = _trial(asked, name, answers)
        if trial is None:
            continue
        drawn = Bootstrap(groups[trial.known], seed=asked.seed)
        found = trial.of(ALL)
        worth = {
            "score": trial.score.name,
            "rows": len(trial.known),
            "groups": drawn.count,
            "grouped_by": grouped_by,
            "inputs": {},
            "all": estimate(trial.score.value(found.sum(axis=0)), trial.score.value(drawn.resample(found))),
        }
        said = {
            "fusing": "unknown",
            "sentences": [how_good(worth), f"What each input is worth cannot be told: {reason}"],
            "next": [f"Put the files of {', '.join(lost)} back, and make the report again."],
        }
        figures["targets"][name] = target_figures(asked, name, trial, groups, worth, said)
    return figures


def _answers(asked: Measuring) -> pd.DataFrame:
    """The kept answers, a row of the report each."""
    path = asked.run.folder / ANSWERS
    if not path.is_file():
        raise RunError(
            f"{path}: is not there, and without it nothing can be said of rows that cannot be read"
        )
    kept = pd.read_parquet(path).set_index("row")
    numbers = np.asarray(asked.rows.numbers) + 1
    lacking = np.setdiff1d(numbers, kept.index)
    if len(lacking):
        found = f"does not hold row {lacking[0]} of {asked.rows.table.name}"
        raise RunError(f"{path}: {found}, so that it is of another table or split. Fit again")
    return kept.loc[numbers]


def _trial(asked: Measuring, name: str, answers: pd.DataFrame) -> Trials | None:
    """The kept answers of one target beside the truth; None where no row has one, or none was kept."""
    run, table = asked.run, asked.rows.table
    head = run.model.head(name)
    of_classes = isinstance(head, (Classifier, MultilabelClassifier))
    kept = [f"{name}_probability_{entry}" for entry in head.classes] if of_classes else [name]
    if not set(kept) <= set(answers.columns):
        return None
    cells = table.values(name).to_pylist()
    read = [run.processor.read_row({name: cell}, [name])[0] for cell in cells]
    target = run.processor.batch([{"index": place, **row} for place, row in enumerate(read)])["targets"][name]
    answer = torch.from_numpy(answers[kept].to_numpy(np.float32).copy())
    trial = Trials(head, score_of(head, judged_by(run).get(name)), ALL, asked.rows.weights)
    trial.start(torch.arange(len(cells)), target, torch.zeros(len(cells), dtype=torch.bool))
    if of_classes:
        trial.add(ALL, _logits(head, answer))
    else:
        trial.add_answer(ALL, answer.squeeze(1))
    return trial if len(trial.known) else None


def _logits(head: Classifier | MultilabelClassifier, answer: Tensor) -> Tensor:
    """What ``answer`` was made of, up to what makes no difference."""
    sure = answer.double().clamp(TINY, 1)
    odds = sure.log() if isinstance(head, Classifier) else (sure / (1 - sure).clamp(min=2**-25)).log()
    return (odds * head.temperature.cpu()).float()
