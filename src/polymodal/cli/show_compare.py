"""What ``polymodal compare`` prints: a leaderboard a target, what it says, and where the page lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from polymodal.cli.show import console, print_remarks
from polymodal.report.number_text import NAMES, number, points, span


def show_comparison(figures: Mapping[str, Any], page: Path) -> None:
    """Leaderboards with cost, then the sentences of each target, then the page."""
    out = console()
    for name, target in figures["targets"].items():
        out.print(_leaderboard(name, target, figures["runs"]))
        if any(entry["as_good"] for entry in target["runs"][1:]):
            out.print("= as good as the best as far as these rows tell")
        for sentence in target["sentences"]:
            out.print(Text(sentence), soft_wrap=True)
        out.print()
    print_remarks(notes=figures["notes"])
    out.print(f"The comparison lies in {page}.", soft_wrap=True)


def _leaderboard(name: str, target: Mapping[str, Any], runs: Mapping[str, Any]) -> Table:
    score = target["score"]
    title = f"{name}: {NAMES[score]} on {target['rows']:,} test rows"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, collapse_padding=True)
    table.add_column("run", overflow="fold")
    for head in (NAMES[score], "95 % interval", "behind", "parameters", "seconds", "rows/s"):
        table.add_column(head, justify="right")
    for place, entry in enumerate(target["runs"]):
        cost = runs[entry["run"]]["cost"]
        mark = " *" if place == 0 else " =" if entry["as_good"] else ""
        table.add_row(
            Text(entry["run"] + mark),
            number(score, entry["score"]["value"]),
            span(score, entry["score"]),
            "" if place == 0 else points(score, entry["behind"]["value"]).removesuffix(" points"),
            *(f"{cost[key]:,.0f}" if cost[key] is not None else "–" for key in cost),
        )
    return table
