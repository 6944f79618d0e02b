"""The command that works on built-in data: demo."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from polymodal import api
from polymodal.cli.options import Json, command_name, printed
from polymodal.cli.show import console, titled_table


class DemoData(StrEnum):
    """What may follow ``--data``."""

    digits = "digits"
    houses = "houses"


def demo(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="Folder to write. [runs/demo; houses: this one]"),
    ] = None,
    data: Annotated[
        DemoData,
        typer.Option("--data", help="houses: write the tables and photos of the documentation, fit nothing."),
    ] = DemoData.digits,
    as_json: Json = False,
) -> None:
    """Fit, evaluate and predict on built-in data, or write data to try the commands with."""

    if data is DemoData.houses:
        tables = [str(path) for path in api.write_houses(output or Path())]
        if not printed({"tables": tables}, as_json):
            typer.echo(f"Wrote {', '.join(tables)} and their photos. Try:")
            typer.echo(f"  {command_name()} fit {shlex.quote(tables[0])} --target price")
        return
    result = api.run_demo(output or Path("runs/demo"), quiet=as_json)
    if not printed(result.to_json(), as_json):
        show_demo(result, command=command_name())


def show_demo(result: api.DemoResult, command: str) -> None:
    """What each modality is worth, a few answers, and a line to paste."""
    out = console()
    title = f"Accuracy on {result.rows} unseen rows"
    table = titled_table(title)
    table.add_column("the model is given")
    table.add_column("accuracy", justify="right")
    for given, accuracy in result.accuracy.items():
        table.add_row(given, f"{accuracy:.1%}")
    out.print(table)
    out.print()
    answers = titled_table("A few of them")
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
