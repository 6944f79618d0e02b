"""Commands that make a run: demo, check, init, fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polymodal.cli.options import (
    Answer,
    From,
    Inputs,
    Json,
    Output,
    Overwrite,
    PrecisionOption,
    Prompt,
    Resume,
    SampleWeight,
    Settings,
    SourceArg,
    TableArg,
    Target,
    TaskOption,
    Threads,
    TrainingDevice,
    command_name,
    printed,
    require_templates,
    resumable,
    split,
    with_settings,
)
from polymodal.cli.reading import reads_table
from polymodal.cli.skipped import OnErrorOption
from polymodal.errors import Terminated

if TYPE_CHECKING:
    from polymodal.data.checks.check import CheckReport


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The run folder.")] = Path("runs/demo"),
    as_json: Json = False,
) -> None:
    """The whole road on data it makes: fit, evaluate, predict; writes runs/demo."""
    from polymodal.cli.show import show_demo
    from polymodal.demo.demo_run import run_demo

    result = run_demo(output, quiet=as_json)
    if not printed(result.to_json(), as_json):
        show_demo(result, command=command_name())


@reads_table
def check(
    source: SourceArg,
    target: Target = None,
    inputs: Inputs = None,
    settings: Settings = None,
    task: TaskOption = None,
    prompt: Prompt = None,
    answer: Answer = None,
    on_error: OnErrorOption = None,
    weight: SampleWeight = None,
    as_json: Json = False,
) -> None:
    """What a fit would see and trip over; exit status 1 if it would not start."""
    from polymodal import api
    from polymodal.cli.show import show_check

    require_templates(task, prompt, answer, source)
    settings = with_settings(settings, on_error, None, None, None, weight=weight)
    report: CheckReport = api.check(
        source,
        target=target,
        inputs=split(inputs),
        settings=settings,
        prompt=prompt,
        answer=answer,
        quiet=as_json,
    )
    if not printed(report.to_json(), as_json):
        show_check(report)
    if not report.ok:
        raise typer.Exit(1)


@reads_table
def init(table: TableArg, target: Target = None, inputs: Inputs = None, settings: Settings = None) -> None:
    """Print the inferred declaration, to edit: polymodal init TABLE > run.yaml."""
    from polymodal import api

    typer.echo(api.init(table, target=target, inputs=split(inputs), settings=settings or ()), nl=False)


@reads_table
def fit(
    source: SourceArg,
    target: Target = None,
    inputs: Inputs = None,
    output: Output = None,
    settings: Settings = None,
    on_error: OnErrorOption = None,
    device: TrainingDevice = None,
    threads: Threads = None,
    precision: PrecisionOption = None,
    start: From = None,
    task: TaskOption = None,
    prompt: Prompt = None,
    answer: Answer = None,
    labels: Annotated[
        str | None, typer.Option("--labels", help="Learn from so many labels, or from a share of them.")
    ] = None,
    weight: SampleWeight = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    folds: Annotated[
        int | None, typer.Option("--folds", min=2, help="Cross-validate: fit once a fold, the rest trains.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Fit once with each of so many seeds.")
    ] = None,
    search: Annotated[
        int | None,
        typer.Option("--search", min=1, help="Search learning rate, width and fusion in so many trials."),
    ] = None,
    fusions: Annotated[
        str | None,
        typer.Option("--fusions", help="Fit each of these under equal settings: names with commas, or all."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train, evaluate and save a model."""
    from polymodal.utils import distributed as processes

    ways = {"--folds": folds, "--seeds": seeds, "--fusions": fusions, "--search": search}
    asked = [name for name, value in ways.items() if value is not None]
    if len(asked) > 1 and asked != ["--folds", "--seeds"]:
        raise typer.BadParameter(f"it does not go with {asked[0]}", param_hint=asked[-1])
    options: dict[str, Any] = {
        "target": target, "inputs": split(inputs), "output": output,
        "settings": with_settings(
            settings, on_error, device, precision, start, labels, weight, threads=threads
        ),
        "resume": resume, "overwrite": overwrite, "quiet": as_json,
    }  # fmt: skip
    require_templates(task, prompt, answer, source)
    if asked and (prompt or answer):
        raise typer.BadParameter("it does not go with --prompt", param_hint=asked[0])
    options |= {"prompt": prompt, "answer": answer} if prompt or answer else {}
    try:
        if asked in ([], ["--search"]):
            _fit_one(source, search, options)
        else:
            _fit_several(source, fusions, folds, seeds or 1, options)
        processes.stop()
    except (KeyboardInterrupt, Terminated) as stop:
        raise resumable(stop) from None


def _fit_one(source: str, search: int | None, options: dict[str, Any]) -> None:
    """One run, of what is declared or of what a search finds."""
    from polymodal import api
    from polymodal.cli.show import show_fit, show_search
    from polymodal.cli.show_words import show_words
    from polymodal.utils import distributed as processes

    found: dict[str, Any] = {}
    run: Any
    if search:
        from polymodal.pipelines.hyperparameter_search import fit_searched

        run = fit_searched(source, trials=search, **options)
        found = {"search": json.loads((run.folder / "search.json").read_text(encoding="utf-8"))}
    else:
        run = api.fit(source, **options)
    if not processes.is_main():
        return
    results = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    results.pop("history")
    if not printed({"run": str(run.folder), **results, **found}, options["quiet"]):
        if found:
            show_search(found["search"])
        show = show_words if "without" in results else show_fit
        show(run.folder, results, command=command_name())


def _fit_several(
    source: str, fusions: str | None, folds: int | None, seeds: int, options: dict[str, Any]
) -> None:
    """A run a fusion, or a run a fold and a seed."""
    from polymodal.cli.show import show_fits, show_repeats

    if fusions is not None:
        from polymodal.pipelines.fusion_comparison import fit_fusions

        fits = fit_fusions(source, fusions=fusions, **options)
        if not printed(fits.to_json(), options["quiet"]):
            show_fits(fits, command=command_name())
        return
    from polymodal.pipelines.cross_validation import fit_folds

    repeats = fit_folds(source, folds=folds, seeds=seeds, **options)
    if not printed(repeats.to_json(), options["quiet"]):
        show_repeats(repeats, command=command_name())
