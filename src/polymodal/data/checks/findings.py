"""Missing inputs of a table, and its values that training never saw, counted and named."""

from __future__ import annotations

import difflib
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from polymodal.data.readers import Content, NumberReader, Reader
from polymodal.data.tables.table import Table, each_cell
from polymodal.data.values.amounts import find_amounts
from polymodal.data.values.column_values import holds_objects, is_textual, look, parse_numbers
from polymodal.data.values.number_formats import number_format
from polymodal.errors import InputWarning, one_line
from polymodal.utils.records import JsonObject

EXAMPLES = 3
MANY = 0.5
"""Share of empty cells from which a column is named; ``--json`` counts all."""
NEAR = 0.8
"""Likeness of two names from which one may be meant for the other."""


@dataclass(frozen=True)
class Unseen:
    """The cells of a column of names that hold some which training never saw.

    Attributes:
        cells: How many there are.
        filled: Cells of the column that are not empty.
        values: Some of the values, the most frequent first.
        distinct: How many values they are.
        hint: What may have happened to them; empty where nothing suggests itself.
    """

    cells: int
    filled: int
    values: tuple[str, ...]
    distinct: int
    hint: str = ""


@dataclass(frozen=True)
class Findings:
    """Differences of a table from the training rows of a run.

    Attributes:
        table: Its name.
        rows: How many it has.
        absent: Inputs that no column of the table is called by, and the column that may be meant, if any.
        empty: Empty cells by input, of the columns that are there; inputs without any left out.
        unseen: Values that training never saw, by input.
        written: Numbers that the table seems to write in another way than training, by column: a sentence.
    """

    table: str
    rows: int
    absent: dict[str, str | None] = field(default_factory=dict)
    empty: dict[str, int] = field(default_factory=dict)
    unseen: dict[str, Unseen] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)

    def warnings(self) -> list[str]:
        """A line for each input that all rows lack, and for each with unseen values."""
        every = f"all {self.rows} rows" if self.rows > 1 else "the row"
        lines = [
            f"no column '{one_line(name, 80)}', which the run reads: missing in {every}{_meant(name, near)}"
            for name, near in self.absent.items()
        ]
        lines += [
            f"column '{one_line(name, 80)}' is empty in {every}"
            for name, count in self.empty.items()
            if count == self.rows
        ]
        lines += [_unseen_line(name, entry) for name, entry in self.unseen.items()]
        lines += [f"column '{one_line(name, 80)}': {sentence}" for name, sentence in self.written.items()]
        return [f"{one_line(self.table, 250)}: {line}" for line in lines]

    def notes(self) -> list[str]:
        """At most one line: which inputs most of the rows, but not all, lack."""
        most = {name: count for name, count in self.empty.items() if self.rows > count >= self.rows * MANY}
        some = ", ".join(f"'{one_line(name, 80)}' in {count}" for name, count in most.items())
        return [f"{one_line(self.table, 250)}: empty cells of {some} of {self.rows} rows"] * bool(some)

    def plain(self) -> JsonObject:
        """For JSON: ``warnings``; cells by input that are ``missing`` and that are ``unseen``."""
        missing = dict.fromkeys(self.absent, self.rows) | self.empty
        unseen: dict[str, JsonObject] = {
            name: {"cells": entry.cells, "distinct": entry.distinct, "examples": list(entry.values)}
            for name, entry in self.unseen.items()
        }
        return {"warnings": self.warnings(), "missing": missing, "unseen": unseen}

    def warn(self) -> None:
        """Issue :meth:`warnings` as Python's warnings of the class ``InputWarning``."""
        for line in self.warnings():
            warnings.warn(line, InputWarning, stacklevel=3)


def inspect_table(
    table: Table, readers: Mapping[str, Reader], targets: Mapping[str, str | None] | None = None
) -> Findings:
    """Compare a table with what ``readers`` know, column by column; no medium is opened.

    Args:
        table: All rows that are to be answered.
        readers: By input.
        targets: How training wrote the numbers of each target.
    """
    there = {name: reader for name, reader in readers.items() if name in table.columns}
    spare = [column for column in table.columns if column not in readers]
    empty, unseen = {}, {}
    written = {
        name: otherwise_written(table.values(name), sample)
        for name, sample in (targets or {}).items()
        if name in table.columns
    }
    for name, reader in there.items():
        values = table.values(name)
        if reader.vocabulary is not None:
            filled, result = _unseen(values, reader)
            empty[name] = len(values) - filled
            if result:
                unseen[name] = result
        else:
            empty[name] = _empty_cells(values, reader)
        if isinstance(reader.main, NumberReader):
            written[name] = otherwise_written(values, reader.main.written, reader.main.edges)
    return Findings(
        table=table.name, rows=len(table), absent={n: _nearest(n, spare) for n in readers if n not in there},
        empty={name: count for name, count in empty.items() if count}, unseen=unseen,
        written={name: sentence for name, sentence in written.items() if sentence},
    )  # fmt: skip


def _nearest(name: str, columns: Sequence[str]) -> str | None:
    """The column that is called nearly like an input."""
    same = [column for column in columns if _plain_name(column) == _plain_name(name)]
    return next(iter(same or difflib.get_close_matches(name, columns, n=1, cutoff=NEAR)), None)


def _plain_name(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _meant(name: str, near: str | None) -> str:
    if near is None:
        return ""
    shown = one_line(near, 80)
    if _plain_name(near) == _plain_name(name):
        return f". '{shown}' differs only in capitals or blanks: rename it"
    return f". Is '{shown}' meant? Rename it"


def _empty_cells(values: pa.ChunkedArray, reader: Reader) -> int:
    """How many cells hold nothing that ``reader`` could read."""
    if reader.holds is Content.VALUE:
        return sum(reader.is_empty(cell) for cell in each_cell(values))
    if reader.holds is Content.NUMBER:
        numbers, bad = parse_numbers(values)
        return int(np.isnan(numbers).sum()) - len(bad)
    if is_textual(values.type):
        return values.null_count + (pc.sum(pc.equal(pc.utf8_trim_whitespace(values), "")).as_py() or 0)
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        return values.null_count + (pc.sum(pc.equal(pc.list_value_length(values), 0)).as_py() or 0)
    return values.null_count


def otherwise_written(values: pa.ChunkedArray, written: str | None, edges: Sequence[float] = ()) -> str:
    """In what the numbers of a column differ from those read by the signs that it seems to have itself.

    Args:
        values: The cells.
        written: How training wrote them; None where plainly, so that others are refused.
        edges: Numbers from the smallest to the largest of training; what lies between them is no doubt.
    """
    if written is None or not is_textual(values.type):
        return ""
    cells = look(values)
    amounts = find_amounts(cells)
    if amounts is None or amounts.format is None:
        return ""
    ours, theirs = number_format(written), number_format(amounts.format)
    for text in cells.distinct:
        number, other = ours.parse(text), theirs.parse(text)
        if number is None or other is None or number == other:
            continue
        if not (len(edges) and edges[0] <= number <= edges[-1]):
            return (
                f"'{one_line(text, 40)}' is read as {number:,.10g}, by the format of training ({written}); "
                f"the table itself seems to be written as {amounts.format}, which gives {other:,.10g}"
            )
    return ""


def _unseen(values: pa.ChunkedArray, reader: Reader) -> tuple[int, Unseen | None]:
    """The filled cells of a column of names, and those among them with names that training never saw."""
    counts: Counter[str] = Counter()
    filled = unseen = 0
    for value, count in _counted(values, reader):
        names = reader.unknown_names(value)
        counts.update(dict.fromkeys(names, count))
        filled, unseen = filled + count, unseen + count * bool(names)
    if not counts or reader.vocabulary is None:
        return filled, None
    names = sorted(counts, key=lambda name: (-counts[name], name))
    result = Unseen(
        cells=unseen, filled=filled, values=tuple(names[:EXAMPLES]),
        distinct=len(names), hint=_hint(names, reader.vocabulary.names),
    )  # fmt: skip
    return filled, result


def _counted(values: pa.ChunkedArray, reader: Reader) -> Iterable[tuple[object, int]]:
    """The cells that are not empty, each with how often it is there; lists one by one."""
    if holds_objects(values.type):
        return ((cell, 1) for cell in each_cell(values) if not reader.is_empty(cell))
    cells = look(values)
    return zip(cells.distinct, cells.counts.tolist(), strict=True)


def _hint(unseen: Sequence[str], known: Sequence[str]) -> str:
    """A hint at unseen values that differ from known ones in spelling alone; empty where there are none."""
    for change, hint in (
        (lambda name: name.lstrip("0"), "leading zeros may have been lost: read the column as text"),
        (_plain_name, "they differ in capitals or blanks"),
    ):
        written = {change(name): name for name in known}
        for name in unseen:
            if change(name) in written:
                return f"Training had '{one_line(written[change(name)], 40)}'; {hint}"
    return ""


def _unseen_line(name: str, found: Unseen) -> str:
    share = (
        f"{found.cells} of {found.filled} values"
        if found.cells < found.filled
        else f"all {found.cells} values"
    )
    shown = ", ".join(f"'{one_line(value, 40)}'" for value in found.values)
    more = f" and {found.distinct - len(found.values)} more" if found.distinct > len(found.values) else ""
    text = f"column '{one_line(name, 80)}': {share} were never seen in training ({shown}{more})"
    return f"{text}. {found.hint}" if found.hint else text
