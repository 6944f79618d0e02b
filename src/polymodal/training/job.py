"""From a table or a YAML file to everything a fit needs: declaration, splits, processor, the check's report."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polymodal.config import Declaration, apply_settings, parse, read_yaml
from polymodal.data.cache import ReadCache
from polymodal.data.check import CheckReport, check
from polymodal.data.collator import RowDataset
from polymodal.data.preparation import prepare_processor
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.schema import Guess, complete
from polymodal.data.split import split_rows
from polymodal.data.table import Table, read_table
from polymodal.errors import ConfigError
from polymodal.training.arguments import check_arguments, default_epochs
from polymodal.training.progress import progress
from polymodal.training.selection import metric_name

YAML = (".yaml", ".yml")


@dataclass
class Job:
    """A fit that has been read but not begun.

    Attributes:
        declaration: With every default filled in.
        guesses: What each column of the table was taken for.
        splits: Tables of ``train``, ``validation``, ``test``.
        numbers: Each split's rows by their number in the file, from 0.
        processor: Reads the cells.
        cache: What was read so far.
        report: What the check found; None before :meth:`check`.
    """

    declaration: Declaration
    guesses: list[Guess]
    splits: dict[str, Table]
    numbers: dict[str, np.ndarray]
    processor: PolymodalProcessor
    cache: ReadCache = field(default_factory=ReadCache)
    report: CheckReport | None = None

    @property
    def metric(self) -> str:
        """The validation metric that picks the best epoch."""
        return metric_name(self.declaration.train.metric, {n: t.task for n, t in self.declaration.targets.items()})

    def check(self, quiet: bool = False) -> CheckReport:
        """Read every cell once, and say what is wrong."""

        def decode(name: str, config: Any, table: Table, row: int) -> Any:
            return self.processor.read(name, table.row(row)[name], table.root, self.cache)

        splits = {name: table for name, table in self.splits.items() if len(table) or name == "train"}
        shown = None if quiet else progress
        self.report = check(
            splits, self.declaration, self.guesses, decode=decode, progress=shown, row_numbers=self.numbers
        )
        return self.report

    def rows(self, split: str, *, dropout: float = 0.0) -> RowDataset:
        """The dataset of a split, with its targets."""
        return RowDataset(
            self.splits[split], self.processor, self.cache, targets=self.declaration.targets, dropout=dropout,
            seed=self.declaration.train.seed, numbers=self.numbers[split],
        )  # fmt: skip

    def answers(self) -> dict[str, np.ndarray]:
        """The training targets as the processor reads them."""
        train = self.splits["train"]
        return {
            name: np.array([reader.read(cell) for cell in train.values(name).to_pylist()])
            for name, reader in self.processor.targets.items()
        }


def open_job(
    source: Any, *, targets: Sequence[str] = (), inputs: Sequence[str] = (), settings: Sequence[str] = ()
) -> Job:
    """Read ``source``, a table or a YAML file, and fill in what it leaves open.

    Args:
        source: See :func:`polymodal.data.table.read_table`; or the path of a declaration.
        targets: Columns to learn, beside those declared.
        inputs: The only columns to read, where given.
        settings: Such as ``train.epochs=3``.

    Raises:
        ConfigError: If the declaration says something unknown.
        DataError: If a table cannot be read or lacks what is declared.
    """
    values, lines, folder = _declared(source)
    apply_settings(values, settings)
    table = read_table(_train_source(source, values, folder))
    completed, guesses = complete(values, table, targets=targets, inputs=inputs)
    declaration = parse(completed, source=str(source) if lines else "declaration", lines=lines)
    if not declaration.targets:
        raise ConfigError("no target: name the column to learn with --target, or under 'targets:'")
    check_arguments(declaration.train)
    splits, numbers = split_tables(table, declaration, folder)
    train = splits["train"]
    if declaration.train.epochs is None:
        declaration.train.epochs = default_epochs(len(train), declaration.train.batch_size)
    processor = prepare_processor(train, declaration.inputs, declaration.targets)
    job = Job(declaration, guesses, splits, numbers, processor)
    assert job.metric  # a wrong name is told before the check reads every file
    return job


def split_tables(
    table: Table, declaration: Declaration, folder: Path | None = None
) -> tuple[dict[str, Table], dict[str, np.ndarray]]:
    """The three tables, and each one's rows by their number in the file."""
    data = declaration.data
    classes = [name for name, target in declaration.targets.items() if target.task == "classification"]
    numbers = split_rows(table, data, classes[0] if classes else None, declaration.train.seed)
    splits = {name: table.select(rows) for name, rows in numbers.items()}
    for name in ("validation", "test"):
        given = getattr(data, name)
        if isinstance(given, str):
            splits[name] = read_table(resolve(given, folder))
            numbers[name] = np.arange(len(splits[name]))
    return splits, numbers


def _declared(source: Any) -> tuple[dict[str, Any], dict[tuple, int], Path | None]:
    if isinstance(source, (str, Path)) and str(source).lower().endswith(YAML):
        values, lines = read_yaml(Path(source))
        return values, lines, Path(source).parent
    return {}, {}, None


def _train_source(source: Any, values: dict[str, Any], folder: Path | None) -> Any:
    """The training table: what was given, or what the declaration names."""
    section = values.get("data")
    named = section.get("train") if isinstance(section, dict) else None
    if folder is not None:
        if not isinstance(named, str):
            raise ConfigError(f"{source}: 'data.train' is missing, expected the path of a table")
        return resolve(named, folder)
    if isinstance(source, (str, Path)):
        values.setdefault("data", {})["train"] = str(source)
    return source


def resolve(path: str, folder: Path | None) -> Path:
    """``path`` with its environment variables filled in; a relative one starts from ``folder`` if it lies there.

    Raises:
        ConfigError: If a variable is not set.
    """
    expanded = os.path.expanduser(os.path.expandvars(path))
    if "$" in expanded:
        raise ConfigError(f"data: '{path}' names an environment variable that is not set")
    beside = (folder or Path()) / expanded
    return beside if beside.exists() else Path(expanded)


