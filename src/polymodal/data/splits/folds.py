"""Cross-validation folds: each is the test once, so that every row gets an out-of-fold prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polymodal.config import DataConfig
from polymodal.data.splits.class_coverage import groups_of_own_class
from polymodal.data.splits.split import _held_out, _in_order, _named, _scarce, _share, _units, class_labels
from polymodal.data.tables.table import Table
from polymodal.errors import ConfigError, DataError, Problem


def fold_rows(
    table: Table, config: DataConfig, stratify: str | Sequence[str] | None, seed: int
) -> dict[str, np.ndarray]:
    """The training, validation and test rows of fold ``config.fold`` of ``config.folds``.

    Folds have equal size, are stratified by class, and never split a group. They consist of all rows except
    those that a split column marks as test, which are not used. The only row of a class, or the only group
    with rows of a class, is in the training rows of every fold. Validation rows are a share of the rows that
    are not in the fold, or a table.

    Args:
        table: The rows.
        config: See :class:`DataConfig`.
        stratify: Column to stratify by, or a value per row; ``None`` for neither.
        seed: Seed of the folds.

    Returns:
        Sorted row numbers by split.

    Raises:
        ConfigError: If the test rows are to come from a table.
        DataError: If there are fewer rows, or groups, than folds, or too few are left to train.
    """
    assert config.folds is not None
    if isinstance(config.test, str):
        fix = "Leave data.test out, and evaluate the runs on that table"
        raise ConfigError(f"data.test is a table, but with data.folds each fold is the test in turn. {fix}")
    parts = _named(table, config)
    pool = [parts[name] for name in ("train", "validation") if name in parts]
    rows = np.sort(np.concatenate(pool)) if pool else np.arange(len(table))
    tests = make_folds(table, rows, config, stratify, seed)[config.fold]
    rest = np.setdiff1d(rows, tests)
    share = {"validation": _share(config.validation, "validation")}
    held = _held_out(table, rest, share, config.group, stratify, seed)
    empty = np.array([], dtype=np.int64)
    return {
        "train": np.sort(held["train"]),
        "validation": np.sort(held.get("validation", empty)),
        "test": tests,
    }


def make_folds(
    table: Table, rows: np.ndarray, config: DataConfig, stratify: str | Sequence[str] | None, seed: int
) -> list[np.ndarray]:
    """Split ``rows`` into ``config.folds`` sorted arrays.

    Raises:
        DataError: If there are too few rows, or groups.
    """
    folds = config.folds or 1
    units = _units(table, rows, config.group)
    classes = class_labels(table, stratify) if isinstance(stratify, str) else stratify
    if config.group is None:
        units = _in_order(units, classes, seed)
        alone = {id(unit) for unit in _scarce(units, classes, most=1)}
    else:
        alone = {id(unit) for unit in groups_of_own_class(units, classes)}
    if len(units) - len(alone) >= folds:
        units = [unit for unit in units if id(unit) not in alone]
    if len(units) < folds:
        what = "rows" if config.group is None else f"groups of '{config.group}'"
        reason = f"{len(units)} {what} for {folds} folds"
        raise DataError(Problem(found=reason, cure="Give more rows, or fewer folds.", file=table.name))
    if config.group is None:  # in order of classes: distributed in turn, each fold gets its share of each
        return [np.sort(np.concatenate(units[fold::folds])) for fold in range(folds)]
    return _grouped(units, classes, folds, seed)


def _grouped(units: list[np.ndarray], classes: Sequence | None, folds: int, seed: int) -> list[np.ndarray]:
    rows = np.concatenate(units)
    groups = np.repeat(np.arange(len(units)), [len(unit) for unit in units])
    labels = np.array([str(classes[row]) for row in rows] if classes is not None else [""] * len(rows))
    if np.unique(labels, return_counts=True)[1].max() < folds:  # which scikit-learn refuses to stratify
        labels[:] = ""
    from sklearn.model_selection import StratifiedGroupKFold  # takes a second, and few fits have folds

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    result = [np.sort(rows[test]) for _, test in splitter.split(rows, labels, groups)]
    return result if all(map(len, result)) else _dealt(units, folds)


def _dealt(units: list[np.ndarray], folds: int) -> list[np.ndarray]:
    """Assign groups to folds, the largest first, each to the smallest fold; no fold stays empty."""
    made: list[list[np.ndarray]] = [[] for _ in range(folds)]
    for unit in sorted(units, key=len, reverse=True):
        min(made, key=lambda fold: sum(map(len, fold))).append(unit)
    return [np.sort(np.concatenate(fold)) for fold in made]
