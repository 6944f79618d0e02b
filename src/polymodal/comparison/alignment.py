"""Whether runs were tested on the same rows, which of these all of them answered, and which hang together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polymodal.comparison.loaded_runs import Tested, read_cells
from polymodal.data.media.cells import MediaError
from polymodal.data.tables.table import Table
from polymodal.data.values.missing import Marks
from polymodal.errors import DataError, RunError
from polymodal.evaluation.statistics.clusters import row_groups
from polymodal.report.number_text import listed
from polymodal.training.declaration.source import read_declared_table, require_own_tables, resolve
from polymodal.utils.json_files import read_json


@dataclass(frozen=True)
class Rows:
    """The rows that runs are compared on.

    Attributes:
        numbers: Of the rows in their file, from 1, ascending: those that all runs were tested on.
        groups: What each row belongs to.
        grouped_by: In words what makes a group; empty where every row stands by itself.
        notes: What should be known of the rows.
        weights: ``(rows,)`` how much each counts, if that is the same in all runs; None where all rows do.
    """

    numbers: np.ndarray
    groups: np.ndarray
    grouped_by: str
    notes: list[str]
    weights: np.ndarray | None = None


def same_rows(runs: Sequence[Tested], targets: Sequence[str], group: str | None = None) -> Rows:
    """The rows of ``runs``, checked to be the same.

    A row that ``data.on_error: skip`` left out of one run, as its ``rejected.csv`` says, is left out of the
    comparison; any other row that not all runs were tested on is a refusal.

    Args:
        runs: Two or more.
        targets: Whose truths must be equal.
        group: A column whose equal values hang together; by default what a run declares, or rows that share
            a file.

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
    weights, said = _weights(runs, common)
    return Rows(common, groups, grouped_by, notes + more + said, weights)


def _weights(runs: Sequence[Tested], rows: np.ndarray) -> tuple[np.ndarray | None, list[str]]:
    """How much each row counts, and a note on it where a run weighs its rows."""
    given = [run.weights for run in runs if run.weights is not None]
    if not given:
        return None, []
    chosen = [run.weights[np.searchsorted(run.rows, rows)] for run in runs if run.weights is not None]
    if len(given) == len(runs) and all(np.array_equal(chosen[0], other) for other in chosen):
        return chosen[0], ["rows count by their weights, which are the same in all runs"]
    return None, ["all rows count the same here: not all runs weigh them, or not all by the same weights"]


def pick(run: Tested, rows: np.ndarray, values: list[Any]) -> list[Any]:
    """The entries of ``values``, a list a row of ``run``, for the rows numbered ``rows``."""
    return [values[place] for place in np.searchsorted(run.rows, rows)]


def _check_numbers(runs: Sequence[Tested], union: np.ndarray) -> None:
    """Refuse rows that one run was not tested on without its ``rejected.csv`` naming them."""
    for run in runs:
        file = _test_file(run)
        name = Path(file).name if file else None
        left_out = {row for where, row in run.rejected if name in (None, where)}
        lacking = [row for row in np.setdiff1d(union, run.rows).tolist() if row not in left_out]
        if not lacking:
            continue
        other = max(runs, key=lambda tested: len(np.intersect1d(tested.rows, lacking)))
        extra = np.intersect1d(other.rows, lacking)
        found = (
            f"{other.name} was tested on {_rows(len(extra))} that {run.name} was not (such as row {extra[0]})"
        )
        cure = "Fit both with the same test rows: the same table, data.split or --set data.seed=0"
        raise RunError(f"{run.name} and {other.name} cannot be compared: {found}. {cure}")


def _check_truths(first: Tested, other: Tested, rows: np.ndarray, targets: Sequence[str]) -> None:
    for target in targets:
        one, two = (pick(run, rows, run.truth[target]) for run in (first, other))
        differ = [row for row, a, b in zip(rows.tolist(), one, two, strict=True) if a != b]
        if differ:
            found = f"'{target}' has another true value in {_rows(len(differ))} (such as row {differ[0]})"
            cure = "Fit both to the same version of the table"
            raise RunError(f"{first.name} and {other.name} cannot be compared: {found}. {cure}")


def _check_file(first: Tested, other: Tested) -> None:
    """Refuse runs that were tested on different files, as far as is known."""
    names = [_test_file(run) for run in (first, other)]
    if None in names:  # fitted to rows in memory: their numbers and truths are all there is
        return
    one, two = (Path(str(name)).name for name in names)
    paths = [_test_path(run) for run in (first, other)]
    digests = [_recorded(run) for run in (first, other)]
    if None in digests:
        is_same_place = None not in paths and paths[0].resolve() == paths[1].resolve()  # type: ignore[union-attr]
        digests = ["", ""] if is_same_place else [_digest(path) for path in paths]
    same = one == two if None in digests else digests[0] == digests[1]
    if not same:
        which = f"different files, {one} and {two}" if one != two else f"different versions of {one}"
        cure = "Fit both to the same file"
        raise RunError(
            f"{first.name} and {other.name} cannot be compared: they were tested on {which}. {cure}"
        )


def _test_file(run: Tested) -> str | None:
    """What the declaration calls the file of the test rows, if it is one."""
    data = run.declaration.data
    return data.test if isinstance(data.test, str) else data.train


def _test_path(run: Tested) -> Path | None:
    """Where that file is now; None where it is not to be found."""
    named = _test_file(run)
    if named is None:
        return None
    path = resolve(named, run.folder)
    return path if path.exists() else None


def _recorded(run: Tested) -> str | None:
    """The digest of the training file when the run's report was made, where the test rows are from it."""
    path = run.folder / "report.json"
    if isinstance(run.declaration.data.test, str) or not path.is_file():
        return None
    try:
        return read_json(path)["making"]["data"]["sha256"]
    except (ValueError, KeyError, TypeError):
        raise RunError(
            f"{path}: is no report of a run. Make it again: polymodal report {run.folder}"
        ) from None


def _digest(path: Path | None) -> str | None:
    if path is None or not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _groups(
    runs: Sequence[Tested], rows: np.ndarray, targets: Sequence[str], group: str | None
) -> tuple[np.ndarray, str, list[str]]:
    """The groups of the rows, in words, and what to say where the table cannot be read any more."""
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


def _table(runs: Sequence[Tested], rows: np.ndarray, targets: Sequence[str]) -> Table:
    """The rows as their file has them now.

    Raises:
        DataError: If it cannot be read.
        RunError: If it is not there, or is not the file that the run was fitted to.
    """
    found = [(run, path) for run in runs if (path := _test_path(run)) is not None]
    if not found:
        named = _test_file(runs[0])
        raise RunError(f"{named}: is not there" if named else "the runs were not fitted to a file")
    run, path = found[0]
    require_own_tables(run.folder, run.declaration, run.results, "Fit again")
    missing = Marks.of(run.declaration.data.missing)
    table = read_declared_table(path, run.declaration.data, run.folder)
    places = np.searchsorted(table.places, rows - 1)
    if (places >= len(table)).any() or (table.places[places] != rows - 1).any():
        raise RunError(f"{path}: holds fewer rows than when the runs were fitted")
    table = table.select(places)
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
