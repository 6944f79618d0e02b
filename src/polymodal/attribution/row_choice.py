"""The choice of rows to explain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polymodal.data.tables.table import Table
from polymodal.errors import DataError, Problem, worded

FIRST = 8
"""Number of rows that are explained by default."""


def choose_rows(table: Table, rows: str | int | Sequence[int] | None = None) -> list[int]:
    """The indices in ``table``, from 0, of the named rows, each once, in the order of their names.

    Args:
        table: The rows.
        rows: Numbers from 1, the header not counted, also as text with commas between; by default the
            first :data:`FIRST`.

    Raises:
        DataError: If one is no number, or there is no such row.
    """
    if rows is None:
        return list(range(min(FIRST, len(table))))
    named = [word.strip() for word in rows.split(",")] if isinstance(rows, str) else rows
    named = [named] if isinstance(named, int) else named
    indices = {int(number) + 1: index for index, number in enumerate(table.places)}
    expected = f"numbers from 1 to {len(table)}"
    fix = worded(
        "The header does not count; write them with commas between, such as --rows 3,8",
        "The header does not count; give a list such as rows=[3, 8]",
    )
    problems, chosen = [], []
    for word in named:
        number = _number(word)
        if number is None:
            reason = f"'{word}' among the rows to explain"
            problems.append(Problem(file=table.name, found=reason, expected=expected, cure=fix))
        elif number not in indices:
            reason = f"there is no such row among its {len(table)}"
            problems.append(Problem(file=table.name, row=number, found=reason, expected=expected, cure=fix))
        else:
            chosen.append(indices[number])
    if not problems and not chosen:
        problems = [Problem(file=table.name, found="no rows to explain", expected=expected, cure=fix)]
    if problems:
        raise DataError(problems)
    return list(dict.fromkeys(chosen))


def _number(word: object) -> int | None:
    """A row's number; None for what is none."""
    if isinstance(word, (int, np.integer)) and not isinstance(word, bool):
        return int(word)
    text = str(word)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
