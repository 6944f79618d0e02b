"""The option ``--on-error``, and messages about rows that were skipped."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from polymodal import api
from polymodal.cli.help import ROWS

SHOWN = 20


class OnError(StrEnum):
    """What may follow ``--on-error``."""

    refuse = "refuse"
    skip = "skip"


OnErrorOption = Annotated[
    OnError | None,
    typer.Option(
        "--on-error", rich_help_panel=ROWS, help="Rows that cannot be read: refuse (default) or skip."
    ),
]


def as_settings(choice: OnError | None) -> list[str]:
    """The option as a setting; empty if it is not set, so that the declaration's value is used."""
    return [] if choice is None else [f"data.on_error={choice.value}"]


def warn(rejected: Sequence[Any], what: str) -> None:
    """Print on standard error the first rows that could not be read, and the number of the others."""
    for problem in rejected[:SHOWN]:
        typer.echo(f"{what}: {problem}", err=True)
    if len(rejected) > SHOWN:
        typer.echo(f"{what}: … and {len(rejected) - SHOWN} more", err=True)


def tell_findings(findings: api.Findings) -> api.JsonObject:
    """Print findings about a table on standard error; returns them for JSON."""
    for line in findings.warnings():
        typer.echo(f"warning: {line}", err=True)
    for line in findings.notes():
        typer.echo(f"note: {line}", err=True)
    return findings.plain()


def written(output: Path, rows: int, rejected: Sequence[Any] | None) -> api.JsonObject:
    """For JSON: the file, its number of rows, and how many were rejected if rows may be skipped."""
    count = {} if rejected is None else {"rejected": len(rejected)}
    return {"output": str(output), "rows": rows, **count}


def counted(rows: int, rejected: Sequence[Any]) -> str:
    """``30 rows``, or ``28 of 30 rows``."""
    return f"{rows - len(rejected)} of {rows} rows" if rejected else f"{rows} rows"
