"""Commands that use a run: predict, embed; and the cache."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Iterable
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from polymodal import api
from polymodal.cli.options import (
    BatchSize,
    Device,
    Engine,
    EngineOption,
    Json,
    Keep,
    PrecisionOption,
    RunArg,
    TableArg,
    TableOutput,
    Threads,
    Workers,
    command_name,
    load_with_table,
    printed,
    split,
)
from polymodal.cli.reading import reads_table
from polymodal.cli.show import console, titled_table
from polymodal.cli.skipped import OnError, OnErrorOption, counted, tell_findings, warn, written

if TYPE_CHECKING:
    import pandas as pd

FIRST = 10
"""Rows that are answered and shown where no file is named."""


@reads_table
def predict(
    run: RunArg,
    table: TableArg,
    output: TableOutput = None,
    keep: Keep = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Also a column per class.")] = False,
    batch_size: BatchSize = 128,
    on_error: OnErrorOption = None,
    device: Device = None,
    threads: Threads = None,
    precision: PrecisionOption = None,
    workers: Workers = None,
    engine: EngineOption = Engine.processes,
    as_json: Json = False,
) -> None:
    """Predict every row of a table, whose inputs may be missing; without -o print the first rows."""

    _check_output(output, as_json, workers, engine)
    opened, rows = load_with_table(run, table, device, precision, threads)
    settings: dict[str, Any] = {
        "probabilities": probabilities, "batch_size": batch_size, "on_error": on_error or OnError.refuse,
        "keep": split(keep),
    }  # fmt: skip
    if output is None:
        _show_first(
            opened,
            rows,
            settings,
            as_json,
            f"{command_name()} {shlex.join(['predict', str(run), rows.name])}",
        )
        return
    machine = {"workers": workers, "engine": engine.value, "device": device, "threads": threads}
    _write_all(opened, rows, output, "predict", settings, machine, as_json)


def _check_output(output: Path | None, as_json: bool, workers: int | None, engine: Engine) -> None:
    """Refuse a file that no table is written to before a model is loaded; of several processes, a folder."""

    if engine is not Engine.processes and workers is None:
        raise typer.BadParameter("it takes --workers N, the parts at once", param_hint="--engine")
    if workers is not None and (output is None or output.suffix or output.is_file()):
        got = "none" if output is None else f"'{output}'"
        message = f"several processes write a folder of Parquet parts: -o is {got}, expected a folder's name"
        raise typer.BadParameter(message, param_hint="--workers")
    if output is None or workers is not None:
        return
    if as_json and str(output) == api.STANDARD_OUTPUT:
        raise typer.BadParameter("standard output cannot hold CSV and JSON", param_hint="--json")
    api.check_output(output)


def _write_all(
    run: Any, rows: Any, output: Path, verb: Literal["predict", "embed"], settings: dict[str, Any],
    machine: dict[str, Any], as_json: bool,
) -> None:  # fmt: skip
    """Write the answers or vectors of all rows to a file, or by several processes to a folder."""
    rejected: list[str] = []
    if machine["workers"] is None:
        to_file: Any = api.predict_to if verb == "predict" else api.embed_to
        count = to_file(run, rows, output, rejected=rejected, **settings)
    else:
        parts = api.write_parts(run, rows, output, verb, rejected=rejected, **machine, **settings)
        count = parts.rows
        if parts.skipped and not as_json:
            typer.echo(f"complete parts that are skipped: {parts.skipped} of {parts.parts}")
    warn(rejected, {"predict": "not answered", "embed": "without a vector"}[verb])
    findings = tell_findings(run.inspect(rows))
    done = {"predict": "answered", "embed": "embedded"}[verb]
    _print_written(
        output, count, rejected if settings["on_error"] == OnError.skip else None, done, findings, as_json
    )


def _show_first(run: Any, rows: Any, settings: dict[str, Any], as_json: bool, command: str) -> None:
    """Predict the first rows and print them, with the command that writes all rows."""
    import pandas as pd
    import pyarrow as pa

    first = rows.select(range(min(FIRST, len(rows))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", api.InputWarning)  # printed for the whole table instead
        warnings.simplefilter("always", api.ReadingWarning)
        frame = pd.concat(list(run.predict_batches(first, **settings)))
    findings = tell_findings(run.inspect(rows))
    answers = api.json_rows(pa.Table.from_pandas(frame, preserve_index=False))
    if not printed({"rows": len(rows), "answers": answers, **findings}, as_json):
        show_rows(frame, first.places + 1)
        what = f"The first {len(frame)} of {len(rows)}" if len(frame) < len(rows) else f"All {len(rows)}"
        typer.echo(f"{what} rows. Write all with: {command} -o answers.csv")


def _print_written(
    output: Path, rows: int, rejected: list | None, what: str, findings: dict[str, Any], as_json: bool
) -> None:
    """What was written: on standard error where the table itself is on standard output."""
    if not printed({**written(output, rows, rejected), **findings}, as_json):
        to_screen = str(output) == "-"
        where = "on standard output" if to_screen else f"in {output}"
        typer.echo(f"{counted(rows, rejected or [])} {what} {where}", err=to_screen)


@reads_table
def embed(
    run: RunArg,
    table: TableArg,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="A .parquet, .csv, .tsv, .jsonl or .xlsx file, or - for CSV.",
        ),
    ],
    keep: Keep = None,
    input: Annotated[
        str | None,
        typer.Option("--input", metavar="COLUMN", help="One input's vector instead of the fused one."),
    ] = None,
    batch_size: BatchSize = 128,
    on_error: OnErrorOption = None,
    device: Device = None,
    threads: Threads = None,
    precision: PrecisionOption = None,
    workers: Workers = None,
    engine: EngineOption = Engine.processes,
    as_json: Json = False,
) -> None:
    """Write a vector for every row."""

    _check_output(output, as_json, workers, engine)
    opened, rows = load_with_table(run, table, device, precision, threads)
    settings = {
        "input": input, "batch_size": batch_size, "on_error": on_error or OnError.refuse, "keep": split(keep),
    }  # fmt: skip
    machine = {"workers": workers, "engine": engine.value, "device": device, "threads": threads}
    _write_all(opened, rows, output, "embed", settings, machine, as_json)


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Empty it.")] = False, as_json: Json = False
) -> None:
    """Show the size of the cache of decoded files and encoder outputs, or empty it."""

    store = api.DiskStore(api.default_folder(), limit=0)
    arrays, size = store.size()
    if store.broken and not clear:
        raise api.RunError(f"the cache cannot be read: {store.broken}. Empty it with polymodal cache --clear")
    if clear:
        store.clear()
    content = {"folder": str(store.path.parent), "arrays": arrays, "bytes": size, "cleared": clear}
    if not printed(content, as_json):
        held = f"{arrays} arrays, {size / 2**20:.1f} MB"
        typer.echo(f"{store.path.parent}: {held}{', taken away' if clear else ''}")


def show_rows(frame: pd.DataFrame, numbers: Iterable[int]) -> None:
    """Rows of answers, each behind its number."""
    table = titled_table()
    for name in ("row", *frame.columns):
        table.add_column(api.one_line(str(name), 40), overflow="fold")
    for number, row in zip(numbers, frame.itertuples(index=False), strict=True):
        table.add_row(str(number), *(_shown_cell(cell) for cell in row))
    console().print(table)


def _shown_cell(cell: Any) -> str:
    if isinstance(cell, list):
        return ", ".join(map(_shown_cell, cell))
    if cell is None or cell != cell or type(cell).__name__ in ("NAType", "NaTType"):
        return ""
    return (
        api.brief(float(cell))
        if isinstance(cell, Real) and not isinstance(cell, Integral)
        else api.one_line(str(cell), 60)
    )
