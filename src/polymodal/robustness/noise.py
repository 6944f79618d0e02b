"""The score against growing noise, input by input and corruption by corruption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from polymodal.data.collator import RowDataset
from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.bootstrap import Bootstrap, estimate
from polymodal.importance.importance import Trials
from polymodal.importance.subsets import EmbeddedRows, embed_rows
from polymodal.models.inference import move
from polymodal.models.modeling import PolymodalForPrediction
from polymodal.models.outputs import EmbeddedInput
from polymodal.robustness.corruptions import LEVELS, CellReader, Corruption, corruptions_of, random_of
from polymodal.robustness.curves import (
    BatchAnswers,
    add,
    curve_of,
    effective_robustness,
    relative_robustness,
)
from polymodal.utils.device import computing_in

MOST_ROWS = 500
BATCH = 128
Plan = dict[str, tuple[Corruption, ...]]
"""By input what befalls it."""


def noise_curves(
    model: PolymodalForPrediction,
    rows: RowDataset,
    scores: Mapping[str, Score],
    *,
    most_rows: int = MOST_ROWS,
    levels: int = LEVELS,
    groups: np.ndarray | None = None,
    precision: str = "fp32",
    seed: int = 0,
) -> dict[str, Any]:
    """Each target's score when the cells of one input grow worse, the others staying as they are.

    Every level of every corruption is read and encoded anew, which is why only some rows are taken; of these
    only the cells of that one input are. A cell is decoded once. A row's corruption hangs on ``seed``, the
    row's place in the table and the level alone.

    Args:
        model: Of one input or more.
        rows: With targets.
        scores: The metric of each target.
        most_rows: Above it so many are drawn.
        levels: The levels from 1 to this one are tried.
        groups: ``(rows,)`` what each row belongs to; by default each is a group of its own.
        precision: What the model computes in.
        seed: Of the rows that are drawn, of the corruptions, and of the resamples.

    Returns:
        ``rows`` (those taken), ``encoded`` (by input, how often an encoder saw one of its items), and
        ``targets`` by name, save those that no row taken knows: ``score``, ``rows`` (known ones), ``groups``;
        ``noise`` by input and corruption, a list of ``level``, ``strength`` (None at level 0), ``unit``,
        ``value``, ``low``, ``high``; ``without`` by input, the score on these rows where it is missing, below
        which an input does harm; ``relative`` and ``effective`` by input and corruption, an estimate each
        (see :mod:`polymodal.robustness.curves`). ``effective`` is empty with one input.

    Raises:
        ValueError: If there is no such level.
    """
    if not 1 <= levels <= LEVELS:
        raise ValueError(f"levels is {levels}, expected 1 to {LEVELS}")
    order = np.sort(np.random.default_rng(seed).permutation(len(rows))[:most_rows])
    plan = {name: corruptions_of(reader) for name, reader in rows.processor.readers.items()}
    trials = {name: Trials(model.head(name), score, weights=rows.weights) for name, score in scores.items()}
    worsening = _Worsening(model, rows, seed, precision)
    for batch in embed_rows(model, rows, batch_size=BATCH, precision=precision, order=order):
        for name, trial in trials.items():
            trial.start(batch.index, batch.targets[name], batch.unread)
        _try_batch(worsening, batch, trials, plan, levels)
    groups = np.arange(len(rows)) if groups is None else groups
    return {
        "rows": len(order),
        "encoded": worsening.encoded,
        "targets": {
            name: _figures(trial, plan, levels, Bootstrap(groups[trial.known], seed=seed))
            for name, trial in trials.items()
            if len(trial.known)
        },
    }


class _Worsening:
    """Embeds one input's cells of a batch anew, corrupted."""

    def __init__(self, model: PolymodalForPrediction, rows: RowDataset, seed: int, precision: str) -> None:
        self.model, self.rows, self.seed, self.precision = model, rows, seed, precision
        self.cells = {name: CellReader(reader) for name, reader in rows.processor.readers.items()}
        self.encoded = dict.fromkeys(self.cells, 0)

    def decoded(self, batch: EmbeddedRows, name: str) -> list[list[Any]]:
        """The items of each row's cell, none where it is empty or its row cannot be read."""
        table, present = self.rows.table, batch.embedded[name].present.tolist()
        if not any(present):
            return [[] for _ in present]
        given = table.data.select_columns([name])[batch.index.tolist()][name]
        cells = list(map(table.missing.cleared, given))
        decode = self.cells[name].decode
        found = [
            decode(cell, table.root) if there else [] for cell, there in zip(cells, present, strict=True)
        ]
        self.encoded[name] += sum(map(len, found))  # once as it is
        return found

    def embed(
        self, batch: EmbeddedRows, name: str, decoded: Sequence[list[Any]], corruption: Corruption, level: int
    ) -> EmbeddedInput:
        """One input as it is at a level of a corruption."""
        index, processor = batch.index.tolist(), self.rows.processor
        worse = []
        for row, items in zip(index, decoded, strict=True):
            random = random_of(self.seed, row, level)
            worse.append([corruption.at(item, level, random) for item in items])
        kept = self.cells[name].read(worse)
        self.encoded[name] += sum(map(len, kept))
        inputs = processor.collate([{name: items} for items in kept])
        device = self.model.device
        with torch.inference_mode(), computing_in(device, self.precision):
            return self.model.model.embed(batch.index.to(device), move(inputs, device))[name]


def _try_batch(
    worsening: _Worsening, batch: EmbeddedRows, trials: Mapping[str, Trials], plan: Plan, levels: int
) -> None:
    """Trials by whether late fusion answers, input, corruption and level; level 0 is shared by all."""
    answers = BatchAnswers(worsening.model, batch, worsening.precision)
    alone = len(plan) == 1
    add(trials, (False, 0), answers.having(*plan))
    add(trials, (True, 0), answers.late())
    for name, corruptions in plan.items():
        add(trials, ("without", name), answers.without(name))
        decoded = worsening.decoded(batch, name)
        for corruption in corruptions:
            for level in range(1, levels + 1):
                entry = worsening.embed(batch, name, decoded, corruption, level)
                add(
                    trials, (False, name, corruption.name, level), answers.to({**batch.embedded, name: entry})
                )
                if alone:
                    continue
                own = answers.to({**batch.missing, name: entry})
                add(trials, (True, name, corruption.name, level), answers.late(instead={name: own}))


def _figures(trial: Trials, plan: Plan, levels: int, bootstrap: Bootstrap) -> dict[str, Any]:
    """One target's figures."""
    severity = np.linspace(0, 1, levels + 1)
    figures: dict[str, Any] = {"noise": {}, "without": {}, "relative": {}, "effective": {}}

    def curve(late: bool, name: str, corruption: Corruption) -> Any:
        keys = [(late, 0), *((late, name, corruption.name, level) for level in range(1, levels + 1))]
        return curve_of(trial.score, bootstrap, [trial.of(key) for key in keys])

    for name, corruptions in plan.items():
        floor = curve_of(trial.score, bootstrap, [trial.of(("without", name))])
        figures["without"][name] = estimate(floor.points[0], floor.samples[:, 0])
        noise: dict[str, Any] = {}
        relative, effective = {}, {}
        for corruption in corruptions:
            own = curve(False, name, corruption)
            noise[corruption.name] = [
                {"level": level, "strength": corruption.strength(level), "unit": corruption.unit, **entry}
                for level, entry in enumerate(own.entries())
            ]
            relative[corruption.name] = relative_robustness(own, severity)
            if len(plan) > 1:
                effective[corruption.name] = effective_robustness(
                    own, curve(True, name, corruption), severity
                )
        figures["noise"][name], figures["relative"][name] = noise, relative
        if effective:
            figures["effective"][name] = effective
    return {
        "score": trial.score.name,
        "rows": len(trial.known),
        "groups": bootstrap.count,
        **figures,
    }
