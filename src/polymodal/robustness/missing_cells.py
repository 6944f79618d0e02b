"""The score against the share of cells that are missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from polymodal.data.collator import RowDataset
from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.bootstrap import Bootstrap
from polymodal.importance.importance import BATCH, Trials
from polymodal.importance.subsets import embed_rows
from polymodal.models.modeling import PolymodalForPrediction
from polymodal.robustness.curves import (
    BatchAnswers,
    add,
    curve_of,
    effective_robustness,
    relative_robustness,
)

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def missing_curves(
    model: PolymodalForPrediction,
    rows: RowDataset,
    scores: Mapping[str, Score],
    *,
    groups: np.ndarray | None = None,
    precision: str = "fp32",
    seed: int = 0,
) -> dict[str, Any]:
    """Each target's score when a share of the cells is taken away at random, of one input or of all.

    Encoders run once a row. A row's cell that is gone at one share is gone at every higher one, which keeps
    chance out of the curve's shape. Where one input is taken away, a row is answered as with all inputs or as
    without that one, so that the fusion too runs but once for either.

    Args:
        model: Of one input or more.
        rows: With targets.
        scores: The metric of each target.
        groups: ``(rows,)`` what each row belongs to; by default each is a group of its own.
        precision: What the model computes in.
        seed: Of the cells that are taken away, and of the resamples.

    Returns:
        ``rows``, and ``targets`` by name, save those that no row knows: ``score``, ``rows`` (known ones),
        ``groups``; ``missing`` by input and ``together``, a list each of ``share``, ``value``, ``low``,
        ``high``; ``relative`` and ``effective``, both with ``missing`` by input and ``together``, an estimate
        each (see :mod:`polymodal.robustness.curves`). ``effective`` is empty with one input.
    """
    names = model.config.input_names
    random = np.random.default_rng(seed)
    # Ranks rather than draws: of all rows exactly the share loses its cell.
    ranks = {name: random.permutation(len(rows)) / len(rows) for name in names}
    trials = {name: Trials(model.head(name), score, weights=rows.weights) for name, score in scores.items()}
    _run(model, rows, trials, ranks, precision)
    groups = np.arange(len(rows)) if groups is None else groups
    return {
        "rows": len(rows),
        "targets": {
            name: _figures(trial, ranks, Bootstrap(groups[trial.known], seed=seed))
            for name, trial in trials.items()
            if len(trial.known)
        },
    }


def _run(
    model: PolymodalForPrediction,
    rows: RowDataset,
    trials: Mapping[str, Trials],
    ranks: Mapping[str, np.ndarray],
    precision: str,
) -> None:
    """Trials by whether late fusion answers (``late``), by input taken away from all rows, or by share."""
    for batch in embed_rows(model, rows, batch_size=BATCH, precision=precision):
        for name, trial in trials.items():
            trial.start(batch.index, batch.targets[name], batch.unread)
        index = batch.index.numpy()  # NumPy takes a tensor of one element for a number
        answers, every = BatchAnswers(model, batch, precision), torch.ones(len(batch.index), dtype=torch.bool)
        for name in ranks:
            add(trials, (False, name), answers.without(name))
            add(trials, (True, name), answers.late({name: every}))
        for share in SHARES:
            taken = {name: torch.from_numpy(rank[index] < share) for name, rank in ranks.items()}
            if share in (0, 1):
                add(trials, (False, share), answers.having(*([] if share else ranks)))
            else:
                add(trials, (False, share), answers.to(batch.lacking(taken)))
            add(trials, (True, share), answers.late(taken))


def _figures(trial: Trials, ranks: Mapping[str, np.ndarray], bootstrap: Bootstrap) -> dict[str, Any]:
    """One target's figures."""
    severity = np.array(SHARES)

    def curves(late: bool) -> dict[str | None, Any]:
        """The curve of each input, and of all under None."""
        whole, known = trial.of((late, 0.0)), trial.known
        found: dict[str | None, Any] = {}
        for name, rank in ranks.items():
            without, own = trial.of((late, name)), rank[known, None]
            steps = [np.where(own < share, without, whole) for share in SHARES]
            found[name] = curve_of(trial.score, bootstrap, steps)
        found[None] = curve_of(trial.score, bootstrap, [trial.of((late, share)) for share in SHARES])
        return found

    def listed(curve: Any) -> list[dict[str, float | None]]:
        return [{"share": share, **entry} for share, entry in zip(SHARES, curve.entries(), strict=True)]

    def split(figures: dict[str | None, Any]) -> dict[str, Any]:
        return {"missing": {name: figures[name] for name in ranks}, "together": figures[None]}

    own = curves(late=False)
    relative = {name: relative_robustness(curve, severity) for name, curve in own.items()}
    effective = {}
    if len(ranks) > 1:
        late = curves(late=True)
        effective = split({name: effective_robustness(own[name], late[name], severity) for name in own})
    return {
        "score": trial.score.name,
        "rows": len(trial.known),
        "groups": bootstrap.count,
        **split({name: listed(curve) for name, curve in own.items()}),
        "relative": split(relative),
        "effective": effective,
    }
