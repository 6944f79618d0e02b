"""What the command line prints: tables for a terminal, plain where the output is no terminal."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from polymodal.data.describe import brief
from polymodal.data.rejected import count_rows
from polymodal.errors import DataError, one_line

if TYPE_CHECKING:
    from polymodal.data.check import CheckReport
    from polymodal.demo.run import DemoResult

NARROWEST = 100
"""Columns where standard output is no terminal: a file has no width to respect."""


def console() -> Console:
    """Standard output; not narrower than a table needs when it goes to a file."""
    plain = Console(highlight=False, markup=False, emoji=False)  # names of columns are no markup
    if plain.is_terminal:
        return plain
    return Console(
        highlight=False, markup=False, emoji=False, width=max(NARROWEST, shutil.get_terminal_size().columns)
    )


def show_check(report: CheckReport) -> None:
    """Columns, then warnings, then problems, then whether a fit would start."""
    rows = ", ".join(f"{count} {split}" for split, count in report.rows.items())
    table = Table(
        title=one_line(f"{report.table}: {rows}", 300), title_justify="left", box=None, pad_edge=False
    )
    for name in ("column", "role", "as", "empty", "content"):
        table.add_column(name, overflow="fold")
    for column in report.columns:
        empty = f"{column.empty:.0%}" if column.empty >= 0.005 or not column.empty else "<1%"
        content = "; ".join(part for part in (column.detail, column.reason) if part)
        name = one_line(column.column, 80)
        table.add_row(name, column.role, column.modality or "", empty, one_line(content, 400))
    out = console()
    out.print(table)
    for warning in report.warnings:
        out.print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)
    for problem in report.rejected[: DataError.SHOWN]:
        out.print(Text(f"left out: {problem}", style="yellow"), soft_wrap=True)
    if len(report.rejected) > DataError.SHOWN:
        out.print(f"left out: … and {len(report.rejected) - DataError.SHOWN} more")
    for problem in report.problems:
        out.print(Text(f"problem: {problem}", style="red"), soft_wrap=True)
    if report.ok:
        left = count_rows(report.rejected)
        out.print(f"A fit would start{f', without {left} rows' if left else ''}.")
    else:
        out.print(f"A fit would not start: {len(report.problems)} problem{'s' * (len(report.problems) > 1)}.")


def show_metrics(results: Mapping[str, Mapping[str, float]], title: str) -> None:
    """A table of metrics by target."""
    out = console()
    for target, metrics in results.items():
        table = Table(title=f"{title}: {target}", title_justify="left", box=None, pad_edge=False)
        for name in metrics:
            table.add_column(name, justify="right")
        table.add_row(*map(brief, metrics.values()))
        out.print(table)


def show_fit(folder: Path, results: Mapping[str, Any], command: str) -> None:
    """Test metrics, where the run lies, and what to do next."""
    if results["test"]:
        show_metrics(results["test"], title=f"{results['rows']['test']} test rows")
    out, trained, best = console(), results["train"], results["validation"]["epoch"]
    spent = f"{round(trained['epochs'], 2):g} epochs in {trained['seconds']:.0f} s"
    out.print(
        f"Trained on {results['rows']['train']} rows, {spent}; best epoch {round(best, 2):g}.", soft_wrap=True
    )
    for warning in results["warnings"]:
        Console(stderr=True).print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)
    for note in results["notes"]:
        Console(stderr=True).print(Text(f"note: {note}"), soft_wrap=True)
    out.print(f"The run lies in {folder}. Use it:", soft_wrap=True)
    out.print(f"  {command} predict {shlex.quote(str(folder))} TABLE -o answers.parquet", soft_wrap=True)


def show_demo(result: DemoResult, command: str) -> None:
    """What each modality is worth, a few answers, and a line to paste."""
    out = console()
    title = f"Accuracy on {result.rows} unseen rows"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("the model is given")
    table.add_column("accuracy", justify="right")
    for given, accuracy in result.accuracy.items():
        table.add_row(given, f"{accuracy:.1%}")
    out.print(table)
    out.print()
    answers = Table(title="A few of them", title_justify="left", box=None, pad_edge=False)
    for name in result.answers.columns:
        answers.add_column(name)
    for row in result.answers.itertuples(index=False):
        answers.add_row(*(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row))
    out.print(answers)
    out.print()
    made = f"made in {result.seconds:.0f} s. Its data look like yours; try:"
    out.print(f"The run lies in {result.folder}, {made}", soft_wrap=True)
    again = f"{command} fit {result.table} --target digit -o {result.folder.parent / 'mine'}"
    out.print(f"  {again}", soft_wrap=True)
