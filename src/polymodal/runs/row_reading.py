"""Rows read one by one, without a table, as a service receives them. None of it needs torch or pandas."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from polymodal.data.media.cells import MediaError
from polymodal.data.media.path_access import NOWHERE, Root
from polymodal.data.readers.content import Content
from polymodal.data.row_processor import Row, RowProcessor
from polymodal.errors import Problem, one_line

EXAMPLES = 3
"""Values that a warning names."""


@dataclass(frozen=True)
class ReadRow:
    """A row that was read.

    Attributes:
        row: What its readers kept, for :func:`answer_rows`.
        problems: By input why its cell cannot be read; such a row has no answer.
        warnings: What was changed in its cells as they were read, and values that training never saw.
    """

    row: Row
    problems: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


def read_row(processor: RowProcessor, cells: Mapping[str, Any], access: Root = NOWHERE) -> ReadRow:
    """Read a row.

    Args:
        processor: Of the run, ``run.reading``.
        cells: By input; an input that is not named is missing.
        access: The files that cells may name; by default none.
    """
    kept, wrong = processor.read_row(cells, root=access)
    notes = [f"{name}: {text}" for name, text in kept.pop("notes", ())]
    failed = {name for name, _ in wrong}
    for name, reader in processor.readers.items():
        cell = processor.missing.cleared(cells.get(name))
        if reader.vocabulary is not None and name not in failed and not reader.is_empty(cell):
            notes += _unseen(name, reader.unknown_names(cell))
    return ReadRow(
        {"index": 0, "draw": 0, **kept},
        tuple((name, _sentence(error)) for name, error in wrong),
        tuple(notes),
    )


def _unseen(name: str, values: Sequence[str]) -> list[str]:
    if not values:
        return []
    shown = ", ".join(f"'{one_line(value, 40)}'" for value in values[:EXAMPLES])
    return [f"{one_line(name, 80)}: {shown} {'was' if len(values) == 1 else 'were'} never seen in training"]


def _sentence(error: MediaError) -> str:
    return str(Problem(found=error.found, expected=error.expected, cure=error.cure))


def media_names(processor: RowProcessor) -> list[str]:
    """The inputs whose cells are opened and decoded."""
    return [name for name, reader in processor.readers.items() if reader.holds is Content.MEDIA]


def part_of(processor: RowProcessor, names: Collection[str]) -> RowProcessor:
    """A processor of some inputs alone, and of no target."""
    readers = {name: reader for name, reader in processor.readers.items() if name in names}
    return RowProcessor(readers, missing=processor.missing)


def joined(first: ReadRow, second: ReadRow, names: Sequence[str]) -> ReadRow:
    """A row of which two processors read different inputs; ``names`` are all inputs in declared order."""
    cells = {**first.row["cells"], **second.row["cells"]}
    order = {name: index for index, name in enumerate(names)}
    problems = sorted([*first.problems, *second.problems], key=lambda each: order[each[0]])
    return replace(
        first,
        row={**first.row, "cells": {name: cells[name] for name in names if name in cells}},
        problems=tuple(problems), warnings=first.warnings + second.warnings,
    )  # fmt: skip
