"""What results show of themselves in a console and a notebook: a title, a small table, and some lines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Overview:
    """The content of a ``repr``.

    Attributes:
        title: What the object is.
        heads: Of the table's columns.
        rows: Cells as text.
        lines: Sentences below the table.
    """

    title: str
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    lines: tuple[str, ...] = ()

    def text(self) -> str:
        """As plain text, columns aligned."""
        cells = [self.heads, *self.rows] if self.rows else []
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
        return "\n".join([self.title, *table, *self.lines])

    def html(self) -> str:
        """As HTML, with every text escaped."""
        parts = [f"<p><strong>{escape(self.title)}</strong></p>"]
        if self.rows:
            heads = "".join(f"<th>{escape(head)}</th>" for head in self.heads)
            rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self.rows)
            body = "".join(f"<tr>{row}</tr>" for row in rows)
            parts.append(f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>")
        return "".join([*parts, *(f"<p>{escape(line)}</p>" for line in self.lines)])


class Overviewed(ABC):
    """Base of objects that show an overview in consoles and notebooks."""

    @abstractmethod
    def overview(self) -> Overview:
        """What is shown."""

    def __repr__(self) -> str:
        return self.overview().text()

    def _repr_html_(self) -> str:
        return self.overview().html()
