"""``transform: auto``: whether a regression learns its target or the target's logarithm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from polymodal.data.media.path_access import Root
from polymodal.data.readers import Reader
from polymodal.data.readers.content import Content
from polymodal.data.targets import TargetReader
from polymodal.errors import PolymodalError
from polymodal.training.prediction_job import PredictionJob

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


def resolve_transforms(job: PredictionJob) -> None:
    """Replace ``auto`` in the job's declaration by ``none`` or ``log``, with a note where there was a choice.

    Under ``data.private`` it is ``none``: a choice by the rows discloses something of them.
    """
    for name, config in job.declaration.targets.items():
        if config.transform != "auto":
            continue
        if job.declaration.data.private:
            resolved = Resolved()
        else:
            resolved = choose_transform(training_numbers(job, name), plain_columns(job))
        config.transform = resolved.transform
        if resolved.reason:
            other = "none" if resolved.transform == "log" else "log"
            learned = "its logarithm is learned" if resolved.transform == "log" else "it is learned as it is"
            job.chosen.append(
                f"column '{name}': {learned} (transform: {resolved.transform}), for {resolved.reason}; "
                f"targets.{name}.transform={other} changes that"
            )


def choose_transform(target: np.ndarray, columns: PlainColumns) -> Resolved:
    """Choose by cross-validation of boosted trees on plain columns, or by the distribution without any.

    Args:
        target: ``(rows,)``, NaN where unknown.
        columns: Of the same rows.
    """
    from scipy.stats import skew  # only where a target is long-tailed or may be

    known = ~np.isnan(target)
    numbers = target[known]
    if len(numbers) < FEWEST_ROWS or numbers.min() < 0 or numbers.min() == numbers.max():
        return Resolved()
    before, after = float(skew(numbers)), float(skew(np.log1p(numbers)))
    if not before > LONG_TAIL or abs(after) >= before:
        return Resolved()
    if not columns.values.shape[1]:
        if before < FAR_LONGER:
            return Resolved()
        return Resolved("log", f"its values have a long tail (skewness {before:.1f}, {after:.1f} of the log)")
    plain, logarithm = absolute_errors(numbers, columns.of(known))
    gain = 1 - logarithm / plain if plain else 0.0
    trees = "boosted trees on the numbers and categories"
    if logarithm < BETTER * plain:
        return Resolved(
            "log", f"with it the cross-validated mean absolute error of {trees} is {gain:.0%} lower"
        )
    return Resolved("none", f"the logarithm of its long tail brings {trees} no lower mean absolute error")


@dataclass(frozen=True)
class PlainColumns:
    """Numbers and categories of the training rows.

    Attributes:
        values: ``(rows, columns)`` float64, NaN where empty.
        is_category: ``(columns,)`` bool.
    """

    values: np.ndarray
    is_category: np.ndarray

    def of(self, rows: np.ndarray) -> PlainColumns:
        """The same of some rows, by a mask or indices."""
        return PlainColumns(self.values[rows], self.is_category)


def absolute_errors(target: np.ndarray, columns: PlainColumns) -> tuple[float, float]:
    """Cross-validated mean absolute errors of boosted trees: of the target, and through its logarithm.

    At most :data:`MOST_ROWS` rows, by a fixed seed.

    Returns:
        Both in the target's unit.
    """
    from sklearn.model_selection import KFold

    drawn = np.random.default_rng(0).permutation(len(target))[:MOST_ROWS]
    target, columns = target[drawn], columns.of(drawn)
    errors = np.zeros((2, len(target)))
    for train, test in KFold(FOLDS).split(target):
        plain = _trees(columns.of(train), target[train]).predict(columns.values[test])
        logs = _trees(columns.of(train), np.log1p(target[train])).predict(columns.values[test])
        errors[0, test] = np.abs(plain - target[test])
        errors[1, test] = np.abs(np.expm1(logs) - target[test])
    return float(errors[0].mean()), float(errors[1].mean())


def _trees(columns: PlainColumns, target: np.ndarray) -> HistGradientBoostingRegressor:
    from sklearn.ensemble import HistGradientBoostingRegressor

    trees = HistGradientBoostingRegressor(
        max_iter=ROUNDS, min_samples_leaf=LEAF, early_stopping=False, random_state=0,
        categorical_features=columns.is_category,
    )  # fmt: skip
    return trees.fit(columns.values, target)


def training_numbers(job: PredictionJob, name: str) -> np.ndarray:
    """The training answers of a regression ``(rows,)``, NaN where empty or unreadable (see the check)."""
    reader: TargetReader = job.processor.targets[name]
    return _read_each(job.splits["train"].values(name).to_pylist(), reader.read)


def plain_columns(job: PredictionJob) -> PlainColumns:
    """The inputs of one number or category per row, each as the processor reads it."""
    train, columns, kinds = job.splits["train"], [], []
    for name, reader in job.processor.readers.items():
        if name not in train.columns or job.declaration.inputs[name].modality not in ("number", "category"):
            continue
        is_category = reader.holds is not Content.NUMBER
        values = _read_each(
            [None if reader.is_empty(cell) else cell for cell in train.values(name).to_pylist()],
            partial(_read_cell, reader, train.root),
        )
        columns.append(_fewer(values) if is_category else values)
        kinds.append(is_category)
    rows = len(train)
    values = np.stack(columns, axis=1) if columns else np.empty((rows, 0))
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
