"""Robustness to corrupted cells: the score against the level of each corruption, by input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from polymodal.data.row_dataset import RowDataset
from polymodal.evaluation.metrics.scores import Score
from polymodal.evaluation.statistics.bootstrap import Bootstrap, Estimate
from polymodal.importance.importance import Trials
from polymodal.importance.subsets import EmbeddedRows, KeptRows, count_batches, embed_rows
from polymodal.models.inference import move
from polymodal.models.predictor import EmbeddedCells, Predictor
from polymodal.robustness.corruptions import LEVELS, CellReader, Corruption, corruptions_of, random_of
from polymodal.robustness.curves import (
    BatchAnswers,
    Curve,
    add,
    curve_of,
    effective_robustness,
    relative_robustness,
)
from polymodal.utils.deadline import NO_LIMIT, Deadline
from polymodal.utils.device import computing_in
from polymodal.utils.progress import steps
from polymodal.utils.records import Record

MOST_ROWS = 500
BATCH = 128
Plan = dict[str, tuple[Corruption, ...]]
"""Corruptions by input."""


@dataclass(frozen=True, kw_only=True)
class NoisePoint(Record):
    """The score at one level of a corruption.

    Attributes:
        level: From 0, without corruption.
        strength: Of the corruption, in ``unit``; None at level 0.
        unit: Of ``strength``.
        value: The score.
        low: The lower end of its 95 % interval.
        high: The upper end.
    """

    level: int
    strength: float | None
    unit: str
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class NoiseCurves(Record):
    """One target's score against the level of corruption.

    Attributes:
        score: Name of the metric.
        rows: Number of rows whose target is known.
        groups: Number of clusters that were resampled.
        noise: The curve by input and corruption.
        without: By input the score on these rows where it is missing; below it, a corrupted input does harm.
        relative: Relative robustness by input and corruption (:mod:`polymodal.robustness.curves`).
        effective: Effective robustness by input and corruption; empty with one input.
    """

    score: str
    rows: int
    groups: int
    noise: dict[str, dict[str, list[NoisePoint]]]
    without: dict[str, Estimate]
    relative: dict[str, dict[str, Estimate]]
    effective: dict[str, dict[str, Estimate]]


@dataclass(frozen=True, kw_only=True)
class NoiseFigures(Record):
    """Curves of corrupted cells by target.

    Attributes:
        rows: Number of sampled rows.
        encoded: Number of items that an encoder read, by input.
        targets: The curves by target that a sampled row knows.
    """

    rows: int
    encoded: dict[str, int]
    targets: dict[str, NoiseCurves]


def noise_curves(
    model: Predictor,
    rows: RowDataset,
    scores: Mapping[str, Score],
    *,
    most_rows: int = MOST_ROWS,
    levels: int = LEVELS,
    groups: np.ndarray | None = None,
    precision: str = "fp32",
    seed: int = 0,
    deadline: Deadline = NO_LIMIT,
    kept: KeptRows | None = None,
    shown: str = "",
) -> NoiseFigures:
    """Each target's score when the cells of one input are corrupted and the others are not.

    Every level of every corruption is read and encoded again, so only a sample of the rows is taken, and of
    these only the cells of that one input. A cell is decoded once. A row's corruption depends on ``seed``,
    the row's index in the table and the level alone.

    Args:
        model: Of one input or more.
        rows: With targets.
        scores: The metric of each target.
        most_rows: The size of the sample, at most.
        levels: The highest level of corruption.
        groups: ``(rows,)`` cluster ids; by default every row is a cluster of its own.
        precision: Of the forward pass, such as ``fp32``.
        seed: Of the sample, the corruptions and the resamples.
        deadline: Where it comes too early for all rows of the sample, a random part of them is predicted.
        kept: Keeps embedded rows for other analyses.
        shown: Description of a progress bar; empty: none.

    Raises:
        ValueError: If there is no such level.
    """
    if not 1 <= levels <= LEVELS:
        raise ValueError(f"levels is {levels}, expected 1 to {LEVELS}")
    drawn = np.random.default_rng(seed).permutation(len(rows))[:most_rows]
    order, read = drawn if deadline.is_set else np.sort(drawn), 0
    plan = {name: corruptions_of(reader) for name, reader in rows.processor.readers.items()}
    trials = {name: Trials(model.head(name), score, weights=rows.weights) for name, score in scores.items()}
    worsening = _Worsening(model, rows, seed, precision)
    each = levels * sum(map(len, plan.values()))
    with steps(shown, each * count_batches(len(order), BATCH, deadline)) as step:
        for batch in embed_rows(
            model, rows, batch_size=BATCH, precision=precision, order=order, deadline=deadline, kept=kept
        ):
            read += len(batch.index)
            for name, trial in trials.items():
                trial.start(batch.index, batch.targets[name], batch.unread)
            _try_batch(worsening, batch, trials, plan, levels, step)
    groups = np.arange(len(rows)) if groups is None else groups
    curves = {
        name: _curves(trial, plan, levels, Bootstrap(groups[trial.known], seed=seed))
        for name, trial in trials.items()
        if len(trial.known)
    }
    return NoiseFigures(rows=read, encoded=worsening.encoded, targets=curves)


class _Worsening:
    """Embeds corrupted cells of one input of a batch."""

    def __init__(self, model: Predictor, rows: RowDataset, seed: int, precision: str) -> None:
        self.model, self.rows, self.seed, self.precision = model, rows, seed, precision
        self.cells = {name: CellReader(reader) for name, reader in rows.processor.readers.items()}
        self.encoded = dict.fromkeys(self.cells, 0)

    def decoded(self, batch: EmbeddedRows, name: str) -> list[list[Any]]:
        """The decoded items of each row's cell; none where it is empty or its row cannot be read."""
        table, present = self.rows.table, batch.embedded[name].present.tolist()
        if not any(present):
            return [[] for _ in present]
        given = table.data.select_columns([name]).cells(batch.index.tolist())[name]
        cells = list(map(table.missing.cleared, given))
        decode = self.cells[name].decode
        items = [
            decode(cell, table.root) if there else [] for cell, there in zip(cells, present, strict=True)
        ]
        self.encoded[name] += sum(map(len, items))  # once without corruption
        return items

    def embed(
        self, batch: EmbeddedRows, name: str, decoded: Sequence[list[Any]], corruption: Corruption, level: int
    ) -> EmbeddedCells:
        """One input, embedded at a level of a corruption."""
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
            return self.model.embed(batch.index.to(device), move(inputs, device))[name]


def _try_batch(
    worsening: _Worsening,
    batch: EmbeddedRows,
    trials: Mapping[str, Trials],
    plan: Plan,
    levels: int,
    step: Callable[[], None],
) -> None:
    """Add trials by whether late fusion predicts, input, corruption and level; level 0 is shared by all."""
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
                step()
                add(
                    trials, (False, name, corruption.name, level), answers.to({**batch.embedded, name: entry})
                )
                if alone:
                    continue
                own = answers.to({**batch.missing, name: entry})
                add(trials, (True, name, corruption.name, level), answers.late(instead={name: own}))


def _curves(trial: Trials, plan: Plan, levels: int, bootstrap: Bootstrap) -> NoiseCurves:
    """One target's curves."""
    severity = np.linspace(0, 1, levels + 1)

    def curve(late: bool, name: str, corruption: Corruption) -> Curve:
        keys = [(late, 0), *((late, name, corruption.name, level) for level in range(1, levels + 1))]
        return curve_of(trial.score, bootstrap, [trial.of(key) for key in keys])

    noise, without, relative, effective = {}, {}, {}, {}
    for name, corruptions in plan.items():
        floor = curve_of(trial.score, bootstrap, [trial.of(("without", name))])
        without[name] = floor.entries()[0]
        own = {corruption.name: curve(False, name, corruption) for corruption in corruptions}
        noise[name] = {each.name: _points(each, own[each.name]) for each in corruptions}
        relative[name] = {kind: relative_robustness(each, severity) for kind, each in own.items()}
        if len(plan) > 1 and corruptions:
            effective[name] = {
                each.name: effective_robustness(own[each.name], curve(True, name, each), severity)
                for each in corruptions
            }
    return NoiseCurves(
        score=trial.score.name,
        rows=len(trial.known),
        groups=bootstrap.count,
        noise=noise,
        without=without,
        relative=relative,
        effective=effective,
    )


def _points(corruption: Corruption, curve: Curve) -> list[NoisePoint]:
    return [
        NoisePoint(level=level, strength=corruption.strength(level), unit=corruption.unit, **entry)
        for level, entry in enumerate(curve.entries())
    ]
