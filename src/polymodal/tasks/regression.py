"""Regression: one number per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from polymodal.answers import NumberDecoder
from polymodal.config import TargetConfig
from polymodal.evaluation.arrays import Values, as_array
from polymodal.evaluation.number_text import fixed, plain
from polymodal.evaluation.statistics.bootstrap import finite
from polymodal.evaluation.statistics.conformal import conformal_quantile, fewest_rows
from polymodal.tasks.base import TASKS, Answered, AnyHead, Shares, Task, Tuned, Tuning, saved_decoder_of
from polymodal.utils.records import Record

MOST_POINTS = 500
MOST_OF = 0.5
"""Share of the squared error above which a single row is named."""
FEWEST_NAMED = 10
"""Rows below which none is named: of a few, one makes most by chance."""
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True, kw_only=True)
class Quantile(Record):
    """A quantile of the residuals.

    Attributes:
        share: Of the rows below it, from 0 to 1.
        value: In the target's unit.
    """

    share: float
    value: float | None


@dataclass(frozen=True, kw_only=True)
class ResidualPoint(Record):
    """The residual of a row, for a plot.

    Attributes:
        row: Its index in the table.
        answer: The prediction, in the target's unit.
        residual: The prediction less the ground truth.
    """

    row: int
    answer: float | None
    residual: float | None


@dataclass(frozen=True, kw_only=True)
class DominantRow(Record):
    """A row that alone makes most of the squared error.

    Attributes:
        row: Its index in the table.
        share: Of the sum of the squared residuals, from 0 to 1.
    """

    row: int
    share: float


@dataclass(frozen=True, kw_only=True)
class ResidualSummary(Record):
    """The residuals of predictions, in the target's unit.

    Attributes:
        rows: Number of rows.
        bias: The mean residual.
        mae: The mean absolute residual.
        medae: The median absolute residual.
        rmse: The root of the mean squared residual.
        quantiles: Of the residuals.
        points: Of at most ``MOST_POINTS`` sampled rows, in the table's order.
        note: A remark where points were sampled, or None.
        dominant: The row that makes most of the squared error, or None.
    """

    rows: int
    bias: float | None
    mae: float | None
    medae: float | None
    rmse: float | None
    quantiles: list[Quantile]
    points: list[ResidualPoint]
    note: str | None
    dominant: DominantRow | None = None


@TASKS.register("regression")
class Regression(Task):
    """Regression: R² and errors, conformal prediction intervals, residuals."""

    name = "regression"
    has_errors = True
    default_metric, default_score = "rmse", "r2"
    card_metrics = ("mae", "medae", "r2", "r2_log", "rmse")
    tabular_tag = "tabular-regression"

    def selection_metric(self, config: TargetConfig) -> str:
        """The loss where a logarithm is learned, for RMSE is that of a few large numbers; otherwise RMSE."""
        return "loss" if config.transform == "log" else self.default_metric

    def tunes(self, config: TargetConfig, head: AnyHead) -> bool:
        """Whether an interval is chosen; a head of another package may have none."""
        return isinstance(saved_decoder_of(head), NumberDecoder) and config.interval is not None

    def tune(self, head: AnyHead, rows: Tuning, config: TargetConfig) -> Tuned:
        """The half-width of the prediction interval, by split conformal prediction."""
        decoder = saved_decoder_of(head)
        assert isinstance(decoder, NumberDecoder) and config.interval is not None
        level, answer = config.interval, decoder.answer(as_array(rows.logits))
        residuals = decoder.residuals(answer, as_array(rows.target))
        decoder.half_width = conformal_quantile(residuals, level, rows.weight)
        head.settle(decoder)
        made = Tuned({"interval": level, "half_width": decoder.half_width})
        if decoder.half_width is None:
            needed = fewest_rows(level)
            few = f"{rows.counted}, and {level:.0%} needs {needed} or more"
            share = f"more than {1 - level:.0%} of the validation answers"
            negative = f"{share} are below zero, which 'log' never reaches"
            reason = f"no interval: {few if rows.rows < needed else negative}"
            made.warnings.append((reason, "interval to null"))
        return made

    def errors(self, head: AnyHead, rows: Answered) -> dict[str, Any]:
        """``residuals`` (:func:`residual_summary`)."""
        return {"residuals": number_errors(rows)}

    def headline(
        self, target: str, metrics: Mapping[str, float], rows: Answered, numbers: np.ndarray | None
    ) -> list[str]:
        """Mean and median absolute error, R², and the row that makes most of the squared error."""
        return (
            [_errors_in_words(target, metrics, rows.unit), *dominant_in_words(rows, numbers)]
            if metrics
            else []
        )

    def worst(self, head: AnyHead, answer: Values, target: Values) -> list[tuple[int, int]]:
        """Rows by the size of their residual."""
        return worst_numbers(answer, target)

    def card(
        self, head: AnyHead, answer: Values, target: Values, output: int, shares: Shares
    ) -> dict[str, Any]:
        """``truth``, ``answer`` and ``residual``."""
        return number_card(answer, target, shares)


def number_errors(rows: Answered) -> ResidualSummary:
    """The :func:`residual_summary` of rows."""
    return residual_summary(rows.answers, rows.targets, rows.known, seed=rows.seed, weights=rows.weights)


def _errors_in_words(target: str, metrics: Mapping[str, float], unit: str) -> str:
    mean, median = (plain(metrics[name], unit=unit) for name in ("mae", "medae"))
    off = f"{mean} on average and by {median} or less in half of the rows"
    fits = [f"R² {fixed(metrics['r2'], 3)}"] if "r2" in metrics else []
    fits += (
        [f"R² of the logarithm, which is learned, {fixed(metrics['r2_log'], 3)}"]
        if "r2_log" in metrics
        else []
    )
    beside = f" ({'; '.join(fits)})" if fits else ""
    return f"The predictions of ‘{target}’ are off by {off}{beside}."


def dominant_in_words(rows: Answered, numbers: np.ndarray | None) -> list[str]:
    """A sentence on the row that makes most of the squared error, where there is one.

    Args:
        rows: The answers.
        numbers: ``(rows of the table,)`` each row's number in the user's file from 0; None: do not name it.
    """
    dominant = dominant_row(rows.answers, rows.targets, rows.known, rows.weights)
    if dominant is None:
        return []
    one = "A single row" if numbers is None else f"Row {int(numbers[dominant.row]) + 1} alone"
    return [
        f"{one} makes {dominant.share:.0%} of the squared error: R² and RMSE are mostly about that row, "
        "the mean and median absolute error are about all."
    ]


def dominant_row(
    answer: Values, target: Values, known: np.ndarray, weights: np.ndarray | None = None
) -> DominantRow | None:
    """The row that makes more than :data:`MOST_OF` of the squared error; None where there is none.

    Args:
        answer: ``(rows,)`` in the target's unit.
        target: The same; every one known.
        known: ``(rows,)`` the rows' indices in the table.
        weights: ``(rows,)`` sample weights.
    """
    squares = np.square(_residuals(answer, target))
    squares = squares if weights is None else squares * weights
    total = squares.sum()
    if len(squares) < FEWEST_NAMED or not np.isfinite(total) or total == 0:
        return None
    largest = int(squares.argmax())
    share = float(squares[largest] / total)
    return DominantRow(row=int(known[largest]), share=share) if share > MOST_OF else None


def worst_numbers(answer: Values, target: Values) -> list[tuple[int, int]]:
    """Rows of a residual that is not zero, the largest first, each with output 0."""
    error = np.abs(_residuals(answer, target))
    return [(row, 0) for row in np.argsort(-error, kind="stable").tolist() if error[row] > 0.0]


def _residuals(answer: Values, target: Values) -> np.ndarray:
    """Answers less ground truth, float64."""
    return as_array(answer).astype(np.float64) - as_array(target).astype(np.float64)


def number_card(answer: Values, target: Values, shares: Shares) -> dict[str, Any]:
    """One number: ``truth``, ``answer`` and ``residual`` in the target's unit."""
    figures, number, true = dict(shares.of(0)), float(answer), float(target)
    del figures["value"]
    return {"truth": true, "answer": finite(number), "residual": finite(number - true), **figures}


def residual_summary(
    answer: Values,
    target: Values,
    known: np.ndarray | None = None,
    *,
    seed: int = 0,
    weights: np.ndarray | None = None,
) -> ResidualSummary:
    """Residuals, predictions less ground truth: above zero where the prediction is too high.

    Args:
        answer: ``(rows,)`` in the target's unit.
        target: The same; every one known.
        known: ``(rows,)`` the rows' indices in the table; by default 0, 1, ….
        seed: Of the points.
        weights: ``(rows,)`` sample weights, in all but the number of rows and the points.
    """
    predicted, residual = as_array(answer).astype(np.float64), _residuals(answer, target)
    known = np.arange(len(predicted)) if known is None else known
    drawn = np.random.default_rng(seed).permutation(len(predicted))[:MOST_POINTS]
    drawn = drawn[np.argsort(known[drawn])]
    return ResidualSummary(
        rows=len(predicted),
        bias=finite(np.average(residual, weights=weights)),
        mae=finite(np.average(np.abs(residual), weights=weights)),
        medae=finite(_quantiles(np.abs(residual), weights, (0.5,))[0]),
        rmse=finite(np.sqrt(np.average(np.square(residual), weights=weights))),
        quantiles=[
            Quantile(share=share, value=finite(value))
            for share, value in zip(QUANTILES, _quantiles(residual, weights), strict=True)
        ],
        points=[
            ResidualPoint(row=int(known[i]), answer=finite(predicted[i]), residual=finite(residual[i]))
            for i in drawn
        ],
        note=f"{MOST_POINTS} of {len(predicted):,} rows, drawn" if len(predicted) > MOST_POINTS else None,
        dominant=dominant_row(answer, target, known, weights),
    )


def _quantiles(
    values: np.ndarray, weights: np.ndarray | None, shares: Sequence[float] = QUANTILES
) -> np.ndarray:
    """Those at ``shares``; of weighted values NumPy has them without interpolation."""
    if weights is None:
        return np.quantile(values, shares)
    return np.quantile(values, shares, weights=weights, method="inverted_cdf")
