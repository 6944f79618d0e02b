"""Commands that find things: index, search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polymodal.cli.options import (
    BatchSize,
    Device,
    Json,
    PrecisionOption,
    RunArg,
    TableArg,
    Threads,
    compute_with,
    load_run,
    printed,
)
from polymodal.cli.reading import reads_table
from polymodal.cli.skipped import OnError, OnErrorOption, tell_findings, warn

IndexArg = Annotated[Path, typer.Argument(metavar="INDEX", help="The folder that polymodal index wrote.")]


@reads_table
def index(
    run: RunArg,
    table: TableArg,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The index's folder: made, or brought up to date.")
    ],
    key: Annotated[
        str | None, typer.Option("--key", help="The column that tells rows apart. [their numbers]")
    ] = None,
    delete: Annotated[
        bool, typer.Option("--delete", help="Take rows away that the table does not have.")
    ] = False,
    batch_size: BatchSize = 128,
    on_error: OnErrorOption = None,
    device: Device = None,
    threads: Threads = None,
    precision: PrecisionOption = None,
    as_json: Json = False,
) -> None:
    """Embed every input of every row, to search in; called again, it goes on where it stopped."""
    from polymodal import api
    from polymodal.data.tables.table import read_table

    opened, rows = load_run(run, device, precision, threads), read_table(table)
    done = api.index_to(
        opened, rows, output, key=key, delete=delete, batch_size=batch_size,
        on_error=on_error or OnError.refuse,
    )  # fmt: skip
    warn(done.rejected, "not indexed")
    told = tell_findings(opened.inspect(rows))
    if not printed({"output": str(output), **done.plain(), **told}, as_json):
        from polymodal.cli.options import command_name
        from polymodal.cli.show_search import show_indexed

        show_indexed(done, output, command_name())


def search(
    index: IndexArg,
    text: Annotated[str | None, typer.Option("--text", help="Words to search for.")] = None,
    image: Annotated[str | None, typer.Option("--image", help="A picture's file.")] = None,
    audio: Annotated[str | None, typer.Option("--audio", help="A recording's file.")] = None,
    video: Annotated[str | None, typer.Option("--video", help="A clip's file.")] = None,
    input: Annotated[
        str | None, typer.Option("--in", help="The only input to look in. [all that can be compared]")
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", help="""A condition, such as: year > 2010 and kind = "flat".""")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="The most hits.")] = 10,
    run: Annotated[
        Path | None, typer.Option("--run", help="The run that made the index. [where it was then]")
    ] = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Find the items nearest to a text, picture, recording or clip; nothing is opened."""
    from polymodal import api
    from polymodal.search.querying import Asked

    opened = api.open_index(index, run=run)
    compute_with(threads, run or opened.manifest.run_folder(index))
    asked = Asked(None, text, image, audio, video)
    hits = opened.hits(asked, input=input, where=where, k=k)
    if not printed(
        {"index": str(index), "rows": len(opened), "hits": [hit.plain() for hit in hits]}, as_json
    ):
        from polymodal.cli.show_search import show_hits

        show_hits(hits, opened.manifest.inputs)
