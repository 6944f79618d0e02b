"""The splits of a table as the run's own fit would make them."""

from __future__ import annotations

from polymodal.config import DataConfig, Declaration
from polymodal.data.splits.split import SPLITS
from polymodal.data.tables.table import Table
from polymodal.data.values.column_values import as_label
from polymodal.errors import DataError, Problem, RunError
from polymodal.runs.prediction_run import PredictionRun
from polymodal.training.declaration.splitting import split_tables

NAMES = ("train", "validation", "test")


def own_splits(run: PredictionRun, table: Table) -> dict[str, Table]:
    """The training, validation and test rows of ``table``, split as the run's fit split its own.

    By the split column where there is one, else by the same shares, seed and classes: of the table that the
    run was fitted to, the test rows are those that it was not fitted to.

    Raises:
        DataError: If a row names an unknown split, or there are too few rows.
    """
    return split_tables(table, _declared(run.declaration, table))[0]


def only(run: PredictionRun, table: Table, split: str) -> Table:
    """The rows of one split, see :func:`own_splits`.

    Raises:
        RunError: If there is no such split.
        DataError: If it has no row.
    """
    if split not in NAMES:
        raise RunError(f"the split is '{split}', expected {', '.join(NAMES[:2])} or {NAMES[2]}")
    part = own_splits(run, table)[split]
    if not len(part):
        raise DataError(Problem(file=table.name, found=f"no row is for {split}", expected="rows to measure"))
    return part


def trained_on(run: PredictionRun, table: Table) -> int:
    """How many rows the split column of ``table`` marks for training, if it has one."""
    column = run.declaration.data.split
    if column is None or column not in table.columns:
        return 0
    marks = (SPLITS.get(as_label(cell).lower()) for cell in table.values(column).to_pylist())
    return sum(mark == "train" for mark in marks)


def _declared(declaration: Declaration, table: Table) -> Declaration:
    """The declaration without what is about other tables."""
    data, usual = declaration.data, DataConfig()
    own = {
        "split": data.split if data.split in table.columns else usual.split if data.split else None,
        "group": data.group if data.group in table.columns else None,
        **{name: getattr(data, name) for name in ("validation", "test")},
    }
    own |= {name: getattr(usual, name) for name in ("validation", "test") if isinstance(own[name], str)}
    targets = {name: entry for name, entry in declaration.targets.items() if name in table.columns}
    return declaration.model_copy(update={"data": data.model_copy(update=own), "targets": targets})
