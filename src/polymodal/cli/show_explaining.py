"""What ``polymodal explain`` prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from polymodal.cli.show import console
from polymodal.errors import one_line

if TYPE_CHECKING:
    from polymodal.attribution.explain import Explanation
    from polymodal.attribution.explanation_page import Explanations


def show_explanations(found: Explanations, page: Path) -> None:
    """A line an answer: its inputs' shares, its strongest part, its error; then where the page lies."""
    from polymodal.attribution.explanation_html import plain, spoken_confidence, spoken_share

    table = Table(box=None, pad_edge=False)
    for name in ("row", "target", "answer", "shares of the inputs", "strongest part", "error"):
        table.add_column(name, overflow="fold")
    for entry in found.entries:
        said = entry.said.answer if isinstance(entry.said.answer, str) else plain(entry.said.answer)
        sure = f" ({spoken_confidence(entry)})" if spoken_confidence(entry) else ""
        shares = [f"{name} {spoken_share(part.share, entry)}" for name, part in entry.inputs.items()]
        mark = " !" if entry.found.flagged else ""
        table.add_row(
            str(entry.row), entry.said.target, one_line(said, 60) + sure, ", ".join(shares) or "no input",
            strongest(entry), f"{entry.found.relative:.2%}{mark}",
        )  # fmt: skip
    out = console()
    out.print(table)
    for sentence in found.sentences():
        out.print(Text(sentence), soft_wrap=True)
    out.print(f"The explanations lie in {page}.", soft_wrap=True)


def strongest(entry: Explanation) -> str:
    """The word or cell with the largest attribution, if the row has any."""
    named = [
        (name, piece)
        for name, part in entry.inputs.items()
        for piece in part.parts
        if piece.text and part.parts
    ]
    if not named:
        return ""
    name, piece = max(named, key=lambda pair: abs(pair[1].attribution))
    return one_line(f"{name}: {piece.text}", 40)
