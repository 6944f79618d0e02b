"""Robustness to missing cells: the score against the share of cells that are missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from polymodal.data.row_dataset import RowDataset
from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.bootstrap import Bootstrap, Estimate
from polymodal.importance.importance import BATCH, Trials
from polymodal.importance.subsets import KeptRows, count_batches, embed_rows
from polymodal.models.predictor import Predictor
from polymodal.robustness.curves import (
    BatchAnswers,
    Curve,
    add,
    curve_of,
    effective_robustness,
    relative_robustness,
)
from polymodal.utils.deadline import NO_LIMIT, Deadline
from polymodal.utils.progress import steps
from polymodal.utils.records import OPTIONAL, Record

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True, kw_only=True)
class MissingPoint(Record):
    """The score at one share of missing cells.

    Attributes:
        share: Of the cells that are missing, from 0 to 1.
        value: The score.
        low: The lower end of its 95 % interval.
        high: The upper end.
    """

    share: float
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class MissingRobustness(Record):
    """Robustness to missing cells (see :mod:`polymodal.robustness.curves`); without fields where undefined.

    Attributes:
        missing: By the input whose cells are missing.
        together: With cells of all inputs missing.
    """

    missing: dict[str, Estimate] = field(default_factory=dict, metadata=OPTIONAL)
    together: Estimate | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class MissingCurves(Record):
    """One target's score against the share of missing cells.

    Attributes:
        score: Name of the metric.
        rows: Number of rows whose target is known.
        groups: Number of clusters that were resampled.
        missing: The curve by the input whose cells are missing.
        together: The curve with cells of all inputs missing.
        relative: Relative robustness.
        effective: Effective robustness; empty with one input.
    """

    score: str
    rows: int
    groups: int
    missing: dict[str, list[MissingPoint]]
    together: list[MissingPoint]
    relative: MissingRobustness
    effective: MissingRobustness


@dataclass(frozen=True, kw_only=True)
class MissingFigures(Record):
    """Curves of missing cells by target.

    Attributes:
        rows: Number of rows.
        targets: The curves by target that a row knows.
    """

    rows: int
    targets: dict[str, MissingCurves]


def missing_curves(
    model: Predictor,
    rows: RowDataset,
    scores: Mapping[str, Score],
    *,
    groups: np.ndarray | None = None,
    precision: str = "fp32",
    seed: int = 0,
    deadline: Deadline = NO_LIMIT,
    kept: KeptRows | None = None,
    most_rows: int | None = None,
    shown: str = "",
) -> MissingFigures:
    """Each target's score when a random share of the cells is missing, of one input or of all.

    Encoders run once per row. A cell that is missing at one share is missing at every higher one, which keeps
    chance out of the curve's shape. Where one input loses cells, a row is predicted with all inputs or
    without that one, so that the fusion runs once for either.

    Args:
        model: Of one input or more.
        rows: With targets.
        scores: The metric of each target.
        groups: ``(rows,)`` cluster ids; by default every row is a cluster of its own.
        precision: Of the forward pass, such as ``fp32``.
        seed: Of the missing cells, and of the resamples.
        deadline: Where it comes too early for all rows, a random part of them is predicted.
        kept: Keeps embedded rows for other analyses.
        most_rows: Of more rows a random part of this size is predicted; None: all.
        shown: Description of a progress bar; empty: none.
    """
    names = model.config.input_names
    random = np.random.default_rng(seed)
    # Ranks rather than draws: of all rows exactly the share loses its cell.
    ranks = {name: random.permutation(len(rows)) / len(rows) for name in names}
    trials = {name: Trials(model.head(name), score, weights=rows.weights) for name, score in scores.items()}
    order = np.arange(len(rows))
    if deadline.is_set or (most_rows is not None and most_rows < len(rows)):
        order = np.random.default_rng(seed).permutation(len(rows))[:most_rows]
    with steps(shown, (len(names) + len(SHARES)) * count_batches(len(order), BATCH, deadline)) as step:
        read = _run(model, rows, trials, ranks, precision, deadline, order, kept, step)
    groups = np.arange(len(rows)) if groups is None else groups
    curves = {
        name: _curves(trial, ranks, Bootstrap(groups[trial.known], seed=seed))
        for name, trial in trials.items()
        if len(trial.known)
    }
    return MissingFigures(rows=read, targets=curves)


def _run(
    model: Predictor,
    rows: RowDataset,
    trials: Mapping[str, Trials],
    ranks: Mapping[str, np.ndarray],
    precision: str,
    deadline: Deadline,
    order: np.ndarray,
    kept: KeptRows | None,
    step: Callable[[], None],
) -> int:
    """Add trials by whether late fusion predicts, and by the input that all rows lose or by the share.

    Returns:
        The number of rows that were predicted.
    """
    read = 0
    for batch in embed_rows(
        model, rows, batch_size=BATCH, precision=precision, order=order, deadline=deadline, kept=kept
    ):
        read += len(batch.index)
        for name, trial in trials.items():
            trial.start(batch.index, batch.targets[name], batch.unread)
        index = batch.index.numpy()  # NumPy takes a tensor of one element for a number
        answers, every = BatchAnswers(model, batch, precision), torch.ones(len(batch.index), dtype=torch.bool)
        for name in ranks:
            add(trials, (False, name), answers.without(name))
            add(trials, (True, name), answers.late({name: every}))
            step()
        for share in SHARES:
            taken = {name: torch.from_numpy(rank[index] < share) for name, rank in ranks.items()}
            if share in (0, 1):
                add(trials, (False, share), answers.having(*([] if share else ranks)))
            else:
                add(trials, (False, share), answers.to(batch.lacking(taken)))
            add(trials, (True, share), answers.late(taken))
            step()
    return read


def _curves(trial: Trials, ranks: Mapping[str, np.ndarray], bootstrap: Bootstrap) -> MissingCurves:
    """One target's curves."""
    severity = np.array(SHARES)
    own, together = _own_curves(trial, ranks, bootstrap, late=False)
    relative = MissingRobustness(
        missing={name: relative_robustness(curve, severity) for name, curve in own.items()},
        together=relative_robustness(together, severity),
    )
    effective = MissingRobustness()
    if len(ranks) > 1:
        late, late_together = _own_curves(trial, ranks, bootstrap, late=True)
        effective = MissingRobustness(
            missing={name: effective_robustness(own[name], late[name], severity) for name in own},
            together=effective_robustness(together, late_together, severity),
        )
    return MissingCurves(
        score=trial.score.name,
        rows=len(trial.known),
        groups=bootstrap.count,
        missing={name: _points(curve) for name, curve in own.items()},
        together=_points(together),
        relative=relative,
        effective=effective,
    )


def _own_curves(
    trial: Trials, ranks: Mapping[str, np.ndarray], bootstrap: Bootstrap, *, late: bool
) -> tuple[dict[str, Curve], Curve]:
    """The curve of each input, and that of all inputs alike."""
    whole, known = trial.of((late, 0.0)), trial.known
    curves = {}
    for name, rank in ranks.items():
        without, own = trial.of((late, name)), rank[known, None]
        steps = [np.where(own < share, without, whole) for share in SHARES]
        curves[name] = curve_of(trial.score, bootstrap, steps)
    return curves, curve_of(trial.score, bootstrap, [trial.of((late, share)) for share in SHARES])


def _points(curve: Curve) -> list[MissingPoint]:
    return [MissingPoint(share=share, **entry) for share, entry in zip(SHARES, curve.entries(), strict=True)]
