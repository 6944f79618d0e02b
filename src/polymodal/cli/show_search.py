"""What ``polymodal index`` and ``polymodal search`` print."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from polymodal.cli.show import console
from polymodal.data.readers.base import content_of
from polymodal.data.schema.column_summary import brief
from polymodal.errors import one_line

if TYPE_CHECKING:
    from polymodal.search.hits import Hit
    from polymodal.search.index_building import Indexed

COLUMNS = 4
"""Fields of a hit that a terminal has room for; --json gives all."""
LONGEST = 40
"""Characters of a cell."""


def show_indexed(done: Indexed, folder: Path, command: str) -> None:
    """What became of the rows, how sure the search is, and what to do next."""
    out = console()
    counts = {
        "embedded": done.embedded, "with other columns changed": done.amended, "as they were": done.kept,
        "taken away": done.removed,
    }  # fmt: skip
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing to do"
    out.print(f"{done.rows} rows in {folder}: {told}.", soft_wrap=True)
    for name, ann in done.ann.items():
        found = f"{ann['recall']:.1%} of the nearest 10 among {ann['rows']:,} vectors are found"
        out.print(Text(f"{one_line(name, 80)}: approximate, {found}."), soft_wrap=True)
    if not done.example:
        return
    out.print("Search in it:")
    out.print(Text(f"  {command} search {shlex.quote(str(folder))} {done.example}"), soft_wrap=True)


def show_hits(hits: Sequence[Hit], inputs: Mapping[str, str]) -> None:
    """A line a hit: score, row, input, and the most telling fields."""
    out = console()
    if not hits:
        out.print("No hits.")
        return
    table = Table(box=None, pad_edge=False)
    names = telling(hits, inputs)
    table.add_column("score", justify="right")
    table.add_column("row", justify="right")
    for name in ("input", *names):
        table.add_column(Text(one_line(name, LONGEST)), overflow="fold")
    for hit in hits:
        cells = [Text(shown(hit.fields[name])) for name in names]
        table.add_row(f"{hit.score:.3f}", str(hit.row), Text(one_line(hit.input, LONGEST)), *cells)
    out.print(table)


def telling(hits: Sequence[Hit], inputs: Mapping[str, str]) -> list[str]:
    """The fields to show: inputs of words and files first, then those that differ between hits."""

    def rank(name: str) -> tuple[bool, bool]:
        cells = {str(hit.fields[name]) for hit in hits}
        content = content_of(inputs.get(name))
        return content is None or content.is_tabular, len(cells) == 1

    filled = [name for name in hits[0].fields if any(hit.fields[name] is not None for hit in hits)]
    chosen = sorted(filled, key=rank)[:COLUMNS]
    return [name for name in hits[0].fields if name in chosen]


def shown(cell: Any) -> str:
    """A cell on one short line."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return brief(cell)
    text = ", ".join(map(str, cell)) if isinstance(cell, list) else str(cell)
    return one_line(" ".join(text.split()), LONGEST)
