"""What the command line takes and says where rows that cannot be read may be left out: ``--on-error``."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from polymodal import api

SHOWN = 20


class OnError(StrEnum):
    """What may follow ``--on-error``."""

    refuse = "refuse"
    skip = "skip"


OnErrorOption = Annotated[
    OnError | None,
    typer.Option("--on-error", help="Rows that cannot be read: refuse (default) or skip."),
]


def as_settings(choice: OnError | None) -> list[str]:
    """The option as a setting: what is declared holds where it is not given."""
    return [] if choice is None else [f"data.on_error={choice.value}"]


def warn(rejected: Sequence[Any], what: str) -> None:
    """Say on standard error which rows could not be read: some of them, and how many there are."""
    for problem in rejected[:SHOWN]:
        typer.echo(f"{what}: {problem}", err=True)
    if len(rejected) > SHOWN:
        typer.echo(f"{what}: … and {len(rejected) - SHOWN} more", err=True)


def tell_findings(found: api.Findings) -> api.JsonObject:
    """Say on standard error what a table lacks, and what training never saw; returns the same for JSON."""
    for line in found.warnings():
        typer.echo(f"warning: {line}", err=True)
    for line in found.notes():
        typer.echo(f"note: {line}", err=True)
    return found.plain()


def written(output: Path, rows: int, rejected: Sequence[Any] | None) -> api.JsonObject:
    """What was written, and how many rows of it are empty where rows may be."""
    count = {} if rejected is None else {"rejected": len(rejected)}
    return {"output": str(output), "rows": rows, **count}


def counted(rows: int, rejected: Sequence[Any]) -> str:
    """``30 rows``, or ``28 of 30 rows``."""
    return f"{rows - len(rejected)} of {rows} rows" if rejected else f"{rows} rows"
