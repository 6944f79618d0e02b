"""What runs cost beside what they are worth, drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, NullLocator

from polymodal.report.number_text import NAMES
from polymodal.report.plot_style import drawing
from polymodal.report.report_plots import BLUE, GREEN, GREY, percent_axis, points_plot, svg

AXES = {"parameters": "parameters", "seconds": "seconds of training"}
LONGEST = 34
"""Characters of a name that are drawn."""
WIDE = 3.0
"""Times the least cost from which an axis is logarithmic."""


def scores_plot(target: Mapping[str, Any]) -> Markup:
    """A row a run with its interval."""
    rows = []
    for place, entry in enumerate(target["runs"], start=1):
        name = entry["run"] if len(entry["run"]) <= LONGEST else f"…{entry['run'][1 - LONGEST :]}"
        rows.append((f"{place}  {name}", entry["score"], _colour(place, entry)))
    return Markup(points_plot(rows, target["score"], NAMES[target["score"]]))


def cost_plot(target: Mapping[str, Any], runs: Mapping[str, Any]) -> Markup | None:
    """Score against each cost in which runs differ, points numbered by place; None if in none."""
    costs = {
        key: [runs[entry["run"]]["cost"][key] for entry in target["runs"]]
        for key in AXES
        if len({runs[entry["run"]]["cost"][key] for entry in target["runs"]} - {None}) > 1
    }
    if not costs:
        return None
    with drawing():
        figure = Figure(figsize=(3.6 * len(costs), 2.9))
        every = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
        for axes, (key, values) in zip(every, costs.items(), strict=True):
            for place, (entry, value) in enumerate(zip(target["runs"], values, strict=True), start=1):
                if value is not None and entry["score"]["value"] is not None:
                    _point(axes, place, entry, value)
            _cost_axis(axes, [value for value in values if value], AXES[key])
        every[0].set_ylabel(NAMES[target["score"]])
        percent_axis(every[0], target["score"], "y")
        figure.tight_layout()
        return Markup(svg(figure, "score by cost"))


def _point(axes: Axes, place: int, entry: Mapping[str, Any], cost: float) -> None:
    score, colour = entry["score"], _colour(place, entry)
    if score["low"] is not None:
        axes.plot([cost, cost], [score["low"], score["high"]], color=colour, linewidth=1, alpha=0.45)
    axes.plot(cost, score["value"], "o", color=colour, markersize=5)
    axes.annotate(f"{place}", (cost, score["value"]), xytext=(5, 3), textcoords="offset points", fontsize=8.5)


def _cost_axis(axes: Axes, values: list[float], label: str) -> None:
    axes.set_xlabel(label)
    if values and max(values) > WIDE * min(values):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.margins(x=0.12)


def _colour(place: int, entry: Mapping[str, Any]) -> str:
    """The best, as good as the best, and beaten by it."""
    return GREEN if place == 1 else BLUE if entry["as_good"] else GREY
