"""Commands that analyse runs: report, explain, compare."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from polymodal import api
from polymodal.cli.options import (
    Device,
    Json,
    PrecisionOption,
    RunArg,
    TableArg,
    Threads,
    load_any_run,
    load_run,
    load_with_table,
    printed,
    refuse_of_words,
    split,
)
from polymodal.cli.reading import reads_table
from polymodal.cli.show import console, literal, titled_table
from polymodal.cli.skipped import tell_findings

if TYPE_CHECKING:
    from rich.table import Table


@reads_table
def report(
    run: RunArg,
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="By default the run's own test rows.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="COLUMN", help="Rows of one value of this column hang together."),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by", metavar="COLUMNS", help="Columns whose values are compared, with commas between."
        ),
    ] = None,
    amount: Annotated[
        Literal["short", "full"] | None,
        typer.Option(
            "--amount", metavar="AMOUNT", help="short or full. [full where it takes 10 seconds, else short]"
        ),
    ] = None,
    noise_rows: Annotated[
        int | None,
        typer.Option("--noise-rows", min=0, metavar="N", help="Rows to make worse step by step; 0 for none."),
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Fit each input alone and all but each afresh as well.")
    ] = False,
    seeds: Annotated[
        int | None,
        typer.Option("--seeds", min=1, metavar="N", help="With --retrain: fits of each; 3 by default."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="A folder; by default the run's own."),
    ] = None,
    device: Device = None,
    threads: Threads = None,
    precision: PrecisionOption = None,
    as_json: Json = False,
) -> None:
    """Measure what each input is worth, with intervals: report.html and report.json."""

    if seeds is not None and not retrain:
        raise typer.BadParameter("it goes with --retrain", param_hint="--seeds")
    opened = load_any_run(run, device, precision, threads)
    if isinstance(opened, api.LanguageRun):
        refuse_of_words(amount=amount, noise_rows=noise_rows, retrain=retrain)
        page = opened.report(table, group=group, by=split(by), output=output, quiet=as_json)
    else:
        again = (seeds or api.SEEDS) if retrain else 0
        page = opened.report(
            table, group=group, by=split(by), amount=amount, noise_rows=noise_rows, retrain=again,
            quiet=as_json, output=output,
        )  # fmt: skip
    figures = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    if not printed({"report": str(page), **figures}, as_json):
        show_verdict(figures, page)


@reads_table
def explain(
    run: RunArg,
    table: TableArg,
    rows: Annotated[
        str | None,
        typer.Option(
            "--rows", metavar="NUMBERS", help="Such as 3,8: from 1, the header not counted. [first 8]"
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", metavar="COLUMN", help="Target to explain; may be repeated. [all]"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="A folder; by default the run's own."),
    ] = None,
    device: Device = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Explain the predictions for single rows: explanations.html and explanations.parquet."""

    opened, whole = load_with_table(run, table, device, None, threads, load_run)
    folder = output or opened.folder
    api.require_folder(folder)
    explanations = api.explain(opened, whole, rows, targets=target or None)
    page, frame = api.write_explanations(explanations, opened, folder)
    figures = {
        "page": str(page), "frame": str(frame), "told": explanations.sentences(),
        "answers": [api.summary(entry, opened.processor.targets) for entry in explanations.entries],
        "warnings": tell_findings(opened.inspect(whole))["warnings"],
    }  # fmt: skip
    if not printed(figures, as_json):
        show_explanations(explanations, page)


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN …", help="The folders that fits wrote.")],
    group: Annotated[
        str | None,
        typer.Option("--group", metavar="COLUMN", help="Rows of one value of this column hang together."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="A folder; by default that in which all runs lie, or this one.",
        ),
    ] = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Compare runs on the same test rows, with paired tests and costs: compare.html."""

    for run in runs:
        api.require_folder_of_run(run)  # before torch is imported
    api.use_threads(threads, runs[0])
    folder = output or api.default_output(runs)
    api.require_folder(folder)
    comparison = api.compare(runs, group=group)
    page = comparison.write(folder)
    if not printed({"page": str(page), **comparison.figures}, as_json):
        show_comparison(comparison.figures, page)


def show_verdict(figures: Mapping[str, Any], page: Path) -> None:
    """Print the verdict of the report and the path of its page."""
    out = console()
    for name, target in figures["targets"].items():
        before = f"{name}: " if len(figures["targets"]) > 1 else ""
        verdict = target["verdict"]
        for line in [*verdict["sentences"], *(f"Next: {step}" for step in verdict["next"])]:
            out.print(literal(before + line), soft_wrap=True)
    api.Remarks().show(notes=figures.get("left_out", ()))
    out.print(f"The report lies in {page}.", soft_wrap=True)


def show_explanations(explanations: api.Explanations, page: Path) -> None:
    """Print a line per answer (shares of inputs, strongest part, error), then the path of the page."""

    table = titled_table()
    for name in ("row", "target", "answer", "shares of the inputs", "strongest part", "error"):
        table.add_column(name, overflow="fold")
    for entry in explanations.entries:
        answer = api.spoken_answer(entry)
        sure = f" ({api.spoken_confidence(entry)})" if api.spoken_confidence(entry) else ""
        shares = [f"{name} {api.spoken_share(part.share, entry)}" for name, part in entry.inputs.items()]
        error = f"{entry.found.relative:.2%}{' !' if entry.found.flagged else ''}" if entry.weight else ""
        table.add_row(
            str(entry.row), entry.said.target, api.one_line(answer, 60) + sure,
            ", ".join(shares) or "no input", strongest(entry), error,
        )  # fmt: skip
    out = console()
    out.print(table)
    for sentence in explanations.sentences():
        out.print(literal(sentence), soft_wrap=True)
    out.print(f"The explanations lie in {page}.", soft_wrap=True)


def strongest(entry: api.Explanation) -> str:
    """The word, cell or feature that adds most to the answer, if the row has any."""
    maps = [
        (entry.weight, entry.inputs),
        *([(entry.plain.weight, entry.plain.inputs)] if entry.plain else []),
    ]
    named = [
        (weight * abs(piece.attribution), name, piece.text)
        for weight, inputs in maps
        for name, part in inputs.items()
        for piece in part.parts
        if piece.text
    ]
    if not named:
        return ""
    _, name, text = max(named)
    return api.one_line(f"{name}: {text}", 40)


def show_comparison(figures: Mapping[str, Any], page: Path) -> None:
    """Leaderboards with cost, then the sentences of each target, then the page."""
    out = console()
    for name, target in figures["targets"].items():
        out.print(_leaderboard(name, target, figures["runs"]))
        if any(entry["as_good"] for entry in target["runs"][1:]):
            out.print("= as good as the best as far as these rows tell")
        for sentence in target["sentences"]:
            out.print(literal(sentence), soft_wrap=True)
        out.print()
    api.Remarks().show(notes=figures["notes"])
    out.print(f"The comparison lies in {page}.", soft_wrap=True)


def _leaderboard(name: str, target: Mapping[str, Any], runs: Mapping[str, Any]) -> Table:
    score = target["score"]
    title = f"{name}: {api.NAMES[score]} on {target['rows']:,} test rows"
    table = titled_table(title, collapse_padding=True)
    table.add_column("run", overflow="fold")
    for head in (api.NAMES[score], "95 % interval", "behind", "parameters", "seconds", "rows/s"):
        table.add_column(head, justify="right")
    for index, entry in enumerate(target["runs"]):
        cost = runs[entry["run"]]["cost"]
        mark = " *" if index == 0 else " =" if entry["as_good"] else ""
        table.add_row(
            literal(entry["run"] + mark),
            api.number(score, entry["score"]["value"]),
            api.span(score, entry["score"]),
            "" if index == 0 else api.points(score, entry["behind"]["value"]).removesuffix(" points"),
            *(f"{cost[key]:,.0f}" if cost[key] else "–" for key in cost),
        )
    return table
