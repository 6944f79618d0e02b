"""Commands that look at data before a fit: check, init."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from polymodal import api
from polymodal.cli.options import (
    Answer,
    Inputs,
    Json,
    Offline,
    Prompt,
    SampleWeight,
    Settings,
    SourceArg,
    TableArg,
    Target,
    TaskOption,
    printed,
    require_templates,
    split,
    with_settings,
)
from polymodal.cli.pretrained import forbid_downloads
from polymodal.cli.reading import reads_table
from polymodal.cli.show import console, literal, titled_table
from polymodal.cli.skipped import OnErrorOption


@reads_table
def check(
    source: SourceArg,
    target: Target = None,
    inputs: Inputs = None,
    settings: Settings = None,
    task: TaskOption = None,
    prompt: Prompt = None,
    answer: Answer = None,
    on_error: OnErrorOption = None,
    weight: SampleWeight = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """How a fit would read a table, and what is wrong in it; exit status 1 if a fit would not start."""

    forbid_downloads(offline)
    require_templates(task, prompt, answer, source)
    settings = with_settings(settings, on_error, None, None, None, weight=weight)
    report = api.check(
        source,
        target=target,
        inputs=split(inputs),
        settings=settings,
        prompt=prompt,
        answer=answer,
        quiet=as_json,
        shown=None if as_json else show_rows,
    )
    if not printed(report.to_json(), as_json):
        show_verdict(report)
    if not report.ok:
        raise typer.Exit(1)


@reads_table
def init(table: TableArg, target: Target = None, inputs: Inputs = None, settings: Settings = None) -> None:
    """Print a declaration (run.yaml) of a fit, with all that was inferred, to edit."""

    typer.echo(api.init(table, target=target, inputs=split(inputs), settings=settings or ()), nl=False)


def show_check(report: api.CheckReport) -> None:
    """Columns, then warnings, then problems, then whether a fit would start."""
    show_rows(report)
    show_verdict(report)


def show_rows(report: api.CheckReport) -> None:
    """Print the columns, then notes and warnings."""
    rows = ", ".join(f"{count} {split}" for split, count in report.rows.items())
    table = titled_table(api.one_line(f"{report.table}: {rows}", 300))
    for name in ("column", "role", "as", "empty", "content"):
        table.add_column(name, overflow="fold")
    for column in report.columns:
        empty = f"{column.empty:.0%}" if column.empty >= 0.005 or not column.empty else "<1%"
        content = "; ".join(part for part in (column.detail, column.reason) if part)
        name = api.one_line(column.column, 80)
        table.add_row(name, column.role, column.modality or "", empty, api.one_line(content, 400))
    out = console()
    out.print(table)
    for note in report.notes:
        out.print(literal(f"note: {api.one_line(note, 400)}"), soft_wrap=True)
    for warning in report.warnings:
        out.print(literal(f"warning: {warning}", style="yellow"), soft_wrap=True)
    for problem in report.rejected[: api.DataError.SHOWN]:
        out.print(literal(f"left out: {problem}", style="yellow"), soft_wrap=True)
    if len(report.rejected) > api.DataError.SHOWN:
        out.print(f"left out: … and {len(report.rejected) - api.DataError.SHOWN} more")


def show_verdict(report: api.CheckReport) -> None:
    """Print the problems, and whether a fit would start."""
    out = console()
    for problem in report.problems:
        out.print(literal(f"problem: {problem}", style="red"), soft_wrap=True)
    if report.conversation:
        out.print(literal(describe_tokens(report.conversation)), soft_wrap=True)
        out.print(literal(f"Row {report.conversation['row']} as the model sees it, what it learns in « »:"))
        out.print(literal(report.conversation["shown"]), soft_wrap=True)
    if report.ok:
        left = api.count_rows(report.rejected)
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
