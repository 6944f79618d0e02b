"""What a report is measured on, and how much of it: all, or a short one where all would take long."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from polymodal.config import ReportConfig
from polymodal.data.readers.base import is_media
from polymodal.data.row_dataset import RowDataset
from polymodal.error_analysis.error_analysis import CARDS
from polymodal.errors import worded
from polymodal.importance.emap import MOST_ROWS, PAIRS, rows_of_pairs
from polymodal.importance.shapley import make_game
from polymodal.importance.subsets import KeptRows, embed_rows, logits_of
from polymodal.models.blend import BlendedModel
from polymodal.robustness.corruptions import LEVELS, corruptions_of
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.deadline import NO_LIMIT, Deadline
from polymodal.utils.progress import about

OF_BLEND, NOISE_OF_BLEND = 40_000, 100
"""Pairs of rows for interactions, and rows with noise, of a blend: trees and kernels take longer for a row
than a fusion, and a pretrained encoder runs some fifteen times for each row with noise."""
FEWEST_OF_EMAP = 40
"""With fewer rows an interaction is not worth its interval."""
FULL_SECONDS = 10.0
"""A report that would take longer is a short one, unless a full one is requested."""
SHORT_ROWS = 5_000
"""Rows that a short report measures, at random where there are more: enough for an accuracy to within a
percentage point or two."""
TIMED_ROWS = 64
"""Rows whose answers show the pace of the model, at most; they are kept for the report."""
Amount = Literal["short", "full"]


@dataclass(frozen=True)
class Measuring:
    """The run and the rows of a report.

    Attributes:
        run: A prediction run.
        rows: With their targets.
        config: ``group``, ``by``, ``noise_rows`` and ``amount``.
        seed: Of all random draws.
        deadline: Of the whole report.
        left_out: Gets a line for each part that there is no time for.
        kept: Rows that were embedded for one part of the report, for the others.
        noise_rows: In the place of that of ``config``, which a blend over pretrained encoders bounds.
    """

    run: PredictionRun
    rows: RowDataset
    config: ReportConfig
    seed: int = 0
    deadline: Deadline = NO_LIMIT
    left_out: list[str] = field(default_factory=list)
    kept: KeptRows = field(default_factory=KeptRows)
    noise_rows: int | None = None


def selection_metrics(run: PredictionRun) -> dict[str, str]:
    """The metric that selected the epoch, by target, where one was named."""
    named, _, kind = (run.declaration.train.metric or "").rpartition(".")
    return {name: kind for name in run.declaration.targets if named in ("", name)}


def chosen_amount(request: Measuring) -> Amount:
    """How much is measured: what is declared, else all of it where that takes at most ``FULL_SECONDS``.

    A short report has the same figures, of at most ``SHORT_ROWS`` rows, without those of corrupted cells and
    of the interaction of inputs; the reason is added to ``left_out``. With a given number of rows to
    corrupt, it is full.
    """
    declared = request.config.amount
    if declared == "full" or request.noise_rows or request.deadline.is_set:
        return "full"  # with a deadline each part is left out as the time runs short
    if not _extra(request):
        return "full"
    seconds = 0.0 if declared == "short" else full_seconds(request)
    if declared is None and seconds <= FULL_SECONDS:
        return "full"
    parts = " and ".join(_extra(request))
    takes = f", which would take {about(seconds)} in all" if seconds else ""
    request.left_out.append(f"the report is a short one, without {parts}{takes} ({in_full()})")
    return "short"


def measured_rows(amount: Amount) -> int | None:
    """The rows that are measured, at most; None: all."""
    return SHORT_ROWS if amount == "short" else None


def in_full() -> str:
    """How a full report is requested."""
    return worded("polymodal report RUN --amount full", "run.report(amount='full')")


def _extra(request: Measuring) -> list[str]:
    """What a full report has beside a short one, in words."""
    several = len(request.run.declaration.inputs) > 1
    noise = [f"corrupted cells ({most_noise_rows(request)} rows)"] if most_noise_rows(request) else []
    return [*noise, *(["the interaction of inputs"] if several else [])]


def full_seconds(request: Measuring) -> float:
    """What a full report takes, about: the seconds of one pass of the model over a few rows, times passes.

    The smaller one of time and processor time, so that other work on the machine does not count.
    """
    run, rows = request.run, request.rows
    order = np.random.default_rng(request.seed).permutation(len(rows))[:TIMED_ROWS]
    begun = _clock()
    (batch,) = embed_rows(
        run.model, rows, batch_size=TIMED_ROWS, precision=run.precision, order=order, kept=request.kept
    )
    reading = _spent(begun) / len(order)
    logits_of(run.model, batch.embedded, run.precision)  # what is loaded at the first call is not timed
    begun = _clock()
    logits_of(run.model, batch.embedded, run.precision)
    answering = _spent(begun) / len(order)
    answered, encoded = full_passes(request)
    return answered * answering + encoded * reading


def full_passes(request: Measuring) -> tuple[int, int]:
    """Rows that a full report has the model answer, and rows that it reads and encodes."""
    run, count = request.run, len(request.rows)
    inputs = run.declaration.inputs
    game, targets = make_game(list(inputs), request.seed), len(run.declaration.targets)
    trials, missing = len(game.subsets) + len(inputs), 2 * len(inputs) + 6
    answered = count * (trials + missing) + targets * min(CARDS, count) * len(game.subsets)
    if len(inputs) > 1:
        pairs = min(count, emap_rows(request), rows_of_pairs(len(inputs), PAIRS)) ** 2
        answered += pairs * (1 if len(inputs) == 2 else len(inputs))
    noisy = {name: len(corruptions_of(reader)) for name, reader in run.processor.readers.items()}
    sampled = min(count, most_noise_rows(request)) * LEVELS
    heavy = [noisy[name] for name, config in inputs.items() if is_media(config.modality)]
    answered += 2 * sampled * sum(noisy.values())
    return answered, count + sampled * (sum(heavy) or sum(noisy.values()) // max(1, len(noisy)))


def _clock() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _spent(begun: tuple[float, float]) -> float:
    return min(now - before for now, before in zip(_clock(), begun, strict=True))


def emap_rows(request: Measuring) -> int:
    """The size of the sample for interactions, where there is no deadline."""
    model: object = request.run.model
    of_blend = max(FEWEST_OF_EMAP, rows_of_pairs(len(request.run.declaration.inputs), OF_BLEND))
    return min(MOST_ROWS, of_blend) if isinstance(model, BlendedModel) else MOST_ROWS


def most_noise_rows(request: Measuring) -> int:
    """The rows whose cells are corrupted, at most."""
    if request.noise_rows is not None:
        return request.noise_rows
    model: object = request.run.model
    is_slow = isinstance(model, BlendedModel) and model.reads_pretrained
    return min(request.config.noise_rows, NOISE_OF_BLEND) if is_slow else request.config.noise_rows
