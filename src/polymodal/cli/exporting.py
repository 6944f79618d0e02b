"""The command that writes a run in the form of another library: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polymodal import api
from polymodal.cli.options import Json, RunArg, printed, split


def export(
    run: RunArg,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="LIBRARY", help="The library: sentence-transformers, llava, optimum, onnx."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PATH", help="The folder to write.")],
    inputs: Annotated[
        str | None,
        typer.Option(
            "--inputs",
            "-i",
            metavar="COLUMNS",
            help="Inputs to export, with commas between; by default all it can.",
        ),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="For onnx, optimum: round the weights of matrix products to 8 bits."),
    ] = False,
    rows: Annotated[
        Path | None,
        typer.Option(
            "--rows",
            metavar="TABLE",
            help="For onnx: the rows to compare on. [those kept in the run]",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a run in the form of another library."""

    api.find_format(to)  # refused before torch is imported, as is the run
    api.require_run(run)
    made = api.export(run, to=to, output=output, inputs=split(inputs), int8=int8, rows=rows)
    content = {"output": str(made.folder), "to": to, "inputs": made.inputs, "left_out": made.left_out}
    content |= {"notes": made.notes} if made.notes else {}
    if printed(content, as_json):
        return
    named = ", ".join(f"{name} ({modality})" for modality, name in made.inputs.items())
    typer.echo(f"{named} exported to {made.folder}. Use it:\n  {made.usage}")
    for note in made.notes:
        typer.echo(note)
    if made.left_out:
        typer.echo(f"note: not in it: {', '.join(made.left_out)}", err=True)
