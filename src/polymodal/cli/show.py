"""What the command line prints: tables for a terminal, plain where the output is no terminal."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from polymodal.data.checks.rejected import count_rows
from polymodal.data.schema.column_summary import brief
from polymodal.errors import LONGEST, DataError, one_line

if TYPE_CHECKING:
    import pandas as pd

    from polymodal.data.checks.check import CheckReport
    from polymodal.demo.demo_run import DemoResult
    from polymodal.pipelines.cross_validation import Repeats
    from polymodal.pipelines.multi_fit import Fits

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


def print_remarks(warnings: Iterable[str] = (), notes: Iterable[str] = ()) -> None:
    """Warnings and notes on standard error, a line each; what was printed when it came up is not repeated."""
    from polymodal.pipelines.pages import is_of_page

    out = Console(stderr=True, highlight=False)
    for warning in warnings:
        if not is_of_page(warning):
            out.print(Text(f"warning: {one_line(warning, LONGEST)}", style="yellow"), soft_wrap=True)
    for note in notes:
        out.print(Text(f"note: {one_line(note, LONGEST)}"), soft_wrap=True)


def titled_table() -> Table:
    """A table whose title stands above it: see :func:`print_titled`."""
    return Table(box=None, pad_edge=False)


def print_titled(table: Table, title: str) -> Console:
    """A title on a line of its own, be it wider than the table, and the table."""
    out = console()
    out.print(Text(one_line(title, 300)), soft_wrap=True)
    out.print(table)
    return out


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
    for note in report.notes:
        out.print(Text(f"note: {one_line(note, 400)}"), soft_wrap=True)
    for warning in report.warnings:
        out.print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)
    for problem in report.rejected[: DataError.SHOWN]:
        out.print(Text(f"left out: {problem}", style="yellow"), soft_wrap=True)
    if len(report.rejected) > DataError.SHOWN:
        out.print(f"left out: … and {len(report.rejected) - DataError.SHOWN} more")
    for problem in report.problems:
        out.print(Text(f"problem: {problem}", style="red"), soft_wrap=True)
    if report.conversation:
        out.print(Text(describe_tokens(report.conversation)), soft_wrap=True)
        out.print(Text(f"Row {report.conversation['row']} as the model sees it, what it learns in « »:"))
        out.print(Text(report.conversation["shown"]), soft_wrap=True)
    if report.ok:
        left = count_rows(report.rejected)
        without = f", without {left} row{'s' * (left > 1)}" if left else ""
        out.print(f"A fit would start{without}.")
    else:
        out.print(f"A fit would not start: {len(report.problems)} problem{'s' * (len(report.problems) > 1)}.")


def describe_tokens(conversation: Mapping[str, Any]) -> str:
    """How long the training rows are, in words."""
    tokens = conversation["tokens"]
    most = f", at most {tokens['most']} fit" if tokens["most"] else ""
    spread = f"{tokens['shortest']} to {tokens['longest']}, {tokens['median']:g} in the middle"
    return f"Tokens of a training row: {spread}{most}; {tokens['learned']:.1%} of them are learned."


def show_metrics(results: Mapping[str, Mapping[str, float]], title: str) -> None:
    """A table of metrics by target."""
    for target, metrics in results.items():
        table = titled_table()
        for name in metrics:
            table.add_column(name, justify="right")
        table.add_row(*map(brief, metrics.values()))
        print_titled(table, f"{title}: {target}")


def show_rows(frame: pd.DataFrame, numbers: Iterable[int]) -> None:
    """Rows of answers, each behind its number."""
    table = titled_table()
    for name in ("row", *frame.columns):
        table.add_column(one_line(str(name), 40), overflow="fold")
    for number, row in zip(numbers, frame.itertuples(index=False), strict=True):
        table.add_row(str(number), *(_shown_cell(cell) for cell in row))
    console().print(table)


def _shown_cell(cell: Any) -> str:
    if isinstance(cell, list):
        return ", ".join(map(_shown_cell, cell))
    if cell is None or cell != cell or type(cell).__name__ in ("NAType", "NaTType"):
        return ""
    return brief(float(cell)) if isinstance(cell, (float, np.floating)) else one_line(str(cell), 60)


def show_fit(folder: Path, results: Mapping[str, Any], command: str) -> None:
    """Test metrics, where the run lies, and what to do next."""
    if results["test"]:
        show_metrics(results["test"], title=f"{results['rows']['test']} test rows")
    out, trained, best = console(), results["train"], results["validation"]["epoch"]
    spent = f"{round(trained['epochs'], 2):g} epochs in {trained['seconds']:.0f} s"
    out.print(
        f"Trained on {results['rows']['train']} rows, {spent}; best epoch {round(best, 2):g}.", soft_wrap=True
    )
    print_remarks(results["warnings"], results["notes"])
    if (folder / "report.html").exists():
        out.print(f"What each input is worth: {folder / 'report.html'}", soft_wrap=True)
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
    if (result.folder / "report.html").exists():
        out.print(f"What each input is worth: {result.folder / 'report.html'}", soft_wrap=True)


def show_verdict(figures: Mapping[str, Any], page: Path) -> None:
    """What the report says first, and where it lies."""
    out = console()
    for name, target in figures["targets"].items():
        before = f"{name}: " if len(figures["targets"]) > 1 else ""
        said = target["verdict"]
        for line in [*said["sentences"], *(f"Next: {step}" for step in said["next"])]:
            out.print(Text(before + line), soft_wrap=True)
    out.print(f"The report lies in {page}.", soft_wrap=True)


def show_fits(fits: Fits, command: str) -> None:
    """A row a fit, the best by validation marked, and what to do with it; all metrics stand in the file."""
    out, first = console(), fits.fits[0]
    title = f"{len(fits.fits)} fits under equal settings"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, collapse_padding=True)
    table.add_column(fits.varied, no_wrap=True)
    measured = [(name, key) for name in first.test for key in _leading(fits, first.test[name])]
    tests = [f"test {name} {key}" if len(first.test) > 1 else f"test {key}" for name, key in measured]
    for head in (f"validation {fits.metric}", *tests, "parameters", "seconds", "rows/s"):
        table.add_column(head.replace("_", " "), justify="right", vertical="bottom")
    for fit in fits.fits:
        mark = " *" if fit.name == fits.best else ""
        tested = [brief(fit.test[name][key]) if key in fit.test[name] else "" for name, key in measured]
        counts = f"{fit.parameters:,}", f"{fit.seconds:.0f}", f"{fit.rows_per_second:.0f}"
        table.add_row(fit.name + mark, brief(fit.validation), *tested, *counts)
    out.print(table)
    print_remarks(fits.warnings, fits.notes)
    out.print("* best on the validation rows; the test rows have no say in it.")
    if fits.page:
        out.print(f"Which is better by more than chance, on the test rows: {fits.page}", soft_wrap=True)
    every = f"with every metric in {fits.varied}s.json" if first.test else f"with {fits.varied}s.json"
    out.print(f"The runs lie in {fits.folder}, {every}. Use the best:", soft_wrap=True)
    best = shlex.quote(str(fits.folder / fits.best))
    out.print(f"  {command} predict {best} TABLE -o answers.parquet", soft_wrap=True)


def show_repeats(repeats: Repeats, command: str) -> None:
    """Mean and range of every metric over the fits, and where they lie."""
    out, fits = console(), repeats.fits
    counts = [f"{repeats.folds} folds"] * bool(repeats.folds)
    counts += [f"{len(repeats.seeds)} seeds"] * (len(repeats.seeds) > 1)
    tested = f"{repeats.rows} test rows" if repeats.rows else "no test rows"
    title = f"{len(fits.fits)} fits ({' × '.join(counts) or 'one seed'}), {tested}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("metric")
    for name in ("mean", "lowest", "highest"):
        table.add_column(name, justify="right")
    for target, metrics in repeats.test.items():
        for key, spread in metrics.items():
            name = f"{target} {key}" if len(repeats.test) > 1 else key
            table.add_row(name, *map(brief, (spread.mean, spread.lowest, spread.highest)))
    if repeats.test:
        out.print(table)
    print_remarks(fits.warnings)
    answers = ", every row's answers in predictions.parquet" if repeats.folds else ""
    every = f"all figures in summary.json{answers}"
    out.print(f"The runs lie in {fits.folder}, {every}. Use one:", soft_wrap=True)
    one = shlex.quote(str(fits.folder / fits.fits[0].name))
    out.print(f"  {command} predict {one} TABLE -o answers.parquet", soft_wrap=True)


def show_search(search: Mapping[str, Any]) -> None:
    """A row a trial, the best marked."""
    trials, metric = search["trials"], search["metric"]
    table = Table(title=f"{len(trials)} trials", title_justify="left", box=None, pad_edge=False)
    names = list(dict.fromkeys(name for trial in trials for name in trial["choice"]))
    for name in ("trial", *names, f"validation {metric}", "seconds"):
        table.add_column(name.replace("_", " "), justify="left" if name == "fusion" else "right")
    for trial in trials:
        cells = [trial["choice"].get(name, "") for name in names]
        choice = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells]
        value = brief(trial["validation"]) if trial["validation"] is not None else "failed"
        cut = " (cut short)" if trial["state"] == "pruned" else ""
        mark = " *" if trial["number"] == search["best"] else ""
        table.add_row(f"{trial['number']}", *choice, value + cut + mark, f"{trial['seconds']:.1f}")
    out = console()
    out.print(table)
    out.print("* best on the validation rows, and fitted; the test rows had no say in it.")


def _leading(fits: Fits, metrics: Mapping[str, float]) -> list[str]:
    """What a terminal has room for: the metric that chose, and the first others."""
    chosen = fits.metric.rpartition(".")[2]
    ordered = sorted(metrics, key=lambda name: name != chosen)
    return ordered[: {1: 3, 2: 2}.get(len(fits.fits[0].test), 1)]
