"""What the command line prints: tables for a terminal, plain where the output is no terminal."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

from polymodal import api

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

NARROWEST = 100
"""Columns where standard output is no terminal: a file has no width to respect."""


def console() -> Console:
    """Standard output; not narrower than a table needs when it goes to a file."""
    from rich.console import Console  # here and below: help shows no table, and starts without it

    plain = Console(highlight=False, markup=False, emoji=False)  # names of columns are no markup
    if plain.is_terminal:
        return plain
    return Console(
        highlight=False, markup=False, emoji=False, width=max(NARROWEST, shutil.get_terminal_size().columns)
    )


def titled_table(title: str | None = None, *, collapse_padding: bool = False) -> Table:
    """A table without borders; one without a title may be printed below a wide one by :func:`print_titled`.

    Args:
        title: Above it, wrapped to its width.
        collapse_padding: Whether columns are one space apart instead of two.
    """
    from rich.table import Table

    return Table(
        title=title, title_justify="left", box=None, pad_edge=False, collapse_padding=collapse_padding
    )


def literal(text: str, *, style: str = "") -> Text:
    """Text that is printed as it is, without markup."""
    from rich.text import Text

    return Text(text, style)


def print_titled(table: Table, title: str) -> Console:
    """A title on a line of its own, be it wider than the table, and the table."""
    out = console()
    out.print(literal(api.one_line(title, 300)), soft_wrap=True)
    out.print(table)
    return out


def show_metrics(results: Mapping[str, Mapping[str, float]], title: str) -> None:
    """A table of metrics by target."""
    for target, metrics in results.items():
        table = titled_table()
        for name in metrics:
            table.add_column(name, justify="right")
        table.add_row(*(api.metric(name, value) for name, value in metrics.items()))
        print_titled(table, f"{title}: {target}")
