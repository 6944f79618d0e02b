"""How a table is read: the options that every command has which reads one."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from polymodal import api
from polymodal.cli.added_options import with_options
from polymodal.cli.help import ROWS

OPTIONS: dict[str, Any] = {
    "sep": Annotated[
        str | None,
        typer.Option(
            "--sep",
            metavar="SIGN",
            rich_help_panel=ROWS,
            help="What separates the cells of a CSV, such as ';' or tab. [found out]",
        ),
    ],
    "encoding": Annotated[
        str | None,
        typer.Option(
            "--encoding",
            metavar="NAME",
            rich_help_panel=ROWS,
            help="Of a CSV or JSON file, such as cp1252. [UTF-8]",
        ),
    ],
    "root": Annotated[
        Path | None,
        typer.Option(
            "--root",
            metavar="FOLDER",
            rich_help_panel=ROWS,
            help="Folder that media paths start from. [the table's own]",
        ),
    ],
    "media_anywhere": Annotated[
        bool,
        typer.Option(
            "--media-anywhere", rich_help_panel=ROWS, help="Cells may name files outside of that folder."
        ),
    ],
}
"""What may follow each such command; the names are those of ``read_table`` and of the section ``data``."""
DEFAULTS: dict[str, Any] = {"sep": None, "encoding": None, "root": None, "media_anywhere": False}


def reads_table(command: Callable[..., None]) -> Callable[..., None]:
    """Add :data:`OPTIONS` to ``command``: as settings if it takes settings, else to read its table."""
    takes_settings = "settings" in inspect.signature(command).parameters

    def run(given: dict[str, Any], added: dict[str, Any]) -> None:
        chosen = {name: value for name, value in added.items() if value not in (None, False)}
        if takes_settings:
            given["settings"] = [*(given["settings"] or []), *_settings(chosen)]
        elif chosen:
            given["table"] = _read(given["table"], chosen)
        command(**given)

    return with_options(command, OPTIONS, DEFAULTS, run)


def _settings(chosen: dict[str, Any]) -> list[str]:
    return [
        f"data.{name}={json.dumps(str(value) if isinstance(value, Path) else value)}"
        for name, value in chosen.items()
    ]


def _read(table: str | None, chosen: dict[str, Any]) -> Any:

    if table is None:
        option = f"--{next(iter(chosen)).replace('_', '-')}"
        raise typer.BadParameter("it goes with a table", param_hint=option)
    return api.read_table(table, **chosen)
