"""The command itself: its commands, its exit status, and its one line for whatever goes wrong."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Annotated, TextIO

import typer

from polymodal import api
from polymodal.cli import (
    chatting,
    checking,
    evaluating,
    exporting,
    fitting,
    insight,
    pretraining,
    searching,
    using,
)
from polymodal.cli.streams import write_any_character

app = typer.Typer(
    help="Train, evaluate and use models that read text, images, audio and tables together.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EIO, errno.EMFILE)
"""What the system says of files and folders that it does not let us use."""

SHOW_OTHERS = warnings.showwarning

for command in (
    fitting.demo, checking.check, checking.init, fitting.fit, pretraining.pretrain,
    evaluating.evaluate, using.predict, using.embed,
    searching.index, searching.search, chatting.chat,
    insight.report, insight.explain, insight.compare,
    exporting.export, using.cache,
):  # fmt: skip
    app.command()(command)


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
    # Pillow's remarks name no file; what cannot be read, or is beyond the limit, is refused with its row.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    # Each command says itself, on standard error, what a table lacks and what training never saw.
    warnings.filterwarnings("ignore", category=api.InputWarning)
    warnings.filterwarnings("always", category=api.ReadingWarning)
    warnings.showwarning = tell_warning
    write_any_character()
    try:
        with ending_on_sigterm():
            run_app()
    except (KeyboardInterrupt, api.Terminated) as stop:
        terminated = isinstance(stop, api.Terminated)
        typer.echo("terminated" if terminated else "interrupted", err=True)
        sys.exit(143 if terminated else 130)
    except Exception as error:
        told = told_error(error)
        if told is None:
            raise
        if not isinstance(told, api.ReportedElsewhere):
            for line in str(told).splitlines():
                typer.echo(f"error: {line}", err=True)
        sys.exit(1)


def tell_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Say one of our own warnings in a line; others with the place in the code that they come from."""
    if issubclass(category, api.InputWarning):
        typer.echo(f"warning: {message}", err=True)
    else:
        SHOW_OTHERS(message, category, filename, lineno, file, line)


def run_app() -> None:
    """The command that the arguments name; of several processes only the first speaks."""
    is_first = not int(os.environ.get("RANK", 0))
    with open(os.devnull, "w") as nowhere, redirect_stdout(sys.stdout if is_first else nowhere):
        try:
            app(prog_name="polymodal")
        finally:
            sys.stdout.flush()  # at the end of the process it would be too late to say what went wrong


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """On SIGTERM the process ends as on Ctrl-C: what is open is closed, half-written files are removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, api.raise_terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def told_error(error: Exception) -> api.PolymodalError | None:
    """The one line that a user needs to see of an error; None if it is the program's own."""
    if isinstance(error, api.PolymodalError):
        return error
    if not isinstance(error, OSError):
        return None
    if error.errno in api.FULL:
        if sys.stdout is sys.__stdout__:  # what is still held back has nowhere to go
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        place = error.filename or "standard output"
        fix = api.how_to_fix(error, "Free space, or write elsewhere")
        return api.PolymodalError(f"{place}: cannot be written ({error.strerror}). {fix}")
    if error.errno in REFUSED and error.filename:
        return api.PolymodalError(
            f"{error.filename}: cannot be used ({error.strerror}). {api.how_to_fix(error, '')}"
        )
    return None
