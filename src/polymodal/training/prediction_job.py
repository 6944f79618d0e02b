"""A fit of heads, or a pre-training, that is read, but not yet trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.artifact.capabilities import Kind
from polymodal.config import Declaration
from polymodal.data.media.path_access import Root
from polymodal.data.readers.base import is_media
from polymodal.data.readers.items import each_item
from polymodal.data.row_dataset import RowDataset
from polymodal.data.row_processor import RowProcessor
from polymodal.data.tables.table import Table, each_cell
from polymodal.errors import Problem
from polymodal.tasks import task_of
from polymodal.training.declaration.labelled import label_notes
from polymodal.training.declaration.splitting import split_and_skip
from polymodal.training.fingerprint import describe_tables
from polymodal.training.job import Job
from polymodal.training.loop.defaults import metric_name
from polymodal.training.pairing import check_pairs
from polymodal.training.read_rows import prepared_rows
from polymodal.training.row_checks import RowChecks

if TYPE_CHECKING:  # fits of plain models need no torch
    from polymodal.data.processor import PolymodalProcessor
    from polymodal.training.warm_start.start import Start


@dataclass(kw_only=True)
class PredictionJob(RowChecks[RowProcessor], Job[RowProcessor]):
    """A fit of heads, or a pre-training by objectives.

    Attributes:
        features: By split what reads the cells as frozen encoders' outputs, where these are kept.
        whole: ``splits`` with the cells of the table; those of private rows lack rare values in ``splits``.
        chosen: Settings that were chosen by the training rows, each in a sentence.
    """

    whole: dict[str, Table]
    start: Start | None = None
    features: dict[str, PolymodalProcessor] = field(default_factory=dict)
    chosen: list[str] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """Heads; a space without targets."""
        return Kind.heads if self.declaration.targets else Kind.space

    @property
    def metric(self) -> str:
        """The validation metric that picks the best epoch."""
        targets, given = self.declaration.targets, self.declaration.train.metric
        if given is None and len(targets) == 1:
            (config,) = targets.values()
            return task_of(config.task).selection_metric(config)
        return metric_name(given, {name: target.task for name, target in targets.items()})

    def varied(self, declaration: Declaration) -> PredictionJob:
        """The job of another declaration of the same table.

        Rows whose media could not be read stay skipped: these need not be opened again.
        """
        fresh = replace(self, declaration=declaration, features={}, notes=[], rejected=list(self.rejected))
        if declaration.data == self.declaration.data and declaration.data.seed is not None:
            return fresh
        fresh.whole, fresh.numbers, fresh.rejected = split_and_skip(self.table, declaration, self.folder)
        media = [name for name, config in declaration.inputs.items() if is_media(config.modality)]
        fresh._drop([problem for problem in self.rejected if problem.column in media])
        fresh.processor, fresh.report = fresh.prepared(), None
        return fresh

    def prepared(self) -> RowProcessor:
        """The processor of the declaration and of the training rows as they are now."""
        fresh = prepared_rows(self.declaration, self.splits["train"], self.start)
        return type(self.processor)(fresh.readers, fresh.targets, fresh.missing)

    @property
    def batching(self) -> PolymodalProcessor:
        """The processor of a fit with neural models, which makes batches for them."""
        from polymodal.data.processor import PolymodalProcessor

        assert isinstance(self.processor, PolymodalProcessor)
        return self.processor

    def describe(self) -> dict[str, Any]:
        """Digests of the training data: rows, cells and classes."""
        return describe_tables(self.splits, self.declaration, self.processor)

    def rows(self, split: str, *, dropout: float = 0.0) -> RowDataset:
        """The dataset of a split, with its targets."""
        processor = self.features.get(split, self.processor)
        return RowDataset(
            self.splits[split], processor, self.cache, targets=self.declaration.targets, dropout=dropout,
            seed=self.declaration.train.seed, numbers=self.numbers[split].tolist(),
            weight=self.declaration.data.sample_weight,
        )  # fmt: skip

    def cells(
        self, names: Sequence[str], splits: Sequence[str] = ("train", "validation")
    ) -> Iterator[tuple[Any, Root]]:
        """The distinct items in some inputs' cells, each with its folder."""
        seen = set()
        for table in (self.splits[split] for split in splits):
            for name in names:
                reader = self.processor.readers[name]
                cells = each_cell(table.values(name)) if name in table.columns else ()
                for _, item in (pair for cell in cells for pair in each_item(cell, reader.modality)):
                    key = None if reader.is_empty(item) else reader.key(item, table.root)
                    if key is not None and key not in seen:
                        seen.add(key)
                        yield item, table.root

    def answers(self, split: str = "train") -> dict[str, np.ndarray]:
        """The targets of a split as the processor reads them."""
        table = self.splits[split]
        return {
            name: np.array([reader.read(cell) for cell in table.values(name).to_pylist()])
            for name, reader in self.processor.targets.items()
        }

    def weights(self) -> np.ndarray | None:
        """How much each training row counts ``(rows,)``; None where all count the same.

        Raises:
            DataError: If a cell holds no weight.
        """
        return self.rows("train").weights

    def known_notes(self) -> list[str]:
        """See :class:`Job`."""
        labels = label_notes(self.declaration, self.splits["train"])
        weights = [
            f"rows count by '{column}' in losses, metrics and all that is chosen by them"
            for column in [self.declaration.data.sample_weight]
            if column is not None
        ]
        return [*self.chosen, *self.notes, *labels, *self.skip_notes(), *weights]

    def require_pairs(self) -> None:
        """Check that contrastive objectives have rows with two inputs; notes how many rows they use."""
        self.notes += check_pairs(self.splits, self.declaration.objectives, self.processor.readers)

    def follow(self, rejected: list[Problem]) -> None:
        """Skip the rows that the main process has skipped."""
        known = set(self.rejected)
        bad = [problem for problem in rejected if problem not in known]
        if bad:
            self._drop(bad)
            self._prepare_again()
            self.rejected = rejected
