"""Commands that say what runs are worth: report, compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from polymodal.cli.options import Device, Json, PrecisionOption, RunArg, load_run, printed


def report(
    run: RunArg,
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="By default the run's own test rows.")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="Rows of one value of this column hang together.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A folder; by default the run's own.")
    ] = None,
    device: Device = None,
    precision: PrecisionOption = None,
    as_json: Json = False,
) -> None:
    """What each input is worth, and how sure that is: report.html and report.json."""
    from polymodal.report.writing import report as make

    page = make(load_run(run, device, precision), table, group=group, output=output)
    figures = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    if not printed({"report": str(page), **figures}, as_json):
        from polymodal.cli.show import show_verdict

        show_verdict(figures, page)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN …", help="The folders that fits wrote.")],
    group: Annotated[
        str | None, typer.Option("--group", help="Rows of one value of this column hang together.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder; by default that in which all runs lie, or this one."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Which run is best on the same test rows, how sure that is, and at what cost: compare.html."""
    from polymodal import api
    from polymodal.report.comparing import default_output

    found = api.compare(runs, group=group)
    page = found.write(output or default_output(runs))
    if not printed({"page": str(page), **found.figures}, as_json):
        from polymodal.cli.show_compare import show_comparison

        show_comparison(found.figures, page)
