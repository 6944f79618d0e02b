"""The page of a comparison and its plots: scores, and scores against cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, NullLocator

from polymodal.comparison.comparison_figures import ComparedRun, ComparedTarget, ComparisonFigures, RankedRun
from polymodal.evaluation.number_text import NAMES, difference
from polymodal.evaluation.statistics.bootstrap import Estimate
from polymodal.report.plot_style import drawing
from polymodal.report.report_page import render
from polymodal.report.report_plots import (
    BLUE,
    GREEN,
    GREY,
    WIDTH,
    from_zero,
    percent_axis,
    points_plot,
    svg,
)

AXES = {"parameters": "parameters", "seconds": "seconds of training"}
LONGEST = 34
"""Characters of a name that are drawn."""
WIDE = 3.0
"""From this ratio of the highest to the lowest cost an axis is logarithmic."""


@dataclass(frozen=True)
class Cell:
    """A cell of the matrix of pairs.

    Attributes:
        text: The difference.
        title: The whole comparison.
        mark: The CSS class of a significant difference; empty for others.
    """

    text: str
    title: str
    mark: str


def comparison_page(figures: ComparisonFigures, footer: str) -> str:
    """``compare.html``: verdict, leaderboard, cost and pairs of every target.

    Args:
        figures: Of a :class:`polymodal.comparison.comparison.Comparison`.
        footer: The last line.
    """
    targets = figures.targets
    return render(
        "compare.html",
        comparison=figures,
        plots={
            name: {"scores": scores_plot(target), "cost": cost_plot(target, figures.runs)}
            for name, target in targets.items()
        },
        matrix={name: matrix(target) for name, target in targets.items()},
        title=f"{len(figures.runs)} runs compared on {', '.join(targets)}",
        footer=footer,
    )


def matrix(target: ComparedTarget) -> dict[tuple[str, str], Cell]:
    """The cells by the runs of their row and column: how far the first is ahead of the second."""
    cells = {}
    for pair in target.pairs:
        if pair.p is None or pair.certainty is None or pair.difference.value is None:
            continue
        text = difference(target.score, pair.difference)
        title = f"{pair.better} less {pair.worse}: {text}, certainty {100 * pair.certainty:.1f} %"
        mirrored = Estimate(value=-pair.difference.value)
        for key, estimate, mark in (
            ((pair.better, pair.worse), pair.difference, "ahead"),
            ((pair.worse, pair.better), mirrored, "after"),
        ):
            text = difference(target.score, estimate, sign=True).partition(" ")[0]
            cells[key] = Cell(text, title, mark if pair.beats else "")
    return cells


def scores_plot(target: ComparedTarget) -> Markup:
    """The score of each run with its interval, one line per run."""
    rows = []
    for rank, entry in enumerate(target.runs, start=1):
        name = entry.run if len(entry.run) <= LONGEST else f"…{entry.run[1 - LONGEST :]}"
        rows.append((f"{rank}  {name}", entry.score, _colour(rank, entry)))
    return Markup(points_plot(rows, target.score, NAMES[target.score]))


def cost_plot(target: ComparedTarget, runs: Mapping[str, ComparedRun]) -> Markup | None:
    """Score against each cost in which runs differ, points numbered by rank; None if in none."""
    costs = {
        key: [runs[entry.run].cost[key] for entry in target.runs]
        for key in AXES
        if len({runs[entry.run].cost[key] for entry in target.runs} - {None}) > 1
    }
    if not costs:
        return None
    with drawing():
        figure = Figure(figsize=(WIDTH / 2 * len(costs), 3.1))
        every = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
        for axes, (key, values) in zip(every, costs.items(), strict=True):
            for rank, (entry, value) in enumerate(zip(target.runs, values, strict=True), start=1):
                if value is not None and entry.score.value is not None:
                    _point(axes, rank, entry, value)
            _cost_axis(axes, [value for value in values if value], AXES[key])
        every[0].set_ylabel(NAMES[target.score])
        percent_axis(every[0], target.score, "y")
        from_zero(every[0], "y")
        figure.tight_layout()
        return Markup(svg(figure, "score by cost"))


def _point(axes: Axes, rank: int, entry: RankedRun, cost: float) -> None:
    score, colour = entry.score, _colour(rank, entry)
    if score.low is not None and score.high is not None:
        axes.plot([cost, cost], [score.low, score.high], color=colour, linewidth=1, alpha=0.45)
    axes.plot(cost, score["value"], "o", color=colour, markersize=5)
    axes.annotate(f"{rank}", (cost, score["value"]), xytext=(5, 3), textcoords="offset points", fontsize=8.5)


def _cost_axis(axes: Axes, values: list[float], label: str) -> None:
    axes.set_xlabel(label)
    if values and max(values) > WIDE * min(values):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.margins(x=0.12)


def _colour(rank: int, entry: RankedRun) -> str:
    """Green for the best run, blue for those it does not beat, grey for the others."""
    return GREEN if rank == 1 else BLUE if entry.as_good else GREY
