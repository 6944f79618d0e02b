"""The rows of a completed declaration: split, and their readers prepared, without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from polymodal.config import DataConfig, Declaration
from polymodal.config.parsing import located
from polymodal.data.cache.disk import DiskStore, default_folder
from polymodal.data.cache.memory import ReadCache
from polymodal.data.checks.check import CheckReport
from polymodal.data.preparation import prepare_rows
from polymodal.data.readers import READERS, Reader
from polymodal.data.readers.columns import TrainingColumns
from polymodal.data.row_processor import RowProcessor
from polymodal.data.schema.infer import Guess
from polymodal.data.tables.table import Table
from polymodal.errors import Problem
from polymodal.training.declaration.candidate_choice import is_plain
from polymodal.training.declaration.completion import Completed
from polymodal.training.declaration.splitting import split_and_skip, without_rare_values
from polymodal.training.declaration.unseen import leave_out_unseen
from polymodal.training.row_checks import RowChecks

if TYPE_CHECKING:
    from polymodal.training.warm_start.start import Start

GB = 2**30


@dataclass(kw_only=True)
class ReadRows(RowChecks[RowProcessor]):
    """The rows of a fit, read before its model: see :class:`polymodal.training.prediction_job.PredictionJob`.

    Attributes:
        start: The run to fine-tune from, if any.
        folder: Of the declaration, from which its paths start.
    """

    declaration: Declaration
    guesses: list[Guess]
    splits: dict[str, Table]
    whole: dict[str, Table]
    numbers: dict[str, np.ndarray]
    processor: RowProcessor
    cache: ReadCache
    rejected: list[Problem]
    start: Start | None
    folder: Path | None
    report: CheckReport | None = None

    def prepared(self) -> RowProcessor:
        """See :class:`RowChecks`."""
        return prepared_rows(self.declaration, self.splits["train"], self.start)


def read_rows(completed: Completed) -> ReadRows:
    """Split the table of a declaration and prepare the readers; its encoders are settled.

    Raises:
        ConfigError: If the processor of a checkpoint cannot be had.
        DataError: If the table cannot be split as declared.
    """
    declaration, declared, begun = completed.declaration, completed.declared, completed.begun
    with located(declared.written, declared.lines, "data"):
        whole, numbers, rejected = split_and_skip(completed.table, declaration, declared.folder)
        splits = without_rare_values(whole, declaration)
    guesses = leave_out_unseen(declaration, completed.guesses, splits, completed.stays)
    return ReadRows(
        declaration=declaration, guesses=guesses, splits=splits, whole=whole, numbers=numbers,
        processor=prepared_rows(declaration, splits["train"], begun), cache=open_cache(declaration.data),
        rejected=rejected, start=begun, folder=declared.folder,
    )  # fmt: skip


def prepared_rows(declaration: Declaration, train: Table, start: Start | None) -> RowProcessor:
    """The readers of a declaration, some from the run that it is fine-tuned from."""
    known = start.readers(train, declaration.inputs) if start else _plain_text_readers(declaration, train)
    held_by = declaration.data.private_rows if declaration.data.private else 1
    return prepare_rows(train, declaration.inputs, declaration.targets, known, held_by=held_by)


def _plain_text_readers(declaration: Declaration, train: Table) -> dict[str, Reader]:
    """The readers of texts that plain models alone read: they keep the text, and need no tokenizer."""
    if not is_plain(declaration):
        return {}
    from polymodal.plain.features import featurizer_of  # scikit-learn takes its time

    kind = featurizer_of("text")
    texts = {name: config for name, config in declaration.inputs.items() if config.modality == "text"}
    if kind is None:
        return {}
    return {
        name: kind.reader(TrainingColumns(train, [name], config, READERS["text"].split_items))
        for name, config in texts.items()
    }


def open_cache(data: DataConfig) -> ReadCache:
    """The cache of a fit: as much memory and disk as the declaration allows."""
    store = DiskStore(default_folder(), int(data.cache_disk * GB)) if data.cache_disk else None
    return ReadCache(int(data.cache_memory * GB), store)
