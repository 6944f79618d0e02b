"""The test rows that runs have in common, checked to be the same, and their clusters."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polymodal.comparison.loaded_runs import TestedRun, read_cells
from polymodal.data.media.cells import MediaError
from polymodal.data.tables.table import Table
from polymodal.data.values.missing import Marks
from polymodal.errors import DataError, RunError, setting, worded
from polymodal.evaluation.number_text import listed
from polymodal.evaluation.statistics.clusters import row_groups
from polymodal.training.declaration.source import read_declared_table, require_own_tables, resolve
from polymodal.utils.json_files import read_json


@dataclass(frozen=True)
class Rows:
    """The rows that runs are compared on.

    Attributes:
        numbers: Of the rows in their file, from 1, ascending: those that all runs were tested on.
        groups: ``(rows,)`` cluster ids.
        grouped_by: In words, by what rows were clustered; empty where every row is its own cluster.
        notes: Remarks on skipped rows and weights.
        weights: ``(rows,)`` sample weights, if all runs have the same; else None.
    """

    numbers: np.ndarray
    groups: np.ndarray
    grouped_by: str
    notes: list[str]
    weights: np.ndarray | None = None


def same_rows(runs: Sequence[TestedRun], targets: Sequence[str], group: str | None = None) -> Rows:
    """The rows of ``runs``, checked to be the same.

    A row that one run skipped (``data.on_error: skip``), as its ``rejected.csv`` lists, is skipped in the
    comparison; any other row that not all runs were tested on is an error.

    Args:
        runs: Two or more.
        targets: Whose ground truth must be equal.
        group: A column whose equal values form a cluster; by default what a run declares, or rows that
            share a file.

    Raises:
        RunError: If files, rows or truths differ.
        DataError: If ``group`` is given and the table cannot be read or has no such column.
    """
    for other in runs[1:]:
        _check_file(runs[0], other)
    union, common = runs[0].rows, runs[0].rows
    for run in runs[1:]:
        union, common = np.union1d(union, run.rows), np.intersect1d(common, run.rows)
    _check_numbers(runs, union)
    for other in runs[1:]:
        _check_truths(runs[0], other, common, targets)
    notes = []
    if len(common) < len(union):
        lacking = listed([run.name for run in runs if len(run.rows) < len(union)])
        count = len(union) - len(common)
        notes.append(f"{_rows(count)} left out that {lacking} could not read and skipped")
    groups, grouped_by, more = _groups(runs, common, targets, group)
    weights, remarks = _weights(runs, common)
    return Rows(common, groups, grouped_by, notes + more + remarks, weights)


def _weights(runs: Sequence[TestedRun], rows: np.ndarray) -> tuple[np.ndarray | None, list[str]]:
    """The common sample weights, and a note where a run has any."""
    given = [run.weights for run in runs if run.weights is not None]
    if not given:
        return None, []
    chosen = [run.weights[np.searchsorted(run.rows, rows)] for run in runs if run.weights is not None]
    if len(given) == len(runs) and all(np.array_equal(chosen[0], other) for other in chosen):
        return chosen[0], ["rows count by their weights, which are the same in all runs"]
    return None, ["all rows count the same here: not all runs weigh them, or not all by the same weights"]


def pick(run: TestedRun, rows: np.ndarray, values: list[Any]) -> list[Any]:
    """The entries of ``values``, one per row of ``run``, for the rows numbered ``rows``."""
    return [values[index] for index in np.searchsorted(run.rows, rows)]


def _check_numbers(runs: Sequence[TestedRun], union: np.ndarray) -> None:
    """Refuse rows that one run was not tested on, unless its ``rejected.csv`` lists them."""
    for run in runs:
        file = _test_file(run)
        name = Path(file).name if file else None
        left_out = {row for where, row in run.rejected if name in (None, where)}
        lacking = [row for row in np.setdiff1d(union, run.rows).tolist() if row not in left_out]
        if not lacking:
            continue
        other = max(runs, key=lambda run: len(np.intersect1d(run.rows, lacking)))
        extra = np.intersect1d(other.rows, lacking)
        reason = (
            f"{other.name} was tested on {_rows(len(extra))} that {run.name} was not (such as row {extra[0]})"
        )
        seed = setting("data.seed", 0)
        fix = f"Fit both with the same test rows: the same table, data.split or {seed}"
        raise RunError(f"{run.name} and {other.name} cannot be compared: {reason}. {fix}")


def _check_truths(first: TestedRun, other: TestedRun, rows: np.ndarray, targets: Sequence[str]) -> None:
    for target in targets:
        one, two = (pick(run, rows, run.truth[target]) for run in (first, other))
        differ = [row for row, a, b in zip(rows.tolist(), one, two, strict=True) if a != b]
        if differ:
            reason = f"'{target}' has another true value in {_rows(len(differ))} (such as row {differ[0]})"
            fix = "Fit both to the same version of the table"
            raise RunError(f"{first.name} and {other.name} cannot be compared: {reason}. {fix}")


def _check_file(first: TestedRun, other: TestedRun) -> None:
    """Refuse runs that were tested on different files, as far as is known."""
    names = [_test_file(run) for run in (first, other)]
    if None in names:  # fitted to rows in memory: only their numbers and ground truth are known
        return
    one, two = (Path(str(name)).name for name in names)
    paths = [_test_path(run) for run in (first, other)]
    digests = [_recorded(run) for run in (first, other)]
    if None in digests:
        known = [path.resolve() for path in paths if path is not None]
        is_same_file = len(known) == 2 and known[0] == known[1]
        digests = ["", ""] if is_same_file else [_digest(path) for path in paths]
    same = one == two if None in digests else digests[0] == digests[1]
    if not same:
        which = f"different files, {one} and {two}" if one != two else f"different versions of {one}"
        fix = "Fit both to the same file"
        raise RunError(
            f"{first.name} and {other.name} cannot be compared: they were tested on {which}. {fix}"
        )


def _test_file(run: TestedRun) -> str | None:
    """The file of the test rows in the declaration; None for rows in memory."""
    data = run.declaration.data
    return data.test if isinstance(data.test, str) else data.train


def _test_path(run: TestedRun) -> Path | None:
    """The path of that file; None where it does not exist."""
    named = _test_file(run)
    if named is None:
        return None
    path = resolve(named, run.folder)
    return path if path.exists() else None


def _recorded(run: TestedRun) -> str | None:
    """The digest of the training file in the run's report; None if the test rows are from another file."""
    path = run.folder / "report.json"
    if isinstance(run.declaration.data.test, str) or not path.is_file():
        return None
    try:
        return read_json(path)["making"]["data"]["sha256"]
    except (ValueError, KeyError, TypeError):
        again = worded(f"polymodal report {run.folder}", "run.report()")
        raise RunError(f"{path}: is no report of a run. Make it again: {again}") from None


def _digest(path: Path | None) -> str | None:
    if path is None or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _groups(
    runs: Sequence[TestedRun], rows: np.ndarray, targets: Sequence[str], group: str | None
) -> tuple[np.ndarray, str, list[str]]:
    """The clusters of the rows, by what they were made, and a note where the table can no longer be read."""
    inputs = {
        name: config.modality for run in reversed(runs) for name, config in run.declaration.inputs.items()
    }
    declared = [run.declaration.report.group or run.declaration.data.group for run in runs]
    column = group or next(filter(None, declared), None)
    try:
        groups, reason = row_groups(_table(runs, rows, targets), inputs, column)
        return groups, reason, []
    except (DataError, RunError) as error:
        if group is not None:
            raise
        why = str(error).splitlines()[0]
        note = "the table is not to be had, so every row is drawn by itself, whether or not rows share a file"
        return np.arange(len(rows)), "", [f"{note} ({why})"]


def _table(runs: Sequence[TestedRun], rows: np.ndarray, targets: Sequence[str]) -> Table:
    """The rows as their file has them now.

    Raises:
        DataError: If it cannot be read.
        RunError: If it is not there, or is not the file that the run was fitted to.
    """
    result = [(run, path) for run in runs if (path := _test_path(run)) is not None]
    if not result:
        named = _test_file(runs[0])
        raise RunError(f"{named}: is not there" if named else "the runs were not fitted to a file")
    run, path = result[0]
    require_own_tables(run.folder, run.declaration, run.results, "Fit again")
    missing = Marks.of(run.declaration.data.missing)
    table = read_declared_table(path, run.declaration.data, run.folder)
    indices = np.searchsorted(table.places, rows - 1)
    if (indices >= len(table)).any() or (table.places[indices] != rows - 1).any():
        raise RunError(f"{path}: holds fewer rows than when the runs were fitted")
    table = table.select(indices)
    for target in targets:
        declared = run.declaration.targets[target]
        changed = f"{path}: has changed since the runs were fitted ('{target}' differs)"
        if target not in table.columns:
            raise RunError(changed)
        try:
            given, classes = table.values(target).to_pylist(), run.classes[target]
            cells = read_cells(
                given, run.families[target], declared.separator, classes, missing, declared.format
            )
        except MediaError:
            raise RunError(changed) from None
        if cells != pick(run, rows, run.truth[target]):
            raise RunError(changed)
    return table


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"
