"""The command line: parses, calls :mod:`polymodal.api`, prints; heavy imports wait until a command runs."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import warnings
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polymodal.skipped import OnError, OnErrorOption, as_settings, counted, warn, written

if TYPE_CHECKING:
    from polymodal.data.check import CheckReport
    from polymodal.run import Run


class Precision(StrEnum):
    """What may follow ``--precision``."""

    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


app = typer.Typer(
    help="Train, evaluate and use models that read text, images, audio and tables together.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where no more can be written."""
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.EMFILE)
"""What it says of files and folders that it does not let us use."""
TableArg = Annotated[str, typer.Argument(help="CSV, TSV, JSONL, Parquet, or a saved dataset folder.")]
SourceArg = Annotated[str, typer.Argument(metavar="TABLE|run.yaml", help="A table, or a declaration.")]
RunArg = Annotated[Path, typer.Argument(metavar="RUN", help="The folder that a fit wrote.")]
Target = Annotated[list[str] | None, typer.Option("--target", "-t", help="Column to learn; may be repeated.")]
Inputs = Annotated[str | None, typer.Option("--inputs", "-i", help="Columns to read, with commas between.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="Any setting, such as train.epochs=3.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1 or mps.")]
PrecisionOption = Annotated[
    Precision | None, typer.Option("--precision", help="fp32, or bf16 or fp16 for speed.")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Rows at once.")]


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The run folder.")] = Path("runs/demo"),
    as_json: Json = False,
) -> None:
    """The whole road on data it makes: fit, evaluate, predict; writes runs/demo."""
    from polymodal.demo.run import run_demo
    from polymodal.show import show_demo

    result = run_demo(output, quiet=as_json)
    if not _print(result.to_json(), as_json):
        show_demo(result, command=_command())


@app.command()
def check(
    source: SourceArg,
    target: Target = None,
    inputs: Inputs = None,
    settings: Settings = None,
    on_error: OnErrorOption = None,
    as_json: Json = False,
) -> None:
    """What a fit would see and trip over; exit status 1 if it would not start."""
    from polymodal import api
    from polymodal.show import show_check

    settings = [*(settings or []), *as_settings(on_error)]
    report: CheckReport = api.check(
        source, target=target, inputs=_split(inputs), settings=settings, quiet=as_json
    )
    if not _print(report.to_json(), as_json):
        show_check(report)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def init(table: TableArg, target: Target = None, inputs: Inputs = None) -> None:
    """Print the inferred declaration, to edit: polymodal init TABLE > run.yaml."""
    from polymodal import api

    typer.echo(api.init(table, target=target, inputs=_split(inputs)), nl=False)


@app.command()
def fit(
    source: SourceArg,
    target: Target = None,
    inputs: Inputs = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The run folder.")] = None,
    settings: Settings = None,
    on_error: OnErrorOption = None,
    device: Annotated[str | None, typer.Option("--device", help="cpu, cuda or mps.")] = None,
    precision: PrecisionOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is there.")] = False,
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
    from polymodal.training import processes

    ways = {"--folds": folds, "--seeds": seeds, "--fusions": fusions, "--search": search}
    asked = [name for name, value in ways.items() if value is not None]
    if len(asked) > 1 and asked != ["--folds", "--seeds"]:
        raise typer.BadParameter(f"it does not go with {asked[0]}", param_hint=asked[-1])
    given = {"train.device": device, "train.precision": precision and precision.value}
    settings = [*(settings or []), *as_settings(on_error)]
    settings += [f"{name}={value}" for name, value in given.items() if value]
    options: dict[str, Any] = {
        "target": target, "inputs": _split(inputs), "output": output, "settings": settings,
        "resume": resume, "overwrite": overwrite, "quiet": as_json,
    }  # fmt: skip
    try:
        if asked in ([], ["--search"]):
            _fit_one(source, search, options)
        else:
            _fit_several(source, fusions, folds, seeds or 1, options)
        processes.stop()
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command with --resume goes on from the last checkpoint", err=True)
        raise typer.Exit(130) from None


def _fit_one(source: str, search: int | None, options: dict[str, Any]) -> None:
    """One run, of what is declared or of what a search finds."""
    from polymodal import api
    from polymodal.show import show_fit, show_search

    found = {}
    if search:
        from polymodal.tuning import fit_searched

        run = fit_searched(source, trials=search, **options)
        found = {"search": json.loads((run.folder / "search.json").read_text(encoding="utf-8"))}
    else:
        run = api.fit(source, **options)
    results = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    results.pop("history")
    if not _print({"run": str(run.folder), **results, **found}, options["quiet"]):
        if found:
            show_search(found["search"])
        show_fit(run.folder, results, command=_command())


def _fit_several(
    source: str, fusions: str | None, folds: int | None, seeds: int, options: dict[str, Any]
) -> None:
    """A run a fusion, or a run a fold and a seed."""
    from polymodal.show import show_fits, show_repeats

    if fusions is not None:
        from polymodal.comparison import fit_fusions

        fits = fit_fusions(source, fusions=fusions, **options)
        if not _print(fits.to_json(), options["quiet"]):
            show_fits(fits, command=_command())
        return
    from polymodal.folds import fit_folds

    repeats = fit_folds(source, folds=folds, seeds=seeds, **options)
    if not _print(repeats.to_json(), options["quiet"]):
        show_repeats(repeats, command=_command())


@app.command()
def evaluate(
    run: RunArg,
    table: TableArg,
    batch_size: BatchSize = 128,
    on_error: OnErrorOption = None,
    device: Device = None,
    precision: PrecisionOption = None,
    as_json: Json = False,
) -> None:
    """Measure a run on a table whose targets are known."""
    from polymodal.show import show_metrics

    rejected: list = []
    results = _load(run, device, precision).evaluate(
        table, batch_size=batch_size, on_error=on_error or OnError.refuse, rejected=rejected
    )
    warn(rejected, "left out")
    if not _print(results, as_json):
        show_metrics(results, title=f"{run} on {table}")


@app.command()
def predict(
    run: RunArg,
    table: TableArg,
    output: Annotated[Path, typer.Option("--output", "-o", help="The Parquet file to write.")],
    probabilities: Annotated[bool, typer.Option("--probabilities", help="A column a class as well.")] = False,
    batch_size: BatchSize = 128,
    on_error: OnErrorOption = None,
    device: Device = None,
    precision: PrecisionOption = None,
    as_json: Json = False,
) -> None:
    """Answer every row of a table; inputs may be missing."""
    from polymodal import api

    rejected: list = []
    rows = api.predict_to(
        _load(run, device, precision), table, output, probabilities=probabilities, batch_size=batch_size,
        on_error=on_error or OnError.refuse, rejected=rejected,
    )  # fmt: skip
    warn(rejected, "not answered")
    if not _print(written(output, rows, rejected if on_error else None), as_json):
        typer.echo(f"{counted(rows, rejected)} answered in {output}")


@app.command()
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
    precision: PrecisionOption = None,
    as_json: Json = False,
) -> None:
    """Write every row's vector."""
    from polymodal import api

    rejected: list = []
    rows = api.embed_to(
        _load(run, device, precision), table, output, input=input, batch_size=batch_size,
        on_error=on_error or OnError.refuse, rejected=rejected,
    )  # fmt: skip
    warn(rejected, "without a vector")
    if not _print(written(output, rows, rejected if on_error else None), as_json):
        typer.echo(f"{counted(rows, rejected)} embedded in {output}")


@app.command()
def report(
    run: RunArg,
    table: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="By default the run's own test rows.")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="Rows of one value of this column hang together.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A folder; by default the run's own.")
    ] = None,
    device: Device = None,
    precision: PrecisionOption = None,
    as_json: Json = False,
) -> None:
    """What each input is worth, and how sure that is: report.html and report.json."""
    from polymodal.report.writing import report as make

    page = make(_load(run, device, precision), table, group=group, output=output)
    figures = json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    if not _print({"report": str(page), **figures}, as_json):
        from polymodal.show import show_verdict

        show_verdict(figures, page)


@app.command()
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
    if not _print(found, as_json):
        held = f"{arrays} arrays, {size / 2**20:.1f} MB"
        typer.echo(f"{store.path.parent}: {held}{', taken away' if clear else ''}")


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Options of the command itself."""
    if show:
        from polymodal import __version__

        typer.echo(__version__)
        raise typer.Exit


def _load(run: Path, device: str | None, precision: Precision | None) -> Run:
    from polymodal import api

    return api.load(run, device=device, precision=(precision or Precision.fp32).value)


def _print(content: dict[str, Any], as_json: bool) -> bool:
    """Print ``content`` if JSON is what was asked for, and say whether it was."""
    if as_json:
        typer.echo(json.dumps(content, ensure_ascii=False, default=str))
    return as_json


def _split(names: str | None) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()] if names else []


def _command() -> str:
    """How this command was called, to print commands that can be pasted."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{_near(Path(sys.executable))} -m polymodal"
    on_path = shutil.which(called.name)
    is_on_path = not called.exists() or (on_path is not None and Path(on_path).samefile(called))
    return called.name if is_on_path else _near(called)


def _near(path: Path) -> str:
    """``path`` from the current folder if it lies below it, else whole; links are left as they are."""
    whole = Path(os.path.abspath(path))
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else str(whole)


def main() -> None:
    """The ``polymodal`` command: exit status 0 done, 1 failed, 2 misused."""
    # Set before any library is imported: they read it once.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Pillow's remarks name no file; what cannot be read, or is beyond the limit, is refused with its row.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        is_first = not int(os.environ.get("RANK", 0))  # of several processes, the one that speaks
        with open(os.devnull, "w") as nowhere, redirect_stdout(sys.stdout if is_first else nowhere):
            try:
                app(prog_name="polymodal")
            finally:
                sys.stdout.flush()  # at the end of the process it would be too late to say what went wrong
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except Exception as error:
        from polymodal.errors import PolymodalError, ToldElsewhere

        if isinstance(error, OSError) and error.errno in FULL:
            place = error.filename or "standard output"
            error = PolymodalError(
                f"{place}: cannot be written ({error.strerror}). Free space, or write elsewhere"
            )
            if sys.stdout is sys.__stdout__:  # what is still held back has nowhere to go
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        elif isinstance(error, OSError) and error.errno in REFUSED and error.filename:
            error = PolymodalError(f"{error.filename}: cannot be used ({error.strerror})")
        if not isinstance(error, PolymodalError):
            raise
        if isinstance(error, ToldElsewhere):
            sys.exit(1)
        for line in str(error).splitlines():
            typer.echo(f"error: {line}", err=True)
        sys.exit(1)
