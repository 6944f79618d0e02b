"""Commands that find things: index, search."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from polymodal import api
from polymodal.cli.options import (
    BatchSize,
    Device,
    Json,
    PrecisionOption,
    RunArg,
    TableArg,
    Threads,
    command_name,
    load_run,
    load_with_table,
    printed,
)
from polymodal.cli.reading import reads_table
from polymodal.cli.show import console, literal, titled_table
from polymodal.cli.skipped import OnError, OnErrorOption, tell_findings, warn

COLUMNS = 4
"""Fields of a hit that a terminal has room for; --json gives all."""
WIDEST = 40
"""Characters of a cell."""
IndexArg = Annotated[Path, typer.Argument(metavar="INDEX", help="The folder that polymodal index wrote.")]


@reads_table
def index(
    run: RunArg,
    table: TableArg,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="PATH", help="The index's folder: made, or brought up to date."
        ),
    ],
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="COLUMN", help="The column that tells rows apart. [their numbers]"),
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
    """Embed every input of every row for search; a second call continues an interrupted one."""

    opened, rows = load_with_table(run, table, device, precision, threads, load_run)
    done = api.index_to(
        opened, rows, output, key=key, delete=delete, batch_size=batch_size,
        on_error=on_error or OnError.refuse,
    )  # fmt: skip
    warn(done.rejected, "not indexed")
    findings = tell_findings(opened.inspect(rows))
    if not printed({"output": str(output), **done.plain(), **findings}, as_json):
        show_indexed(done, output, command_name())


def search(
    index: IndexArg,
    text: Annotated[str | None, typer.Option("--text", metavar="TEXT", help="Words to search for.")] = None,
    image: Annotated[str | None, typer.Option("--image", metavar="FILE", help="A picture's file.")] = None,
    audio: Annotated[str | None, typer.Option("--audio", metavar="FILE", help="A recording's file.")] = None,
    video: Annotated[str | None, typer.Option("--video", metavar="FILE", help="A clip's file.")] = None,
    input: Annotated[
        str | None,
        typer.Option("--in", metavar="COLUMN", help="The only input to look in. [all that can be compared]"),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            "--where", metavar="CONDITION", help="""A condition, such as: year > 2010 and kind = "flat"."""
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", metavar="N", help="The most hits.")] = 10,
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="RUN", help="The run that made the index. [where it was then]"),
    ] = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Find the items nearest to a text, image, recording or clip."""

    api.read_manifest(index)  # refused before torch is imported
    opened = api.open_index(index, run=run)
    api.use_threads(threads, run or opened.manifest.run_folder(index))
    query = api.Asked(None, text, image, audio, video)
    hits = opened.hits(query, input=input, where=where, k=k)
    if not printed(
        {"index": str(index), "rows": len(opened), "hits": [hit.plain() for hit in hits]}, as_json
    ):
        show_hits(hits, opened.manifest.inputs)


def show_indexed(done: api.Indexed, folder: Path, command: str) -> None:
    """Print what was done with the rows, the recall of the search, and an example command."""
    out = console()
    counts = {
        "embedded": done.embedded, "with other columns changed": done.amended, "as they were": done.kept,
        "taken away": done.removed,
    }  # fmt: skip
    changes = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing to do"
    out.print(f"{done.rows} rows in {folder}: {changes}.", soft_wrap=True)
    for name, ann in done.ann.items():
        recall = f"{ann['recall']:.1%} of the nearest 10 among {ann['rows']:,} vectors are found"
        out.print(literal(f"{api.one_line(name, 80)}: approximate, {recall}."), soft_wrap=True)
    if not done.example:
        return
    out.print("Search in it:")
    out.print(literal(f"  {command} search {shlex.quote(str(folder))} {done.example}"), soft_wrap=True)


def show_hits(hits: Sequence[api.Hit], inputs: Mapping[str, str]) -> None:
    """A line a hit: score, row, input, and the most telling fields."""
    out = console()
    if not hits:
        out.print("No hits.")
        return
    table = titled_table()
    names = telling(hits, inputs)
    table.add_column("score", justify="right")
    table.add_column("row", justify="right")
    for name in ("input", *names):
        table.add_column(literal(api.one_line(name, WIDEST)), overflow="fold")
    for hit in hits:
        cells = [literal(shown(hit.fields[name])) for name in names]
        table.add_row(f"{hit.score:.3f}", str(hit.row), literal(api.one_line(hit.input, WIDEST)), *cells)
    out.print(table)


def telling(hits: Sequence[api.Hit], inputs: Mapping[str, str]) -> list[str]:
    """The fields to show: inputs of words and files first, then those that differ between hits."""

    def rank(name: str) -> tuple[bool, bool]:
        cells = {str(hit.fields[name]) for hit in hits}
        content = api.content_of(inputs.get(name))
        return content is None or content.is_tabular, len(cells) == 1

    filled = [name for name in hits[0].fields if any(hit.fields[name] is not None for hit in hits)]
    chosen = sorted(filled, key=rank)[:COLUMNS]
    return [name for name in hits[0].fields if name in chosen]


def shown(cell: Any) -> str:
    """A cell on one short line."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return api.brief(cell)
    text = ", ".join(map(str, cell)) if isinstance(cell, list) else str(cell)
    return api.one_line(" ".join(text.split()), WIDEST)
