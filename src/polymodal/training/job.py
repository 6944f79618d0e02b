"""From a table or a YAML file to everything a fit needs: declaration, splits, processor, the check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from polymodal.config import DataConfig, Declaration
from polymodal.config.overrides import apply_settings
from polymodal.config.parsing import located, parse
from polymodal.data.cache.disk import DiskStore, default_folder
from polymodal.data.cache.memory import ReadCache
from polymodal.data.checks.check import CheckReport, check
from polymodal.data.checks.rejected import SKIP
from polymodal.data.collator import RowDataset
from polymodal.data.media.path_access import Root
from polymodal.data.preparation import prepare_processor
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.readers.base import is_media
from polymodal.data.readers.items import each_item
from polymodal.data.schema.schema import Guess, complete
from polymodal.data.tables.table import Table, each_cell
from polymodal.error_analysis.subgroup_columns import subgroup_columns
from polymodal.errors import ConfigError, DataError, Problem
from polymodal.evaluation.statistics.clusters import check_group
from polymodal.tasks import reader_name
from polymodal.training.declaration.augmentation_check import check_changes
from polymodal.training.declaration.skipping import leave_out, leave_rows
from polymodal.training.declaration.source import (
    named_inputs,
    read_declared,
    read_declared_table,
    resolve_start,
    train_source,
)
from polymodal.training.declaration.splitting import split_and_skip
from polymodal.training.declaration.unseen import leave_out_unseen
from polymodal.training.declaration.validation import (
    check_checkpointing,
    check_columns,
    check_encoder,
    check_fusions,
    check_head,
    check_layer_decay,
    check_objectives,
    check_weighted,
    check_weighting,
    name_objectives,
    without_targets,
)
from polymodal.training.loop.arguments import CHECKPOINTING, check_argument, fill_in, training_arguments
from polymodal.training.loop.model_selection import metric_name
from polymodal.training.warm_start.inheritance import take_over
from polymodal.training.warm_start.start import Start, open_start
from polymodal.training.warm_start.transfer import Continued
from polymodal.utils.progress import progress

GB = 2**30


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
        features: Reads what frozen encoders make of the cells; None where none is.
        notes: What was done that one may want to know.
        rejected: What is wrong with the rows that were left out.
        table: All rows, before they were split.
        folder: Of the declaration, from which its paths start.
        start: The run from which encoders, embedding and fusion go on, where one is given.
        started: What was loaded from it, once the model is built.
    """

    declaration: Declaration
    guesses: list[Guess]
    splits: dict[str, Table]
    numbers: dict[str, np.ndarray]
    processor: PolymodalProcessor
    cache: ReadCache = field(default_factory=ReadCache)
    report: CheckReport | None = None
    features: PolymodalProcessor | None = None
    notes: list[str] = field(default_factory=list)
    rejected: list[Problem] = field(default_factory=list)
    table: Table | None = None
    folder: Path | None = None
    start: Start | None = None
    started: Continued | None = None

    @property
    def metric(self) -> str:
        """The validation metric that picks the best epoch."""
        tasks = {name: target.task for name, target in self.declaration.targets.items()}
        return metric_name(self.declaration.train.metric, tasks)

    def varied(self, declaration: Declaration) -> Job:
        """The job of a declaration that differs in its seeds or its fold alone; the cache is shared.

        Rows whose media could not be read stay left out: these need not be opened again.
        """
        assert self.table is not None
        fresh = replace(self, declaration=declaration, features=None, notes=[], rejected=list(self.rejected))
        if declaration.data == self.declaration.data and declaration.data.seed is not None:
            return fresh
        fresh.splits, fresh.numbers, fresh.rejected = split_and_skip(self.table, declaration, self.folder)
        media = [name for name, config in declaration.inputs.items() if is_media(config.modality)]
        leave_rows(fresh, [problem for problem in self.rejected if problem.column in media])
        fresh.processor, fresh.report = fresh.prepared(), None
        return fresh

    def prepared(self) -> PolymodalProcessor:
        """The processor of the declaration and of the training rows as they are now."""
        return prepare(self.declaration, self.splits["train"], self.start)

    def check(self, quiet: bool = False, media: bool = True) -> CheckReport:
        """Read every cell once, and say what is wrong; rows at fault are left out where that is declared.

        Without ``media`` these are not opened, as when they were read before.
        """

        def decode(name: str, config: Any, item: Any, root: Root) -> Any:
            return self.processor.read(name, item, root, self.cache)

        self.report = self.check_cells(decode if media else lambda *_: None, None if quiet else progress)
        self.report.problems += self._report_problems()
        if self.declaration.data.on_error == SKIP:
            self.report = leave_out(self, self.report)
        return self.report

    def _report_problems(self) -> list[Problem]:
        """What the report at the end would trip over."""
        wanted = self.declaration.report
        tested = self.splits["test"] if len(self.splits["test"]) else self.splits["validation"]
        if not wanted.write or not len(tested):
            return []
        try:
            check_group(tested, wanted.group)
            subgroup_columns(tested, wanted.by, np.arange(0))
        except DataError as error:
            return error.problems
        return []

    def check_cells(self, decode: Any, shown: Any = None) -> CheckReport:
        """The check of all splits as they are now, each cell of media read by ``decode``."""
        splits = {name: table for name, table in self.splits.items() if len(table) or name == "train"}
        return check(
            splits, self.declaration, self.guesses, decode=decode, progress=shown, row_numbers=self.numbers,
            every=self.declaration.data.on_error == SKIP, readers=self.processor.readers,
        )  # fmt: skip

    def rows(self, split: str, *, dropout: float = 0.0) -> RowDataset:
        """The dataset of a split, with its targets."""
        processor = self.features if self.features and split != "test" else self.processor
        return RowDataset(
            self.splits[split], processor, self.cache, targets=self.declaration.targets, dropout=dropout,
            seed=self.declaration.train.seed, numbers=self.numbers[split].tolist(),
            weight=self.declaration.data.sample_weight,
        )  # fmt: skip

    def cells(self, names: Sequence[str]) -> Iterator[tuple[Any, Root]]:
        """The distinct items in some inputs' cells, of training and validation, each with its folder."""
        seen = set()
        for table in (self.splits["train"], self.splits["validation"]):
            for name in names:
                reader = self.processor.readers[name]
                cells = each_cell(table.values(name)) if name in table.columns else ()
                for _, item in (found for cell in cells for found in each_item(cell, reader.modality)):
                    key = None if reader.is_empty(item) else reader.key(item, table.root)
                    if key is not None and key not in seen:
                        seen.add(key)
                        yield item, table.root

    def answers(self) -> dict[str, np.ndarray]:
        """The training targets as the processor reads them."""
        train = self.splits["train"]
        return {
            name: np.array([reader.read(cell) for cell in train.values(name).to_pylist()])
            for name, reader in self.processor.targets.items()
        }

    def weights(self) -> np.ndarray | None:
        """How much each training row counts ``(rows,)``; None where all count the same.

        Raises:
            DataError: If a cell holds no weight.
        """
        return self.rows("train").weights


def open_job(
    source: Any,
    *,
    targets: Sequence[str] = (),
    inputs: Sequence[str] = (),
    settings: Sequence[str] = (),
    fusions: Sequence[str] = (),
    objectives: Sequence[str] = (),
    pretraining: bool | None = False,
    start: str | Path | None = None,
) -> Job:
    """Read ``source``, a table or a YAML file, and fill in what it leaves open.

    Args:
        source: See :func:`polymodal.data.tables.table.read_table`; or the path of a declaration.
        targets: Columns to learn, beside those declared.
        inputs: The only columns to read, where given.
        settings: Such as ``train.epochs=3``.
        fusions: To be fitted instead of the one declared; its options go to those that have them.
        objectives: To learn by, beside those declared.
        pretraining: Learn without targets, by objectives; where none is named, by what the inputs allow.
            None: if objectives are declared and no target.
        start: A run folder to go on from, over the one declared.

    Raises:
        ConfigError: If the declaration says something unknown.
        DataError: If a table cannot be read or lacks what is declared.
        RunError: If the run to start from is none.
    """
    values, lines, folder = read_declared(source)
    written = str(source) if lines else "declaration"
    named = {} if inputs or values.get("inputs") else named_inputs(settings)
    apply_settings(values, settings)
    name_objectives(values, objectives)
    if start is not None:
        values["start"] = str(start)
    with located(written, lines, "data"):
        path = train_source(source, values, folder)
    table = read_declared_table(path, values.get("data") or {}, folder)
    begun = _open_start(values, folder, written, lines)
    if begun:
        values = take_over(
            begun, values, table, targets=targets, inputs=inputs, named=list(named), source=written,
            lines=lines,
        )  # fmt: skip
        inputs, named = (), {}
    declared = values.get("inputs")
    given = [*inputs, *named, *(declared if isinstance(declared, dict) else ())]
    if named:
        inputs = _beside_named(values, table, targets, named)
    completed, guesses = complete(
        values, table, targets=targets, inputs=inputs, beside=bool(named), reads=reader_name
    )
    declaration = parse(completed, source=written, lines=lines)
    _settle_targets(declaration, pretraining, written)
    check_parts(declaration, written, lines, fusions, begun.encoders if begun else {})
    with located(written, lines, "data"):
        splits, numbers, rejected = split_and_skip(table, declaration, folder)
    guesses = leave_out_unseen(declaration, guesses, splits, given)
    train = splits["train"]
    fill_in(declaration.train, len(train), targets=bool(declaration.targets))
    processor = prepare(declaration, train, begun)
    return Job(
        declaration, guesses, splits, numbers, processor, open_cache(declaration.data), rejected=rejected,
        table=table, folder=folder, start=begun,
    )  # fmt: skip


def _beside_named(
    values: dict[str, Any], table: Table, targets: Sequence[str], named: Iterable[str]
) -> list[str]:
    """All inputs of a table: a setting of some says nothing against the others."""
    others, _ = complete(values | {"inputs": None}, table, targets=targets, reads=reader_name)
    return list(dict.fromkeys([*others["inputs"], *named]))


def _settle_targets(declaration: Declaration, pretraining: bool | None, source: str) -> None:
    """Take away the targets of a pre-training; None: it is one if there are objectives and no target.

    Raises:
        ConfigError: If there is nothing to learn, or words are.
    """
    if declaration.generation:
        raise ConfigError(f"{source}: answers in words ('generation'), which one plain fit alone learns")
    if pretraining is None:
        pretraining = bool(declaration.objectives) and not declaration.targets
    if pretraining:
        without_targets(declaration)
    elif not declaration.targets:
        cure = " To learn without one: polymodal pretrain" if declaration.objectives else ""
        raise ConfigError(f"no target: name the column to learn with --target, or under 'targets:'.{cure}")


def prepare(declaration: Declaration, train: Table, start: Start | None) -> PolymodalProcessor:
    """The processor of a declaration, with the readers of the run that it starts from."""
    known = start.readers(train, declaration.inputs) if start else {}
    held_by = declaration.data.private_rows if declaration.data.private else 1
    return prepare_processor(train, declaration.inputs, declaration.targets, known, held_by=held_by)


def open_cache(data: DataConfig) -> ReadCache:
    """The cache of a fit: as much memory and disk as the declaration allows."""
    store = DiskStore(default_folder(), int(data.cache_disk * GB)) if data.cache_disk else None
    return ReadCache(int(data.cache_memory * GB), store)


def check_parts(
    declaration: Declaration,
    source: str,
    lines: Mapping[tuple, int],
    fusions: Sequence[str] = (),
    known: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Refuse what the sections cannot tell by themselves, before any file is read.

    ``known`` says by input how an encoder is built again that comes from a run.

    Raises:
        ConfigError: If an encoder, fusion, head, metric or field of TrainingArguments is not to be had.
    """
    check_columns(declaration)
    train, known = declaration.train, known or {}
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
    with located(source, lines, "data", "sample_weight"):
        check_weighted(declaration)
    with located(source, lines, "train", "metric"):
        metric_name(train.metric, {name: target.task for name, target in declaration.targets.items()})
    with located(source, lines, "train", "weighting"):
        check_weighting(declaration)
    with located(source, lines, "objectives"):
        check_objectives(declaration)
    with located(source, lines, "fusion"):
        check_fusions(declaration.fusion, fusions, list(declaration.inputs))
    for name, entry in declaration.inputs.items():
        with located(source, lines, "inputs", name, "encoder"):
            check_encoder(entry, known.get(name))
        with located(source, lines, "inputs", name):
            check_changes(entry)
    with located(source, lines, "train", "layer_decay"):
        check_layer_decay(train.layer_decay, declaration.inputs, known)
    for name in CHECKPOINTING:
        if train.arguments.get(name) and not declaration.generation:  # a language model has such layers
            with located(source, lines, "train", name):
                check_checkpointing(declaration.inputs, known)


def _open_start(
    values: Mapping[str, Any], folder: Path | None, source: str, lines: Mapping[tuple, int]
) -> Start | None:
    """The run that a declaration starts from; what is no path is refused when it is parsed."""
    name = values.get("start")
    if not isinstance(name, str):
        return None
    with located(source, lines, "start"):
        return open_start(name, resolve_start(name, folder))
