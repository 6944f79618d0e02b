"""``rejected.csv`` of a run: the problems of the rows that were skipped."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from polymodal.errors import LONGEST, Problem, RunError, one_line, option, worded
from polymodal.utils.unwritable import how_to_fix

NAME = "rejected.csv"
COLUMNS = ("file", "row", "column", "found", "expected")
ON_ERROR = ("refuse", "skip")
"""What may be done with a table that has rows that cannot be read."""
SKIP = "skip"
ABSOLUTE = re.compile(r"(?:(?<=file://)|(?<![\w.…~/]))(?:[A-Za-z]:\\|/)(?:[^\s/\\'\",:;]+[/\\])+")
"""The folders of an absolute path."""
COMPUTED = ("=", "+", "-", "@")
"""How a cell begins that a spreadsheet would compute."""


def count_rows(problems: Sequence[Problem]) -> int:
    """How many rows ``problems`` are about: one may have several."""
    return len({(problem.file, problem.row) for problem in problems})


def in_order(problems: Sequence[Problem]) -> list[Problem]:
    """``problems`` by file, then by row."""
    files = list(dict.fromkeys(problem.file for problem in problems))
    return sorted(problems, key=lambda problem: (files.index(problem.file), problem.row or 0))


def left_out(problems: Sequence[Problem]) -> list[Problem]:
    """The problem that names how many rows were skipped, beside a refusal; nothing where none were."""
    if not problems:
        return []
    count = count_rows(problems)
    reason = f"{count} row{'s' * (count > 1)} left out by {option('on_error', 'skip')}"
    return [
        Problem(
            file=problems[0].file, found=reason, cure=f"{worded('polymodal check', 'pm.check')} lists them."
        )
    ]


def _cell(column: str, value: Any) -> Any:
    """A value as it may be shared and opened: no folder of the machine, no control character, no formula."""
    if not isinstance(value, str):
        return value
    if column == "file" and os.path.isabs(value):
        value = os.path.basename(value)
    text = one_line(ABSOLUTE.sub("…/", value), LONGEST)
    return f"'{text}" if text.startswith(COMPUTED) else text


def write_rejected(folder: Path, problems: Sequence[Problem], *, private: bool = False) -> None:
    """Write ``rejected.csv``, a line a problem; without problems, take it away.

    Where rows are private, it names the rows and nothing of their cells.

    Raises:
        RunError: If it cannot be written; an earlier file is kept.
    """
    path = folder / NAME
    part = path.with_name(f".{NAME}.part")
    if private:
        problems = [replace(problem, found="not written (data.private)", expected="") for problem in problems]
    try:
        if not problems:
            path.unlink(missing_ok=True)
            return
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(
                [_cell(column, getattr(problem, column)) for column in COLUMNS] for problem in problems
            )
        os.replace(part, path)
    except OSError as error:
        fix = how_to_fix(error, "Free space or give another folder with -o")
        raise RunError(f"{path}: cannot be written ({error.strerror or error}). {fix}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
