"""The command line: parses, calls :mod:`polymodal.api`, prints; heavy imports wait until a command runs."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from polymodal.data.check import CheckReport


class OnError(StrEnum):
    """What may follow ``--on-error``."""

    refuse = "refuse"
    skip = "skip"


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
OnErrorOption = Annotated[
    OnError | None,
    typer.Option("--on-error", help="Rows that cannot be read: refuse (default) or skip."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
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

    settings = [*(settings or []), *_on_error(on_error)]
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
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Train, evaluate and save a model."""
    from polymodal import api
    from polymodal.show import show_fit

    settings = [*(settings or []), *_on_error(on_error)]
    try:
        run = api.fit(
            source, target=target, inputs=_split(inputs), output=output, settings=settings,
            resume=resume, overwrite=overwrite, quiet=as_json,
        )  # fmt: skip
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command with --resume goes on from the last checkpoint", err=True)
        raise typer.Exit(130) from None
    results = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    results.pop("history")
    if not _print({"run": str(run.folder), **results}, as_json):
        show_fit(run.folder, results, command=_command())


@app.command()
def evaluate(
    run: RunArg,
    table: TableArg,
    batch_size: BatchSize = 128,
    on_error: OnErrorOption = None,
    as_json: Json = False,
) -> None:
    """Measure a run on a table whose targets are known."""
    from polymodal import api
    from polymodal.show import show_metrics

    rejected: list = []
    results = api.load(run).evaluate(
        table, batch_size=batch_size, on_error=on_error or OnError.refuse, rejected=rejected
    )
    _warn(rejected, "left out")
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
    as_json: Json = False,
) -> None:
    """Answer every row of a table; inputs may be missing."""
    from polymodal import api

    rejected: list = []
    rows = api.predict_to(
        api.load(run), table, output, probabilities=probabilities, batch_size=batch_size,
        on_error=on_error or OnError.refuse, rejected=rejected,
    )  # fmt: skip
    _warn(rejected, "not answered")
    if not _print(_written(output, rows, rejected if on_error else None), as_json):
        typer.echo(f"{_count(rows, rejected)} answered in {output}")


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
    as_json: Json = False,
) -> None:
    """Write every row's vector."""
    from polymodal import api

    rejected: list = []
    rows = api.embed_to(
        api.load(run), table, output, input=input, batch_size=batch_size,
        on_error=on_error or OnError.refuse, rejected=rejected,
    )  # fmt: skip
    _warn(rejected, "without a vector")
    if not _print(_written(output, rows, rejected if on_error else None), as_json):
        typer.echo(f"{_count(rows, rejected)} embedded in {output}")


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


def _print(content: dict[str, Any], as_json: bool) -> bool:
    """Print ``content`` if JSON is what was asked for, and say whether it was."""
    if as_json:
        typer.echo(json.dumps(content, ensure_ascii=False, default=str))
    return as_json


def _on_error(choice: OnError | None) -> list[str]:
    """The option as a setting: what is declared holds where it is not given."""
    return [] if choice is None else [f"data.on_error={choice.value}"]


def _warn(rejected: list, what: str) -> None:
    """Say on standard error which rows could not be read: some of them, and how many there are."""
    for problem in rejected[:20]:
        typer.echo(f"{what}: {problem}", err=True)
    if len(rejected) > 20:
        typer.echo(f"{what}: … and {len(rejected) - 20} more", err=True)


def _written(output: Path, rows: int, rejected: list | None) -> dict[str, Any]:
    """What was written, and how many rows of it are empty where rows may be."""
    count = {} if rejected is None else {"rejected": len(rejected)}
    return {"output": str(output), "rows": rows, **count}


def _count(rows: int, rejected: list) -> str:
    return f"{rows - len(rejected)} of {rows} rows" if rejected else f"{rows} rows"


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
        try:
            app(prog_name="polymodal")
        finally:
            sys.stdout.flush()  # at the end of the process it would be too late to say what went wrong
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except Exception as error:
        from polymodal.errors import PolymodalError

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
        for line in str(error).splitlines():
            typer.echo(f"error: {line}", err=True)
        sys.exit(1)
