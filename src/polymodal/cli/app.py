"""The ``polymodal`` command: its subcommands, exit status and one-line error messages."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Annotated, ClassVar, TextIO

import typer

from polymodal import api
from polymodal.cli.help import Commands, Interrupted
from polymodal.cli.logs import SESSION
from polymodal.cli.streams import write_any_character


class Polymodal(Commands):
    """The subcommands, with examples of each."""

    sections: ClassVar[dict[str, dict[str, list[str]]]] = {
        "First steps": {
            "demonstrating:demo": ["polymodal demo", "polymodal demo --data houses"],
            "checking:check": ["polymodal check houses.csv --target price"],
            "checking:init": [
                "polymodal init houses.csv --target price > run.yaml",
                "polymodal fit run.yaml",
            ],
            "pretrained:encoders": ["polymodal encoders --modality text"],
        },
        "Train": {
            "fitting:fit": [
                "polymodal fit houses.csv --target price -o runs/price",
                "polymodal fit houses.csv --target kind --inputs photo,note --time-limit 10m",
                "polymodal fit houses.csv --target price --set train.epochs=5 --folds 5",
            ],
            "pretraining:pretrain": [
                "polymodal pretrain houses.csv --inputs photo,note -o runs/pretrained",
                "polymodal fit houses.csv --target kind --from runs/pretrained --labels 100",
            ],
        },
        "Use": {
            "using:predict": ["polymodal predict runs/price new_houses.csv -o prices.csv"],
            "using:embed": ["polymodal embed runs/price houses.csv -o vectors.parquet"],
            "searching:index": ["polymodal index runs/pretrained houses.csv -o houses.index"],
            "searching:search": [
                "polymodal search houses.index --text 'a garden'",
                "polymodal search houses.index --image new.png -k 3",
            ],
            "chatting:chat": ["polymodal chat runs/words"],
            "serving:serve": [
                "polymodal serve runs/price",
                "polymodal serve runs/price runs/words --port 0",
            ],
            "exporting:export": ["polymodal export runs/pretrained --to sentence-transformers -o exported"],
        },
        "Measure and explain": {
            "evaluating:evaluate": ["polymodal evaluate runs/price more_houses.csv"],
            "insight:report": [
                "polymodal report runs/price",
                "polymodal report runs/price more_houses.csv --by kind",
            ],
            "insight:explain": ["polymodal explain runs/price houses.csv --rows 3,8"],
            "insight:compare": ["polymodal compare runs/price runs/other"],
            "verifying:verify": ["polymodal verify runs/price", "polymodal verify runs/price --json"],
        },
        "Runs and cache": {
            "listing:runs": ["polymodal runs", "polymodal runs experiments"],
            "using:cache": ["polymodal cache", "polymodal cache --clear"],
        },
    }


app = typer.Typer(
    cls=Polymodal,
    help="Train, evaluate and use models that read text, images, audio, video and tables together.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.EMFILE)
"""Error numbers of files and folders that the system does not allow us to use."""

SHOW_OTHERS = warnings.showwarning


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Options of the command itself."""
    if show:
        typer.echo(api.__version__)
        raise typer.Exit


def main() -> None:
    """The ``polymodal`` command: exit status 0 done, 1 failed, 2 misused, 130 interrupted, 143 terminated."""
    # Set before any library is imported: they read it once.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Pillow's warnings name no file; unreadable or too large images are reported with their row.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # Each command prints findings about its table on standard error itself.
    warnings.filterwarnings("ignore", category=api.InputWarning)
    warnings.filterwarnings("always", category=api.ReadingWarning)
    warnings.showwarning = tell_warning
    write_any_character()
    try:
        with ending_on_sigterm(), api.on_command_line():
            run_app()
    except (KeyboardInterrupt, Interrupted, api.Terminated) as stop:
        terminated = isinstance(stop, api.Terminated)
        typer.echo("terminated" if terminated else "interrupted", err=True)
        sys.exit(143 if terminated else 130)
    except Exception as error:
        message = one_line_error(error)
        SESSION.failed(error, ours=message is None)
        if message is None:
            raise
        if not isinstance(message, api.ReportedElsewhere):
            for line in str(message).splitlines():
                typer.echo(f"error: {line}", err=True)
        sys.exit(1)
    finally:
        SESSION.end()


def tell_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning: ours as one line, others with their location in the code."""
    if issubclass(category, api.InputWarning):
        typer.echo(f"warning: {message}", err=True)
    else:
        SHOW_OTHERS(message, category, filename, lineno, file, line)


def run_app() -> None:
    """Run the command that the arguments name; of several processes only the first prints."""
    is_first = not int(os.environ.get("RANK", 0))
    with open(os.devnull, "w") as nowhere, redirect_stdout(sys.stdout if is_first else nowhere):
        try:
            app(prog_name="polymodal")
        finally:
            sys.stdout.flush()  # an error at the end of the process could not be reported


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C: files are closed, and incomplete files removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, api.raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def one_line_error(error: Exception) -> api.PolymodalError | None:
    """The error to print in one line; None for an error in the program, which has a traceback."""
    if isinstance(error, api.PolymodalError):
        return error
    if isinstance(error, ModuleNotFoundError) and (missing := api.missing_library(error)) is not None:
        package, install = missing
        return api.PolymodalError(f"this needs {package}, which is not installed: {install}")
    if not isinstance(error, OSError):
        return None
    if error.errno in api.FULL:
        if sys.stdout is sys.__stdout__:  # the rest of the buffer cannot be written
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        location = error.filename or "standard output"
        fix = api.how_to_fix(error, "Free space, or write elsewhere")
        return api.PolymodalError(f"{location}: cannot be written ({error.strerror}). {fix}")
    if error.errno in REFUSED and error.filename:
        return api.PolymodalError(
            f"{error.filename}: cannot be used ({error.strerror}). {api.how_to_fix(error, '')}"
        )
    return None
