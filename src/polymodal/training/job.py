"""From a table or a YAML file to everything a fit needs: declaration, splits, processor, the check."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from polymodal.config import Declaration, located, parse
from polymodal.data.cache import ReadCache
from polymodal.data.check import CheckReport, check
from polymodal.data.collator import RowDataset
from polymodal.data.preparation import prepare_processor
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.schema import Guess, complete
from polymodal.data.split import split_rows
from polymodal.data.table import Table, read_table
from polymodal.errors import ConfigError
from polymodal.settings import apply_settings, read_yaml
from polymodal.training.arguments import check_argument, fill_in, training_arguments
from polymodal.training.declared import check_encoder, check_fusion, check_head
from polymodal.training.progress import progress
from polymodal.training.selection import metric_name

YAML = (".yaml", ".yml")
ANSWER_COLUMNS = ("row", "missing", "no_input")
"""What ``predictions.parquet`` says of a row beside its answers."""


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
        tasks = {name: target.family for name, target in self.declaration.targets.items()}
        return metric_name(self.declaration.train.metric, tasks)

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
            seed=self.declaration.train.seed, numbers=self.numbers[split].tolist(),
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
    written = str(source) if lines else "declaration"
    named = {} if inputs or values.get("inputs") else _named_inputs(settings)
    apply_settings(values, settings)
    with located(written, lines, "data"):
        path = _train_source(source, values, folder)
    table = read_table(path)
    if named:  # a setting of one input says nothing against the others
        others, _ = complete(values | {"inputs": None}, table, targets=targets)
        inputs = list(dict.fromkeys([*others["inputs"], *named]))
    completed, guesses = complete(values, table, targets=targets, inputs=inputs)
    declaration = parse(completed, source=written, lines=lines)
    if not declaration.targets:
        raise ConfigError("no target: name the column to learn with --target, or under 'targets:'")
    check_parts(declaration, written, lines)
    with located(written, lines, "data"):
        splits, numbers = split_tables(table, declaration, folder)
    train = splits["train"]
    fill_in(declaration.train, len(train))
    processor = prepare_processor(train, declaration.inputs, declaration.targets)
    return Job(declaration, guesses, splits, numbers, processor)


def check_parts(declaration: Declaration, source: str, lines: Mapping[tuple, int]) -> None:
    """Refuse what the sections cannot tell by themselves, before any file is read.

    Raises:
        ConfigError: If an encoder, fusion, head, metric or field of TrainingArguments is not to be had.
    """
    for name in declaration.targets:
        if name in ANSWER_COLUMNS:
            cure = "Rename the column"
            raise ConfigError(f"'{name}' cannot be a target: a column of the answers has that name. {cure}")
    train = declaration.train
    for name, value in train.arguments.items():
        with located(source, lines, "train", name):
            check_argument(name, value)
    with located(source, lines, "train"):
        trial = train.model_copy()
        fill_in(trial, 1)
        training_arguments(trial, Path(), 1)
    for name, target in declaration.targets.items():
        with located(source, lines, "targets", name):
            check_head(name, target)
    with located(source, lines, "train", "metric"):
        metric_name(train.metric, {name: target.family for name, target in declaration.targets.items()})
    with located(source, lines, "fusion"):
        check_fusion(declaration.fusion, list(declaration.inputs))
    for name, entry in declaration.inputs.items():
        with located(source, lines, "inputs", name, "encoder"):
            check_encoder(entry)


def split_tables(
    table: Table, declaration: Declaration, folder: Path | None = None
) -> tuple[dict[str, Table], dict[str, np.ndarray]]:
    """The three tables, and each one's rows by their number in the file."""
    data = declaration.data
    classes = [name for name, target in declaration.targets.items() if target.family == "classification"]
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


def _named_inputs(settings: Sequence[str]) -> dict[str, None]:
    """The inputs that ``settings`` such as ``inputs.photo.size=32`` are about."""
    paths = [setting.partition("=")[0].split(".") for setting in settings]
    return {path[1]: None for path in paths if path[0] == "inputs" and len(path) > 2}


def _train_source(source: Any, values: dict[str, Any], folder: Path | None) -> Any:
    """The training table: what was given, or what the declaration names."""
    section = values.get("data") or {}
    if not isinstance(section, dict):
        raise ConfigError(f"'data' is {section!r}, expected a section, such as data: {{train: houses.csv}}")
    named = section.get("train")
    if folder is not None:
        if not isinstance(named, str):
            found = f"'data.train' is {named!r}" if named is not None else "'data.train' is missing"
            raise ConfigError(f"{found}, expected the path of a table")
        return resolve(named, folder)
    if isinstance(source, (str, Path)):
        values["data"] = section | {"train": str(source)}
    return source


def resolve(path: str, folder: Path | None) -> Path:
    """``path`` with its environment variables filled in, in ``folder`` if it lies there.

    Raises:
        ConfigError: If a variable is not set.
    """
    expanded = os.path.expanduser(os.path.expandvars(path))
    if "$" in expanded:
        raise ConfigError(f"data: '{path}' names an environment variable that is not set")
    beside = (folder or Path()) / expanded
    return beside if beside.exists() else Path(expanded)
