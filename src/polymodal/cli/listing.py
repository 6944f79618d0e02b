"""The command that lists runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polymodal import api
from polymodal.cli.options import Json, printed
from polymodal.cli.show import console, titled_table


def runs(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="A folder of runs, looked into three levels deep.")
    ] = Path("runs"),
    as_json: Json = False,
) -> None:
    """List the runs in a folder: table, target, leading test metric, date."""
    listed = api.list_runs(folder)
    if not printed({"runs": [entry.to_dict() for entry in listed]}, as_json):
        show_runs(listed, folder)


def show_runs(listed: list[api.RunEntry], folder: Path) -> None:
    """A row per run and target."""
    if not listed:
        typer.echo(f"{folder}: no runs. To make one: polymodal fit TABLE --target COLUMN")
        return
    table = titled_table()
    for head in ("run", "table", "target", "test", "rows", "written (UTC)"):
        table.add_column(head, justify="right" if head == "rows" else "left", no_wrap=True)
    for entry in listed:
        name, data = entry.run, api.one_line(Path(entry.data).name if entry.data else "in memory", 40)
        written = entry.written[:16].replace("T", " ") if entry.written else entry.state
        for target in entry.targets or list(entry.scores) or ["none"]:
            metric, value = entry.scores.get(target, ("", None))
            score = "" if value is None else f"{metric} {api.metric(metric, value)}"
            rows = "" if entry.rows is None else f"{entry.rows:,}"
            table.add_row(name, data, api.one_line(target, 40), score, rows, written)
            name = data = written = ""
    console().print(table, soft_wrap=True)
