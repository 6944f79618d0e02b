"""A table's rows of training, validation and test, as a declaration divides them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from polymodal.config import Declaration
from polymodal.data.checks.rejected import SKIP
from polymodal.data.rare_values import generalise
from polymodal.data.readers.content import Content
from polymodal.data.splits.folds import fold_rows
from polymodal.data.splits.split import split_rows
from polymodal.data.tables.table import Table
from polymodal.data.targets import TARGETS
from polymodal.data.values.missing import Marks
from polymodal.errors import DataError, Problem
from polymodal.training.declaration.labelled import few_answers, few_labels
from polymodal.training.declaration.source import read_declared_table, resolve


def split_and_skip(
    table: Table, declaration: Declaration, folder: Path | None = None
) -> tuple[dict[str, Table], dict[str, np.ndarray], list[Problem]]:
    """What :func:`split_tables` gives, and what was wrong with the rows left out where that is declared.

    The cells are those of the table: see :func:`without_rare_values`.
    """
    unknown: list[Problem] = []
    try:
        splits, numbers = split_tables(table, declaration, folder)
    except DataError as error:
        unknown = error.problems
        if declaration.data.on_error != SKIP or any(problem.row is None for problem in unknown):
            raise
        splits, numbers = split_tables(table.without(unknown), declaration, folder)
    splits = (few_answers if declaration.objectives else few_labels)(splits, declaration)
    numbers["train"] = splits["train"].places
    none = dict.fromkeys(problem for entry in splits.values() for problem in entry.rejected)
    return splits, numbers, [*none, *unknown]


def without_rare_values(splits: dict[str, Table], declaration: Declaration) -> dict[str, Table]:
    """The splits that a fit reads: where rows are private, without values that few training rows hold."""
    if not declaration.data.private:
        return splits
    return generalise(splits, declaration.inputs, declaration.targets, declaration.data.private_rows)


def split_tables(
    table: Table, declaration: Declaration, folder: Path | None = None
) -> tuple[dict[str, Table], dict[str, np.ndarray]]:
    """The three tables, and each one's rows by their number in the file."""
    data = declaration.data
    table = table.marking(Marks.of(data.missing))
    seed = declaration.train.seed if data.seed is None else data.seed
    stratify = _stratify(table, declaration)
    if data.folds:
        numbers = fold_rows(table, data, stratify, seed)
    else:
        numbers = split_rows(table, data, stratify, seed, _labels(table, declaration))
    splits = {name: table.select(rows) for name, rows in numbers.items()}
    numbers = {name: part.places for name, part in splits.items()}
    for name in ("validation", "test"):
        given = getattr(data, name)
        if isinstance(given, str):
            splits[name] = read_declared_table(resolve(given, folder), data, folder)
            numbers[name] = splits[name].places
    return splits, numbers


def _labels(table: Table, declaration: Declaration) -> list[set[tuple[str, str]]]:
    """The labels per row of all targets of classes and of labels, each beside its target."""
    labels: list[set[tuple[str, str]]] = [set() for _ in range(len(table))]
    for name, target in declaration.targets.items():
        if name not in table.columns:
            continue
        cells = TARGETS[target.family].labels(table.values(name), target, table.missing)
        for row, cell in zip(labels, cells, strict=True):
            row.update((name, label) for label in cell or ())
    return labels


def _stratify(table: Table, declaration: Declaration) -> str | list[str] | None:
    """What is kept in equal shares in all splits: the first target of classes, else that of labels."""
    readers = {name: TARGETS[target.family] for name, target in declaration.targets.items()}
    for kind in (Content.CATEGORY, Content.LABELS):
        for name, reader in readers.items():
            if reader.holds == kind:
                return reader.strata(table, name, declaration.targets[name])
    return None
