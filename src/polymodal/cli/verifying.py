"""The command that compares the answers of a run with those of its fit: verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polymodal import api
from polymodal.cli.options import Json, RunArg, Threads, printed, split


def verify(
    run: RunArg,
    paths: Annotated[
        str | None,
        typer.Option(
            "--paths", metavar="NAMES", help="python, service, exports, with commas between. [all of them]"
        ),
    ] = None,
    exports: Annotated[
        list[Path] | None,
        typer.Option(
            "--export", metavar="PATH", help="An export of this run to replay, too; may be repeated."
        ),
    ] = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Replay the rows kept in a run, by every path, and compare the answers with those of the fit."""
    api.require_run(run)
    api.use_threads(threads, run)
    shown = None if as_json else _show
    verification = api.verify(run, paths=split(paths), exports=exports or (), shown=shown)
    printed(verification.to_json(), as_json)
    if not verification.equal:
        raise typer.Exit(1)


def _show(result: api.PathResult) -> None:
    """A line per path on standard output, and one per difference on standard error."""
    typer.echo(api.path_line(result))
    for line in api.difference_lines(result):
        typer.echo(line, err=True)
