"""Commands that use a run: predict, embed; and the cache."""

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
    load_any_run,
    load_run,
    printed,
)
from polymodal.cli.reading import reads_table
from polymodal.cli.skipped import OnError, OnErrorOption, counted, warn, written


@reads_table
def predict(
    run: RunArg,
    table: TableArg,
    output: Annotated[Path, typer.Option("--output", "-o", help="The Parquet file to write.")],
    probabilities: Annotated[bool, typer.Option("--probabilities", help="A column a class as well.")] = False,
    batch_size: BatchSize = 128,
    on_error: OnErrorOption = None,
    device: Device = None,
    threads: Threads = None,
    precision: PrecisionOption = None,
    as_json: Json = False,
) -> None:
    """Answer every row of a table; inputs may be missing."""
    from polymodal import api

    rejected: list = []
    rows = api.predict_to(
        load_any_run(run, device, precision, threads), table, output, probabilities=probabilities,
        batch_size=batch_size, on_error=on_error or OnError.refuse, rejected=rejected,
    )  # fmt: skip
    warn(rejected, "not answered")
    if not printed(written(output, rows, rejected if on_error else None), as_json):
        typer.echo(f"{counted(rows, rejected)} answered in {output}")


@reads_table
def embed(
    run: RunArg,
    table: TableArg,
    output: Annotated[Path, typer.Option("--output", "-o", help="The Parquet file to write.")],
    input: Annotated[
        str | None, typer.Option("--input", help="One input's vector instead of the fused one.")
    ] = None,
    batch_size: BatchSize = 128,
    on_error: OnErrorOption = None,
    device: Device = None,
    threads: Threads = None,
    precision: PrecisionOption = None,
    as_json: Json = False,
) -> None:
    """Write every row's vector."""
    from polymodal import api

    rejected: list = []
    rows = api.embed_to(
        load_run(run, device, precision, threads), table, output, input=input, batch_size=batch_size,
        on_error=on_error or OnError.refuse, rejected=rejected,
    )  # fmt: skip
    warn(rejected, "without a vector")
    if not printed(written(output, rows, rejected if on_error else None), as_json):
        typer.echo(f"{counted(rows, rejected)} embedded in {output}")


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Empty it.")] = False, as_json: Json = False
) -> None:
    """Show what is kept of decoded files and frozen encoders, or empty it."""
    from polymodal.data.store import DiskStore, default_folder
    from polymodal.errors import RunError

    store = DiskStore(default_folder(), limit=0)
    arrays, size = store.size()
    if store.broken and not clear:
        raise RunError(f"the cache cannot be read: {store.broken}. Empty it with polymodal cache --clear")
    if clear:
        store.clear()
    found = {"folder": str(store.path.parent), "arrays": arrays, "bytes": size, "cleared": clear}
    if not printed(found, as_json):
        held = f"{arrays} arrays, {size / 2**20:.1f} MB"
        typer.echo(f"{store.path.parent}: {held}{', taken away' if clear else ''}")
