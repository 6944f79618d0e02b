"""The command that makes a run: fit."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polymodal import api
from polymodal.cli.help import ROWS, SEVERAL
from polymodal.cli.options import (
    Answer,
    Epochs,
    From,
    Inputs,
    Json,
    LearningRate,
    Offline,
    Output,
    Overwrite,
    PrecisionOption,
    Preset,
    Prompt,
    ReportAmount,
    Resume,
    SampleWeight,
    Seed,
    Settings,
    SourceArg,
    Target,
    TaskOption,
    Threads,
    TimeLimit,
    TrainingBatchSize,
    TrainingDevice,
    command_name,
    printed,
    require_templates,
    resumable,
    running,
    split,
    with_settings,
)
from polymodal.cli.pretrained import forbid_downloads
from polymodal.cli.reading import reads_table
from polymodal.cli.show import console, print_titled, show_metrics, titled_table
from polymodal.cli.skipped import OnErrorOption

if TYPE_CHECKING:
    from rich.table import Table

Labels = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="N",
        rich_help_panel=ROWS,
        help="Learn from N labels, or from a share of them such as 0.1.",
    ),
]
Folds = Annotated[
    int | None,
    typer.Option(
        "--folds",
        min=2,
        metavar="N",
        rich_help_panel=SEVERAL,
        help="Cross-validation: a fit per fold.",
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option("--seeds", min=1, metavar="N", rich_help_panel=SEVERAL, help="A fit with each of N seeds."),
]
Search = Annotated[
    int | None,
    typer.Option(
        "--search",
        min=1,
        metavar="N",
        rich_help_panel=SEVERAL,
        help="Search learning rate, width and fusion in N trials.",
    ),
]
Fusions = Annotated[
    str | None,
    typer.Option(
        "--fusions",
        metavar="NAMES",
        rich_help_panel=SEVERAL,
        help="Fit each of these under equal settings: names with commas, or all.",
    ),
]


@reads_table
def fit(
    source: SourceArg,
    target: Target = None,
    inputs: Inputs = None,
    output: Output = None,
    preset: Preset = None,
    limit: TimeLimit = None,
    epochs: Epochs = None,
    batch_size: TrainingBatchSize = None,
    rate: LearningRate = None,
    seed: Seed = None,
    settings: Settings = None,
    on_error: OnErrorOption = None,
    device: TrainingDevice = None,
    threads: Threads = None,
    precision: PrecisionOption = None,
    start: From = None,
    task: TaskOption = None,
    prompt: Prompt = None,
    answer: Answer = None,
    labels: Labels = None,
    weight: SampleWeight = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    folds: Folds = None,
    seeds: Seeds = None,
    search: Search = None,
    fusions: Fusions = None,
    amount: ReportAmount = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Train, evaluate and save a model."""

    deadline = running(limit)
    forbid_downloads(offline)
    several = _ways(folds=folds, seeds=seeds, fusions=fusions, search=search)
    chosen = with_settings(settings, on_error, device, precision, start, labels, weight, threads=threads)
    options: dict[str, Any] = {
        "target": target, "inputs": split(inputs), "output": output, "settings": chosen,
        "resume": resume, "overwrite": overwrite, "quiet": as_json,
        "epochs": epochs, "batch_size": batch_size, "learning_rate": rate, "seed": seed,
        "report": amount,
    }  # fmt: skip
    require_templates(task, prompt, answer, source)
    words = {"prompt": prompt, "answer": answer} if prompt or answer else {}
    tried = {} if preset is None else {"preset": preset}
    timed = {} if deadline is None else {"time_limit": deadline}
    _check_comparison(several, words=bool(words), preset=bool(tried), timed=bool(timed))
    options |= words | tried | timed
    try:
        if several in ([], ["--search"]):
            _fit_one(source, search, options)
        else:
            _fit_several(source, fusions, folds, seeds or 1, options)
        api.stop_processes()
    except (KeyboardInterrupt, api.Terminated) as stop:
        raise resumable(stop) from None


def _ways(**given: object) -> list[str]:
    """Names of the options that request several fits; raises if they exclude each other."""
    names = [f"--{name}" for name, value in given.items() if value is not None]
    if len(names) > 1 and names != ["--folds", "--seeds"]:
        raise typer.BadParameter(f"it does not go with {names[0]}", param_hint=names[-1])
    return names


def _check_comparison(several: list[str], *, words: bool, preset: bool, timed: bool) -> None:
    """Refuse what a search and a comparison of fusions, which are of one neural model, do not go with."""
    if several in (["--search"], ["--fusions"]):
        if words:
            raise typer.BadParameter("it does not go with --prompt", param_hint=several[0])
        if preset:
            raise typer.BadParameter("it compares neural models alone", param_hint=several[0])
    if timed and several == ["--search"]:
        raise typer.BadParameter("it does not go with --time-limit", param_hint="--search")


def _fit_one(source: str, search: int | None, options: dict[str, Any]) -> None:
    """Fit one run, with the declared hyperparameters or those of a search."""

    searched: dict[str, Any] = {}
    run: Any
    if search:
        run = api.fit_searched(source, trials=search, **options)
        searched = {"search": json.loads((run.folder / "search.json").read_text(encoding="utf-8"))}
    else:
        run = api.fit(source, **options)
    if not api.is_main_process():
        return
    results = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    results.pop("history")
    if not printed({"run": str(run.folder), **results, **searched}, options["quiet"]):
        if searched:
            show_search(searched["search"])
        show = show_words if "without" in results else show_fit
        show(run.folder, results, command=command_name())


def _fit_several(
    source: str, fusions: str | None, folds: int | None, seeds: int, options: dict[str, Any]
) -> None:
    """A run a fusion, or a run a fold and a seed."""

    if fusions is not None:
        fits = api.fit_fusions(source, fusions=fusions, **options)
        if not printed(fits.to_json(), options["quiet"]):
            show_fits(fits, command=command_name())
        return

    repeats = api.fit_folds(source, folds=folds, seeds=seeds, **options)
    if not printed(repeats.to_json(), options["quiet"]):
        show_repeats(repeats, command=command_name())


def _fitted_again(results: Mapping[str, Any]) -> str:
    """Which models of the blend were fitted to the validation rows as well; empty if none."""
    again = api.Portfolio.from_dict(results["candidates"]).fitted_again if "candidates" in results else []
    if not again:
        return ""
    return "Its plain models" if again == ["plain"] else f"Its models of {' and '.join(again)}"


def show_fit(folder: Path, results: Mapping[str, Any], command: str) -> None:
    """Test metrics, where the run lies, and what to do next."""
    if "candidates" in results:
        board = api.Portfolio.from_dict(results["candidates"])
        for target in board.scores:
            show_leaderboard(board, target)
    if results["test"]:
        show_metrics(results["test"], title=f"{results['rows']['test']} test rows")
    out, trained, best = console(), results["train"], results["validation"].get("epoch")
    spent = "" if trained["epochs"] is None else f"{round(trained['epochs'], 2):g} epochs "
    kept = "" if best is None else f"; best epoch {round(best, 2):g}"
    rows = results["rows"]["train"]
    out.print(f"Trained on {rows} rows, {spent}in {trained['seconds']:.0f} s{kept}.", soft_wrap=True)
    if again := _fitted_again(results):
        held = f"the {results['rows']['validation']} validation rows as well"
        out.print(f"{again} were then fitted to {held}; the metrics are of these.", soft_wrap=True)
    if (folder / "report.html").exists():
        out.print(f"What each input is worth: {folder / 'report.html'}", soft_wrap=True)
    out.print(f"The run lies in {folder}. Use it:", soft_wrap=True)
    out.print(f"  {command} predict {shlex.quote(str(folder))} TABLE -o answers.parquet", soft_wrap=True)


def show_leaderboard(board: api.Portfolio, target: str) -> None:
    """A row per model that was tried: its score, its share of the blend, its seconds."""
    out, score = console(), board.scores[target]
    title = f"Models tried for '{target}'" if len(board.scores) > 1 else "Models tried"
    table = titled_table(title)
    table.add_column("model")
    for head in (f"{api.NAMES[score]}, validation", "test", "share of the blend", "seconds"):
        table.add_column(head, justify="right")
    for name, model in board.models.items():
        figures = [_standing(entry.get(target), score) for entry in (model.validation, model.test)]
        share = f"{100 * model.weights[target]:.0f} %" if model.weights[target] else "–"
        table.add_row(name, *figures, share, f"{model.seconds:.1f}")
    out.print(table)
    for line in api.leaders(board, target):
        out.print(line, soft_wrap=True)
    out.print()


def _standing(standing: api.Standing | None, score: str) -> str:
    return api.number(score, None if standing is None or standing.score is None else standing.score.value)


def show_fits(fits: api.Fits, command: str) -> None:
    """Print a row per fit, the best by validation marked, and the next command; the file has all metrics."""
    out, first = console(), fits.fits[0]
    title = f"{len(fits.fits)} fits under equal settings"
    table = titled_table(title, collapse_padding=True)
    table.add_column(fits.varied, no_wrap=True)
    measured = [(name, key) for name in first.test for key in _leading(fits, first.test[name])]
    tests = [f"test {name} {key}" if len(first.test) > 1 else f"test {key}" for name, key in measured]
    for head in (f"validation {fits.metric}", *tests, "parameters", "seconds", "rows/s"):
        table.add_column(head.replace("_", " "), justify="right", vertical="bottom")
    for fit in fits.fits:
        mark = " *" if fit.name == fits.best else ""
        tested = [
            api.metric(key, fit.test[name][key]) if key in fit.test[name] else "" for name, key in measured
        ]
        counts = (
            f"{fit.parameters:,}",
            f"{fit.seconds:.0f}",
            "–" if fit.rows_per_second is None else f"{fit.rows_per_second:.0f}",
        )
        table.add_row(fit.name + mark, api.metric(fits.metric, fit.validation), *tested, *counts)
    out.print(table)
    out.print("* best on the validation rows; the test rows have no say in it.")
    if fits.page:
        out.print(f"Which is better by more than chance, on the test rows: {fits.page}", soft_wrap=True)
    every = f"with every metric in {fits.varied}s.json" if first.test else f"with {fits.varied}s.json"
    out.print(f"The runs lie in {fits.folder}, {every}. Use the best:", soft_wrap=True)
    best = shlex.quote(str(fits.folder / fits.best))
    out.print(f"  {command} predict {best} TABLE -o answers.parquet", soft_wrap=True)


def show_repeats(repeats: api.Repeats, command: str) -> None:
    """Mean and range of every metric over the fits, and where they lie."""
    out, fits = console(), repeats.fits
    counts = [f"{repeats.folds} folds"] * bool(repeats.folds)
    counts += [f"{len(repeats.seeds)} seeds"] * (len(repeats.seeds) > 1)
    tested = f"{repeats.rows} test rows" if repeats.rows else "no test rows"
    title = f"{len(fits.fits)} fits ({' × '.join(counts) or 'one seed'}), {tested}"
    table = titled_table(title)
    table.add_column("metric")
    for name in ("mean", "lowest", "highest"):
        table.add_column(name, justify="right")
    for target, metrics in repeats.test.items():
        for key, spread in metrics.items():
            name = f"{target} {key}" if len(repeats.test) > 1 else key
            figures = (spread.mean, spread.lowest, spread.highest)
            table.add_row(name, *(api.metric(key, value) for value in figures))
    if repeats.test:
        out.print(table)
    answers = ", every row's answers in predictions.parquet" if repeats.folds else ""
    every = f"all figures in summary.json{answers}"
    out.print(f"The runs lie in {fits.folder}, {every}. Use one:", soft_wrap=True)
    one = shlex.quote(str(fits.folder / fits.fits[0].name))
    out.print(f"  {command} predict {one} TABLE -o answers.parquet", soft_wrap=True)


def show_search(search: Mapping[str, Any]) -> None:
    """A row a trial, the best marked."""
    trials, metric = search["trials"], search["metric"]
    table = titled_table(f"{len(trials)} trials")
    names = list(dict.fromkeys(name for trial in trials for name in trial["choice"]))
    for name in ("trial", *names, f"validation {metric}", "seconds"):
        table.add_column(name.replace("_", " "), justify="left" if name == "fusion" else "right")
    for trial in trials:
        cells = [trial["choice"].get(name, "") for name in names]
        choice = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in cells]
        value = api.metric(metric, trial["validation"]) if trial["validation"] is not None else "failed"
        cut = " (cut short)" if trial["state"] == "pruned" else ""
        mark = " *" if trial["number"] == search["best"] else ""
        table.add_row(f"{trial['number']}", *choice, value + cut + mark, f"{trial['seconds']:.1f}")
    out = console()
    out.print(table)
    out.print("* best on the validation rows, and fitted; the test rows had no say in it.")


def _leading(fits: api.Fits, metrics: Mapping[str, float]) -> list[str]:
    """What a terminal has room for: the metric that chose, and the first others."""
    chosen = fits.metric.rpartition(".")[2]
    ordered = sorted(metrics, key=lambda name: name != chosen)
    return ordered[: {1: 3, 2: 2}.get(len(fits.fits[0].test), 1)]


def show_words(folder: Path, results: Mapping[str, Any], command: str) -> None:
    """Test metrics, the same without each input, where the run lies, and what to do next."""
    out, trained = console(), results["train"]
    ((column, metrics),) = results["test"].items()
    if metrics:
        print_titled(words_table(metrics, results), f"{results['rows']['test']} test rows: {column}")
    epochs = f"{round(trained['epochs'], 2):g} epochs in {trained['seconds']:.0f} s"
    speed = f"{trained['tokens_per_second']:.0f} tokens a second"
    best = f"best epoch {round(results['validation']['epoch'], 2):g}"
    out.print(f"Trained on {results['rows']['train']} rows, {epochs}, {speed}; {best}.", soft_wrap=True)
    if (folder / "report.html").exists():
        out.print(f"What each input is worth: {folder / 'report.html'}", soft_wrap=True)
    out.print(f"The run lies in {folder}, its answers in predictions.parquet. Use it:", soft_wrap=True)
    run = shlex.quote(str(folder))
    out.print(f"  {command} chat {run}", soft_wrap=True)
    out.print(f"  {command} predict {run} TABLE -o answers.parquet", soft_wrap=True)


def words_table(metrics: Mapping[str, float], results: Mapping[str, Any]) -> Table:
    """A row for the whole test, one for each input left out, one for each set of items that rows have."""
    table = titled_table()
    table.add_column("the model is given")
    for name in metrics:
        table.add_column(name.replace("_", " "), justify="right")
    table.add_row("everything", *(api.metric(key, value) for key, value in metrics.items()))
    for name, figures in results["without"].items():
        what = "nothing but text" if name == "all" else f"all but {name}"
        table.add_row(what, *(api.metric(key, figures[key]) for key in metrics))
    for name, figures in results["present"].items():
        what = "of text alone" if name == api.NONE else f"with {name}"
        table.add_row(f"rows {what} ({figures['rows']})", *(api.metric(key, figures[key]) for key in metrics))
    return table
