"""``transform: auto``: whether a regression learns its target or the target's logarithm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from polymodal.data.media.path_access import Root
from polymodal.data.readers import Reader
from polymodal.data.readers.content import Content
from polymodal.data.targets import TargetReader
from polymodal.data.weights import read_weights
from polymodal.errors import PolymodalError
from polymodal.training.row_checks import RowChecks

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

LONG_TAIL = 1.0
"""Skewness above which a target is long-tailed: an exponential distribution has 2, a symmetrical one 0."""
FAR_LONGER = 2.0
"""The same where the distribution alone decides."""
BETTER = 0.99
"""Share of the mean absolute error that the logarithm may leave: less of a gain may be chance."""
MOST_ROWS, FEWEST_ROWS, FOLDS = 2000, 30, 5
ROUNDS, LEAF = 60, 10
MOST_CATEGORIES = 250
"""Of the trees; the rarer ones are taken for one."""
Transform = Literal["none", "log"]


@dataclass(frozen=True)
class Resolved:
    """What ``auto`` became.

    Attributes:
        transform: ``none`` or ``log``.
        reason: Why, as a clause; empty where the target is not long-tailed.
    """

    transform: Transform = "none"
    reason: str = ""


def resolve_transforms(rows: RowChecks[Any]) -> list[str]:
    """Replace ``auto`` in the declaration of some rows by ``none`` or ``log``.

    Under ``data.private`` it is ``none``: a choice by the rows discloses something of them.

    Returns:
        A sentence for each target where there was a choice.
    """
    chosen = []
    for name, config in rows.declaration.targets.items():
        if config.transform != "auto":
            continue
        if rows.declaration.data.private:
            resolved = Resolved()
        else:
            resolved = choose_transform(
                training_numbers(rows, name), partial(plain_columns, rows), groups=training_groups(rows)
            )
        config.transform = resolved.transform
        if resolved.reason:
            other = "none" if resolved.transform == "log" else "log"
            learned = "its logarithm is learned" if resolved.transform == "log" else "it is learned as it is"
            chosen.append(
                f"column '{name}': {learned} (transform: {resolved.transform}), for {resolved.reason}; "
                f"targets.{name}.transform={other} changes that{_of_plain_models(rows)}"
            )
    return chosen


def _of_plain_models(rows: RowChecks[Any]) -> str:
    """What plain models do where the target has a long tail, as a clause; empty where there are none."""
    return "; plain models learn both" if "plain" in (rows.declaration.train.candidates or ()) else ""


def choose_transform(
    target: np.ndarray, columns_of: ReadColumns, *, groups: np.ndarray | None = None
) -> Resolved:
    """Choose by cross-validation of boosted trees on plain columns, or by the distribution without any.

    Args:
        target: ``(rows,)``, NaN where a row does not count.
        columns_of: Reads the plain columns of some rows; called only where the target has a long tail.
        groups: ``(rows,)`` rows of one group are in one fold; None where each row is its own.
    """
    known = ~np.isnan(target)
    numbers = target[known]
    skewness = long_tail(numbers)
    if skewness is None:
        return Resolved()
    before, after = skewness
    # At most MOST_ROWS, by a fixed seed.
    drawn = np.flatnonzero(known)[np.random.default_rng(0).permutation(len(numbers))[:MOST_ROWS]]
    columns = columns_of(drawn)
    if not columns.values.shape[1]:
        if before < FAR_LONGER:
            return Resolved()
        return Resolved("log", f"its values have a long tail (skewness {before:.1f}, {after:.1f} of the log)")
    errors = absolute_errors(target[drawn], columns, None if groups is None else groups[drawn])
    if errors is None:
        return Resolved()
    plain, logarithm = errors
    gain = 1 - logarithm / plain if plain else 0.0
    trees = "boosted trees on the numbers and categories"
    if logarithm < BETTER * plain:
        return Resolved(
            "log", f"with it the cross-validated mean absolute error of {trees} is {gain:.0%} lower"
        )
    return Resolved("none", f"the logarithm of its long tail brings {trees} no lower mean absolute error")


def long_tail(numbers: np.ndarray) -> tuple[float, float] | None:
    """The skewness of amounts with a long tail, and that of their logarithms; None of other numbers.

    Args:
        numbers: ``(rows,)``; fewer than 30, and any with one below zero, have no long tail.
    """
    if len(numbers) < FEWEST_ROWS or numbers.min() < 0 or numbers.min() == numbers.max():
        return None
    before, after = _skewness(numbers), _skewness(np.log1p(numbers))
    return (before, after) if before > LONG_TAIL and abs(after) < before else None


def _skewness(numbers: np.ndarray) -> float:
    """As ``scipy.stats.skew``, of which the import takes longer than all the rest of a check."""
    deviation = numbers - numbers.mean()
    return float(np.mean(deviation**3) / np.mean(deviation**2) ** 1.5)


@dataclass(frozen=True)
class PlainColumns:
    """Numbers and categories of some training rows.

    Attributes:
        values: ``(rows, columns)`` float64, NaN where empty.
        is_category: ``(columns,)`` bool.
    """

    values: np.ndarray
    is_category: np.ndarray

    def of(self, rows: np.ndarray) -> PlainColumns:
        """The same of some rows, by a mask or indices."""
        return PlainColumns(self.values[rows], self.is_category)

    def without(self, unused: np.ndarray) -> PlainColumns:
        """The same without some columns, by a mask."""
        return PlainColumns(self.values[:, ~unused], self.is_category[~unused])


ReadColumns: TypeAlias = Callable[[np.ndarray], PlainColumns]
"""Indices of rows → their columns."""


def absolute_errors(
    target: np.ndarray, columns: PlainColumns, groups: np.ndarray | None = None
) -> tuple[float, float] | None:
    """Cross-validated mean absolute errors of boosted trees: of the target, and through its logarithm.

    Returns:
        Both in the target's unit; None where the training rows of a fold have no value in any column.
    """
    errors = np.zeros((2, len(target)))
    for train, test in _folds(len(target), groups):
        used = columns.without(np.isnan(columns.values[train]).all(axis=0))  # the trees fail on such a column
        if not used.values.shape[1]:
            return None
        plain = _trees(used.of(train), target[train]).predict(used.values[test])
        logs = _trees(used.of(train), np.log1p(target[train])).predict(used.values[test])
        errors[0, test] = np.abs(plain - target[test])
        errors[1, test] = np.abs(np.expm1(logs) - target[test])
    return float(errors[0].mean()), float(errors[1].mean())


def _folds(rows: int, groups: np.ndarray | None) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Indices of the rows to fit to and of those held out; of a single group, as if there were none."""
    from sklearn.model_selection import GroupKFold, KFold

    indices = np.arange(rows)
    count = 0 if groups is None else len(np.unique(groups))
    if groups is None or count < 2:
        return KFold(FOLDS).split(indices)
    return GroupKFold(min(FOLDS, count)).split(indices, groups=groups)


def _trees(columns: PlainColumns, target: np.ndarray) -> HistGradientBoostingRegressor:
    from sklearn.ensemble import HistGradientBoostingRegressor

    trees = HistGradientBoostingRegressor(
        max_iter=ROUNDS, min_samples_leaf=LEAF, early_stopping=False, random_state=0,
        categorical_features=columns.is_category,
    )  # fmt: skip
    return trees.fit(columns.values, target)


def training_numbers(job: RowChecks[Any], name: str) -> np.ndarray:
    """The training answers of a regression ``(rows,)``.

    NaN where an answer is empty or unreadable (see the check), or the row has no weight.
    """
    reader: TargetReader = job.processor.targets[name]
    train, weight = job.splits["train"], job.declaration.data.sample_weight
    numbers = _read_each(train.values(name).to_pylist(), reader.read)
    if weight is not None and weight in train.columns:
        numbers[read_weights(train, weight)[0] == 0] = np.nan
    return numbers


def training_groups(job: RowChecks[Any]) -> np.ndarray | None:
    """``(rows,)`` the group of each training row; None without a column of groups."""
    train, group = job.splits["train"], job.declaration.data.group
    if group is None or group not in train.columns:
        return None
    return np.unique([str(cell) for cell in train.values(group).to_pylist()], return_inverse=True)[1]


def plain_columns(job: RowChecks[Any], rows: np.ndarray) -> PlainColumns:
    """The inputs of one number or category per row, each as the processor reads it.

    Args:
        job: With the training rows.
        rows: Indices of those to read.
    """
    train, columns, kinds = job.splits["train"], [], []
    for name, reader in job.processor.readers.items():
        if name not in train.columns or job.declaration.inputs[name].modality not in ("number", "category"):
            continue
        is_category = reader.holds is not Content.NUMBER
        values = _read_each(
            [None if reader.is_empty(cell) else cell for cell in train.values(name).take(rows).to_pylist()],
            partial(_read_cell, reader, train.root),
        )
        columns.append(_fewer(values) if is_category else values)
        kinds.append(is_category)
    values = np.stack(columns, axis=1) if columns else np.empty((len(rows), 0))
    return PlainColumns(values, np.array(kinds, dtype=bool))


def _fewer(codes: np.ndarray) -> np.ndarray:
    """Category codes by frequency, from 0; those from :data:`MOST_CATEGORIES` on are one."""
    known = ~np.isnan(codes)
    names, counts = np.unique(codes[known], return_counts=True)
    rank = {name: min(index, MOST_CATEGORIES - 1) for index, name in enumerate(names[np.argsort(-counts)])}
    result = np.full(len(codes), np.nan)
    result[known] = [rank[code] for code in codes[known]]
    return result


def _read_cell(reader: Reader, root: Root, cell: Any) -> float:
    return float("nan") if cell is None else float(reader.read(cell, root))


def _read_each(cells: Sequence[Any], read: Callable[[Any], float]) -> np.ndarray:
    numbers = np.full(len(cells), np.nan)
    for index, cell in enumerate(cells):
        try:
            numbers[index] = float(read(cell))
        except (PolymodalError, ValueError):
            continue  # the check names it, and refuses or skips the row
    return numbers
