"""The command itself: its commands, its exit status, and its one line for whatever goes wrong."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from contextlib import redirect_stdout
from typing import Annotated

import typer

from polymodal.cli import chatting, evaluating, exporting, fitting, insight, pretraining, searching, using

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

for command in (
    fitting.demo, fitting.check, fitting.init, fitting.fit, pretraining.pretrain,
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
        from polymodal import __version__

        typer.echo(__version__)
        raise typer.Exit


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
