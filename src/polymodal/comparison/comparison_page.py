"""The page of a comparison, from its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polymodal.comparison.cost_plots import cost_plot, scores_plot
from polymodal.report.number_text import difference
from polymodal.report.report_page import render


def comparison_page(figures: Mapping[str, Any], footer: str) -> str:
    """``compare.html``: verdict, leaderboard, cost and pairs of every target.

    Args:
        figures: Those of :class:`polymodal.comparison.comparison.Comparison`.
        footer: The last line.
    """
    targets = figures["targets"]
    return render(
        "compare.html",
        comparison=figures,
        plots={
            name: {"scores": scores_plot(target), "cost": cost_plot(target, figures["runs"])}
            for name, target in targets.items()
        },
        matrix={name: matrix(target) for name, target in targets.items()},
        title=f"{len(figures['runs'])} runs compared on {', '.join(targets)}",
        footer=footer,
    )


def matrix(target: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, str]]:
    """What stands in the cell of a row's run and a column's: the difference, coloured if it is no chance."""
    cells = {}
    for pair in target["pairs"]:
        if pair["p"] is None:
            continue
        better, worse, beats = pair["better"], pair["worse"], pair["beats"]
        said = difference(target["score"], pair["difference"])
        title = f"{better} less {worse}: {said}, certainty {100 * pair['certainty']:.1f} %"
        mirrored = {"value": -pair["difference"]["value"], "low": None, "high": None}
        for key, estimate, mark in (
            ((better, worse), pair["difference"], "ahead"),
            ((worse, better), mirrored, "after"),
        ):
            text = difference(target["score"], estimate, sign=True).partition(" ")[0]
            cells[key] = {"text": text, "title": title, "mark": mark if beats else ""}
    return cells
