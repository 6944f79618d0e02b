"""Training, validation and test rows: by a column, or by seeded shares, stratified by class and by group."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from polymodal.config import DataConfig
from polymodal.data.splits.class_coverage import keep_each_class
from polymodal.data.tables.table import Table
from polymodal.data.values.column_values import as_label, as_labels
from polymodal.errors import ConfigError, DataError, Problem, did_you_mean

SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation",
    "validation": "validation", "dev": "validation", "test": "test",
}  # fmt: skip
DEFAULT_COLUMN = "split"


def split_rows(
    table: Table,
    config: DataConfig,
    stratify: str | Sequence[str] | None,
    seed: int,
    labels: Sequence[set] | None = None,
) -> dict[str, np.ndarray]:
    """Split rows into training, validation and test; reproducible by seed, on any machine.

    Args:
        table: The rows.
        config: Its ``split`` column, where it exists, overrides the shares; a share that is a path names
            another table, and nothing is held out for it.
        stratify: Column to stratify by, or a value per row; ``None`` for neither.
        seed: Seed of the held-out rows.
        labels: The labels per row, of all targets: training keeps a row of each; by default the values of
            ``stratify``.

    Returns:
        Sorted row numbers from 0 of ``train``, ``validation`` and ``test``; an absent split is empty.

    Raises:
        DataError: If a row names an unknown split, a column is missing, or there are too few rows.
        ConfigError: If the shares are invalid, or leave no training rows.
    """
    shares = {name: _share(getattr(config, name), name) for name in ("test", "validation")}
    if sum(shares.values()) >= 1:
        raise ConfigError(
            f"data: validation and test together are {sum(shares.values()):g}, expected less than 1"
        )
    parts = _named(table, config)
    if "test" in parts:
        shares["test"] = 0.0  # the table names the test rows, if any
    if len(parts.get("validation", ())):
        shares["validation"] = 0.0
    rest = parts["train"] if "train" in parts else np.arange(len(table))
    parts |= _held_out(table, rest, shares, config.group, stratify, seed, labels)
    return {
        name: np.sort(np.asarray(parts.get(name, ()), dtype=np.int64))
        for name in ("train", "validation", "test")
    }


def _share(value: float | str, name: str) -> float:
    if isinstance(value, str):
        return 0.0
    if not 0 <= value < 1:
        raise ConfigError(
            f"data.{name} is {value:g}, expected a share of the rows from 0 to below 1, or a table"
        )
    return float(value)


def _named(table: Table, config: DataConfig) -> dict[str, np.ndarray]:
    """Rows by the split column; nothing where there is no such column."""
    column = config.split
    if column is None or (column == DEFAULT_COLUMN and column not in table.columns):
        return {}
    rows: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    problems, indices = [], table.places
    for row, cell in enumerate(_cells(table, column, "data.split")):
        name = SPLITS.get(as_label(cell).lower())
        if name is None:
            reason = "an empty cell" if not as_label(cell) else f"found '{cell}'"
            fix = "If the column is not about the split, set data.split to null."
            expected = "train, validation or test"
            problems.append(
                Problem(
                    found=reason,
                    expected=expected,
                    cure=fix,
                    file=table.name,
                    row=int(indices[row]) + 1,
                    column=column,
                )
            )
        else:
            rows[name].append(row)
    if not problems and not rows["train"]:
        problems.append(
            Problem(
                found="no row is for training", expected="rows marked train", file=table.name, column=column
            )
        )
    if problems:
        raise DataError(problems)
    return {name: np.array(numbers, dtype=np.int64) for name, numbers in rows.items()}


def class_labels(table: Table, column: str) -> list[str | None]:
    """The class of every row; None where it is empty.

    Raises:
        DataError: If there is no such column.
    """
    _require(table, column, "the target")
    return [label or None for label in as_labels(table.values(column))]


def _cells(table: Table, column: str, setting: str) -> list:
    _require(table, column, setting)
    return table.values(column).to_pylist()


def _require(table: Table, column: str, setting: str) -> None:
    if column not in table.columns:
        reason = f"{setting} names the column '{column}', which is not there"
        raise DataError(Problem(found=reason, cure=did_you_mean(column, table.columns), file=table.name))


def _held_out(
    table: Table,
    rows: np.ndarray,
    shares: dict[str, float],
    group: str | None,
    stratify: str | Sequence[str] | None,
    seed: int,
    labels: Sequence[set] | None = None,
) -> dict[str, np.ndarray]:
    """Hold out each share of ``rows``; the rest are training rows."""
    units = _units(table, rows, group)
    wanted = [name for name, share in shares.items() if share > 0]
    if len(units) <= len(wanted):
        what = "rows" if group is None else f"groups of '{group}'"
        reason = (
            f"{len(units)} {what} to be split into train and {' and '.join(wanted)}" if wanted else "no rows"
        )
        expected, fix = f"at least {len(wanted) + 1}", "Give more rows, or set the share to 0."
        raise DataError(Problem(found=reason, expected=expected, cure=fix, file=table.name))
    classes = class_labels(table, stratify) if isinstance(stratify, str) else stratify
    units = _in_order(units, classes, seed)
    target = sum(round(shares[name] * len(rows)) for name in wanted)
    scarce = _scarce(units, classes, most=len(wanted), held=target) if group is None else []
    kept = {id(unit) for unit in scarce}
    units = [unit for unit in units if id(unit) not in kept]
    parts: dict[str, list[np.ndarray]] = {}
    for position, name in enumerate(wanted):
        # Each of the remaining splits needs a unit, and so does training.
        held = _pick(units, round(shares[name] * len(rows)), spare=len(wanted) - position)
        parts[name] = [unit for unit, is_held in zip(units, held, strict=True) if is_held]
        units = [unit for unit, is_held in zip(units, held, strict=True) if not is_held]
    train, parts = keep_each_class([*units, *scarce], parts, classes if labels is None else labels)
    return {name: np.concatenate(reason) for name, reason in parts.items()} | {"train": np.concatenate(train)}


def _scarce(units: list[np.ndarray], classes: Sequence | None, most: int, held: int = 0) -> list[np.ndarray]:
    """Units of classes of at most ``most`` rows, which stay in training: unseen classes are not predicted.

    Where too few other rows would be left to hold ``held`` of them out, only classes of fewer rows; none
    where hardly any would be left.
    """
    if classes is None:
        return []
    labels = [str(classes[unit[0]]) for unit in units]
    counts = Counter(labels)
    for fewest in range(most, 0, -1):
        scarce = [unit for unit, label in zip(units, labels, strict=True) if counts[label] <= fewest]
        left = len(units) - len(scarce)
        if left > most and (left >= 2 * held or fewest == 1):
            return scarce
    return []


def _units(table: Table, rows: np.ndarray, group: str | None) -> list[np.ndarray]:
    """Rows that must stay together; a row without a group is alone."""
    if group is None:
        return list(rows.reshape(-1, 1))
    _require(table, group, "data.group")
    labels = as_labels(table.values(group))
    together: dict[tuple[bool, str], list[int]] = defaultdict(list)
    for row in rows.tolist():
        together[not labels[row], labels[row] or str(row)].append(row)
    return [np.array(members, dtype=np.int64) for members in together.values()]


def _in_order(units: list[np.ndarray], classes: Sequence | None, seed: int) -> list[np.ndarray]:
    """Shuffle units, then sort by class (of a group: its most common), the classes shuffled too."""
    random = np.random.default_rng(seed)
    units = [units[position] for position in random.permutation(len(units))]
    if classes is None:
        return units
    labels = [Counter(str(classes[row]) for row in unit.tolist()).most_common(1)[0][0] for unit in units]
    names = sorted(set(labels))
    rank = dict(zip(names, random.permutation(len(names)).tolist(), strict=True))
    return [units[position] for position in np.argsort([rank[label] for label in labels], kind="stable")]


def _pick(units: list[np.ndarray], target: int, spare: int) -> list[bool]:
    """Hold out about ``target`` rows, evenly along ``units``: every class has its share (±1).

    Each row adds its share to an account; a unit is held out once the account holds half of it. The
    arithmetic is in integers, so that the choice is exact. A group of more than twice the target is not held
    out if others suffice.
    """
    sizes = [len(unit) for unit in units]
    largest = 2 * target
    total = sum(size for size in sizes if size <= largest)
    if total <= target:
        largest, total = max(sizes), sum(sizes)
    debt = 0
    held = []
    for size in sizes:
        owed = debt + size * target
        held.append(size <= largest and 2 * owed >= size * total)
        debt = debt if size > largest else owed - size * total * held[-1]
    if not any(held):
        nearest = min(range(len(units)), key=lambda position: abs(sizes[position] - target))
        held[nearest] = True
    while len(held) - sum(held) < spare:
        held[held.index(True)] = False
    return held
