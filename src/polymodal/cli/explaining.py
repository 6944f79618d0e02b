"""The command that says why a run answers as it does: explain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polymodal.cli.options import Device, Json, RunArg, TableArg, load_run, printed


def explain(
    run: RunArg,
    table: TableArg,
    rows: Annotated[
        str | None, typer.Option("--rows", help="Such as 3,8: from 1, the header not counted. [first 8]")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", help="Target to explain; may be repeated. [all]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A folder; by default the run's own.")
    ] = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Why rows are answered as they are: explanations.html and explanations.parquet."""
    from polymodal.explaining.frame import summary
    from polymodal.explaining.writing import explain as make
    from polymodal.explaining.writing import write_explanations

    opened = load_run(run, device, None)
    found = make(opened, table, rows, targets=target or None)
    page, frame = write_explanations(found, opened, output or opened.folder)
    figures = {
        "page": str(page), "frame": str(frame), "told": found.sentences(),
        "answers": [summary(entry) for entry in found.entries],
    }  # fmt: skip
    if not printed(figures, as_json):
        from polymodal.cli.show_explaining import show_explanations

        show_explanations(found, page)
