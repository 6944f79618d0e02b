"""Commands that say what runs are worth and why they answer as they do: report, explain, compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from polymodal.cli.options import (
    Device,
    Json,
    PrecisionOption,
    RunArg,
    TableArg,
    Threads,
    compute_with,
    load_run,
    printed,
    split,
)
from polymodal.cli.reading import reads_table
from polymodal.cli.skipped import tell_findings


@reads_table
def report(
    run: RunArg,
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="By default the run's own test rows.")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="Rows of one value of this column hang together.")
    ] = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="Columns whose values are compared, with commas between.")
    ] = None,
    noise_rows: Annotated[
        int | None, typer.Option("--noise-rows", min=0, help="Rows to make worse step by step; 0 for none.")
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Fit each input alone and all but each afresh as well.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="With --retrain: fits of each; 3 by default.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A folder; by default the run's own.")
    ] = None,
    device: Device = None,
    threads: Threads = None,
    precision: PrecisionOption = None,
    as_json: Json = False,
) -> None:
    """What each input is worth, and how sure that is: report.html and report.json."""
    from polymodal.pipelines.ablation import SEEDS
    from polymodal.report.report_writing import report as make

    if seeds is not None and not retrain:
        raise typer.BadParameter("it goes with --retrain", param_hint="--seeds")
    page = make(
        load_run(run, device, precision, threads),
        table,
        group=group,
        by=split(by),
        noise_rows=noise_rows,
        retrain=(seeds or SEEDS) if retrain else 0,
        quiet=as_json,
        output=output,
    )
    figures = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    if not printed({"report": str(page), **figures}, as_json):
        from polymodal.cli.show import show_verdict

        show_verdict(figures, page)


@reads_table
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
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Why rows are answered as they are: explanations.html and explanations.parquet."""
    from polymodal.attribution.explanation_page import explain as make
    from polymodal.attribution.explanation_page import write_explanations
    from polymodal.attribution.explanation_table import summary
    from polymodal.data.tables.table import read_table
    from polymodal.utils.atomic import require_folder

    opened = load_run(run, device, None, threads)
    whole = read_table(table)
    folder = output or opened.folder
    require_folder(folder)
    found = make(opened, whole, rows, targets=target or None)
    page, frame = write_explanations(found, opened, folder)
    figures = {
        "page": str(page), "frame": str(frame), "told": found.sentences(),
        "answers": [summary(entry, opened.processor.targets) for entry in found.entries],
        "warnings": tell_findings(opened.inspect(whole))["warnings"],
    }  # fmt: skip
    if not printed(figures, as_json):
        from polymodal.cli.show_explaining import show_explanations

        show_explanations(found, page)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN …", help="The folders that fits wrote.")],
    group: Annotated[
        str | None, typer.Option("--group", help="Rows of one value of this column hang together.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder; by default that in which all runs lie, or this one."),
    ] = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Which run is best on the same test rows, how sure that is, and at what cost: compare.html."""
    from polymodal import api
    from polymodal.comparison.comparison import default_output
    from polymodal.utils.atomic import require_folder

    compute_with(threads, runs[0])
    folder = output or default_output(runs)
    require_folder(folder)
    found = api.compare(runs, group=group)
    page = found.write(folder)
    if not printed({"page": str(page), **found.figures}, as_json):
        from polymodal.cli.show_compare import show_comparison

        show_comparison(found.figures, page)
