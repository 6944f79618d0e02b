"""Plots as SVG that lies in the page: text stays text, ink takes the page's colour, in light and in dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import PathCollection
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from polymodal.errors import one_line
from polymodal.evaluation.number_text import NAMES, SHARES, plain
from polymodal.report.plot_style import FAINT, INK, drawing, name_lines, shown_name

PAGE = {INK: "currentColor", FAINT: "var(--line)"}
BLUE, ORANGE, GREEN, GREY = "#3d7dd8", "#d9822b", "#2f9e6e", "#8a93a0"
COLOURS = (BLUE, ORANGE, GREEN, "#b0579e", "#7b6bd6", "#c2504d", "#2aa3b8", "#b59a1f", "#8c6d4f", GREY)
WIDTH = 9.4
"""Inches of a plot that is as wide as the page."""
MOST_SHARE = 1.015
"""End of an axis of shares: all of them, and half of a point that is drawn there."""
FROM_ZERO = 0.5
"""An axis whose values above zero span less than this share of the largest does not begin at zero."""
BESIDE: Any = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
"""Position of a legend beside the axes, where it would hide curves."""
BELOW: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.22), "ncols": 3}
"""Position of a legend below the axes."""


def worth_plot(worth: Mapping[str, Any]) -> str:
    """Each input alone and left out, all and none, as points with their intervals."""
    rows = [("all inputs", worth["all"], GREEN)]
    if len(worth["inputs"]) > 1:
        rows += [(f"only {name}", entry["alone"], BLUE) for name, entry in worth["inputs"].items()]
        if len(worth["inputs"]) > 2:
            rows += [
                (f"without {name}", entry["left_out"], ORANGE) for name, entry in worth["inputs"].items()
            ]
    rows.append(("no input", worth["none"], GREY))
    return points_plot(rows, worth["score"], NAMES[worth["score"]])


def shapley_plot(worth: Mapping[str, Any]) -> str:
    """The Shapley value of each input; their sum is all less none."""
    names = sorted(worth["inputs"], key=lambda name: -(worth["inputs"][name]["shapley"]["value"] or 0))
    rows = [(name, worth["inputs"][name]["shapley"], BLUE) for name in names]
    return points_plot(rows, worth["score"], "share of the score (Shapley value)", bars=True)


def points_plot(
    rows: Sequence[tuple[str, Mapping[str, Any], str]], score: str, label: str, *, bars: bool = False
) -> str:
    """One line per estimate ``(name, estimate, colour)``, from the top down."""
    with drawing():
        figure = Figure(figsize=(WIDTH, 0.6 + 0.32 * len(rows)))
        axes = figure.add_subplot()
        for index, (_, estimate, colour) in enumerate(rows):
            if estimate["value"] is None:
                continue
            if bars:
                axes.barh(index, estimate["value"], height=0.55, color=colour, alpha=0.85)
            else:
                axes.plot(estimate["value"], index, "o", color=colour, markersize=6)
            if estimate["low"] is not None:
                ends, ink = [estimate["low"], estimate["high"]], INK if bars else colour
                axes.plot(ends, [index, index], color=ink, linewidth=1.4, solid_capstyle="butt")
        axes.set_yticks(range(len(rows)), [shown_name(name) for name, _, _ in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(shown_name(label))
        if bars:
            axes.axvline(0, color=INK, linewidth=0.8)
        percent_axis(axes, score)
        from_zero(axes)
        return svg(figure, label)


def from_zero(axes: Axes, axis: str = "x") -> None:
    """Begin an axis of values above zero at zero, or note in its label that it does not."""
    low, high = getattr(axes, f"get_{axis}lim")()
    if low <= 0:
        return
    if (high - low) > FROM_ZERO * high:
        getattr(axes, f"set_{axis}lim")(0, high)
    else:
        label = getattr(axes, f"get_{axis}label")()
        getattr(axes, f"set_{axis}label")(f"{label}\n(the axis does not begin at 0)")


def number_axis(axes: Axes, axis: str) -> None:
    """Format an axis as numbers with thousands separators, without a factor beside it."""
    getattr(axes, f"{axis}axis").set_major_formatter(FuncFormatter(lambda value, _: plain(value)))


def percent_axis(axes: Axes, score: str, axis: str = "x") -> None:
    """Format an axis as percentages, for scores that are shares."""
    if score not in SHARES:
        return
    getattr(axes, f"{axis}axis").set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
    low, high = getattr(axes, f"get_{axis}lim")()
    if high > MOST_SHARE > low:
        getattr(axes, f"set_{axis}lim")(low, MOST_SHARE)


def lines_plot(
    lines: Sequence[tuple[str, Sequence[float], Sequence[float | None]]], x: str, y: str, score: str = ""
) -> str:
    """Curves ``(name, xs, ys)``, named in a legend."""
    with drawing():
        figure = Figure(figsize=(WIDTH, 3.0))
        axes = figure.add_subplot()
        for index, (_, xs, ys) in enumerate(lines):
            kept = [(a, b) for a, b in zip(xs, ys, strict=True) if b is not None]
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(
                *zip(*kept, strict=True), "o-", color=colour, markersize=3, linewidth=1.5, label=f"{index}"
            )
        axes.set_xlabel(shown_name(x))
        axes.set_ylabel(shown_name(y))
        number_axis(axes, "y")
        percent_axis(axes, score, "y")
        from_zero(axes, "y")
        if len(lines) > 1:
            name_lines(axes, [name for name, _, _ in lines], **BESIDE)
        return svg(figure, f"{y} by {x}")


def confusion_plot(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Confusion matrix: actual classes down, predicted ones across; colour is the share of the true class."""
    matrix = np.array(counts, dtype=float)
    shares = matrix / matrix.sum(axis=1, keepdims=True).clip(min=1)
    with drawing():
        side = min(WIDTH, 1.4 + 0.42 * len(classes))
        figure = Figure(figsize=(side, side))
        axes = figure.add_subplot()
        colours = LinearSegmentedColormap.from_list("shares", [(*to_rgb(BLUE), 0.0), (*to_rgb(BLUE), 1.0)])
        axes.imshow(shares, cmap=colours, vmin=0, vmax=1)
        for row, column in zip(*np.nonzero(matrix), strict=True):
            ink = "white" if shares[row, column] > 0.5 else INK
            count = f"{int(matrix[row, column])}"
            axes.text(column, row, count, ha="center", va="center", color=ink, fontsize=8)
        indices, names = range(len(classes)), [shown_name(name) for name in classes]
        axes.set_xticks(indices, names, rotation=90 if max(map(len, names)) > 3 else 0)
        axes.set_yticks(indices, names)
        axes.set_xlabel("predicted")
        axes.set_ylabel("actual")
        axes.grid(visible=False)
        return svg(figure, "actual by predicted classes")


def residuals_plot(points: Sequence[Mapping[str, float]], unit: str = "") -> str:
    """Residuals by prediction, in ``unit``."""
    with drawing():
        figure = Figure(figsize=(WIDTH, 3.4))
        axes = figure.add_subplot()
        answers, residuals = ([point[key] for point in points] for key in ("answer", "residual"))
        axes.plot(answers, residuals, "o", color=BLUE, markersize=3, alpha=0.6, markeredgewidth=0)
        axes.axhline(0, color=INK, linewidth=0.8)
        beside = f" ({shown_name(unit)})" if unit else ""
        axes.set_xlabel(f"predicted{beside}")
        axes.set_ylabel(f"predicted − actual{beside}")
        number_axis(axes, "x")
        number_axis(axes, "y")
        from_zero(axes)
        return svg(figure, "residuals")


def robustness_plot(
    lines: Sequence[tuple[str, Sequence[float], Sequence[Mapping[str, Any]]]],
    score: str,
    x: str,
    floor: Mapping[str, Any] | None = None,
) -> str:
    """A score against something that grows worse: ``(name, xs, estimates)``, each with its band.

    Args:
        lines: The curves.
        score: What is measured.
        x: What grows.
        floor: The estimate without the input, as a dashed line; None where there is none.
    """
    with drawing():
        figure = Figure(figsize=(4.6 if floor else WIDTH, 2.8))
        axes = figure.add_subplot()
        for index, (_, xs, estimates) in enumerate(lines):
            colour = COLOURS[index % len(COLOURS)]
            low, value, high = (
                np.array([estimate[key] for estimate in estimates], dtype=float)
                for key in ("low", "value", "high")
            )
            axes.plot(xs, value, "o-", color=colour, markersize=3, linewidth=1.5, label=f"{index}")
            axes.fill_between(xs, low, high, color=colour, alpha=0.2 / len(lines) ** 0.5, linewidth=0)
        names = [name for name, _, _ in lines]
        if floor is not None and floor["value"] is not None:
            axes.axhline(floor["value"], color=INK, linewidth=0.9, linestyle="--", label="floor")
            names.append("without it")
        axes.set_xlabel(shown_name(x))
        axes.set_ylabel(NAMES[score])
        percent_axis(axes, score, "y")
        from_zero(axes, "y")
        if floor is None:
            percent_axis(axes, "accuracy")  # a share of the cells
        if floor is not None:
            name_lines(axes, names, fontsize=8, **BELOW)
        elif len(lines) > 1:
            name_lines(axes, names, **BESIDE)
        return svg(figure, f"{NAMES[score]} by {x}")


def reliability_plot(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Reliability diagram: accuracy per bin of confidence; the diagonal is perfect calibration."""
    with drawing():
        figure = Figure(figsize=(WIDTH, 3.6))
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.9, linestyle="--", label="perfect calibration")
        shown = [("predictions", after, BLUE)]
        if before != after:
            shown = [("before", before, ORANGE), ("with temperature", after, BLUE)]
        for name, diagram, colour in shown:
            total = sum(entry["count"] for entry in diagram["bins"])
            confidence, right, share = (
                np.array([entry[key] for entry in diagram["bins"]], dtype=float)
                for key in ("confidence", "accuracy", "count")
            )
            axes.plot(confidence, right, "-", color=colour, linewidth=1.2)
            sizes = 12 + 160 * share / total
            axes.scatter(confidence, right, s=sizes, color=colour, alpha=0.75, linewidth=0, label=name)
        axes.set_aspect("equal")
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("confidence")
        axes.set_ylabel("accuracy")
        percent_axis(axes, "accuracy")
        percent_axis(axes, "accuracy", "y")
        legend = axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        for handle in legend.legend_handles[1:]:
            assert isinstance(handle, PathCollection)
            handle.set_sizes([40])
        return svg(figure, "accuracy by confidence")


def svg(figure: Figure, label: str) -> str:
    """The drawing as an element of a page, with ``label`` for those who cannot see it."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure)
    with drawing():
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for stand_in, colour in PAGE.items():
        text = text.replace(stand_in, colour)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    title = escape(one_line(label, 300))
    return text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
