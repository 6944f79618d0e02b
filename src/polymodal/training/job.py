"""Base class of jobs: a fit that is read and checked, but not yet trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import numpy as np

from polymodal.artifact.capabilities import Kind
from polymodal.config import Declaration
from polymodal.data.cache.memory import ReadCache
from polymodal.data.checks.check import CheckReport
from polymodal.data.checks.rejected import NAME, count_rows, left_out
from polymodal.data.row_processor import RowProcessor
from polymodal.data.schema.infer import Guess
from polymodal.data.tables.table import Table
from polymodal.errors import DataError, Problem
from polymodal.utils.deadline import NO_LIMIT, Deadline

if TYPE_CHECKING:
    from polymodal.training.warm_start.start import Start
    from polymodal.training.warm_start.transfer import Continued

P = TypeVar("P", bound=RowProcessor)


@dataclass(kw_only=True)
class Job(ABC, Generic[P]):
    """A fit that is read, but not yet trained.

    Attributes:
        declaration: With every default filled in.
        guesses: The inferred modality of each column of the table.
        splits: Tables of ``train``, ``validation``, ``test``.
        numbers: Each split's rows by their number in the file, from 0.
        processor: Reads the cells.
        table: All rows, before they were split.
        cache: What was read so far.
        report: What the check found; None before :meth:`check`.
        notes: What was done that one may want to know.
        rejected: The problems of the rows that were skipped.
        folder: Of the declaration, from which its paths start.
        start: The run to fine-tune from, if any.
        started: What was loaded from it, once the model is built.
        deadline: When all is to be done, report included.
    """

    declaration: Declaration
    guesses: list[Guess]
    splits: dict[str, Table]
    numbers: dict[str, np.ndarray]
    processor: P
    table: Table
    cache: ReadCache = field(default_factory=ReadCache)
    report: CheckReport | None = None
    notes: list[str] = field(default_factory=list)
    rejected: list[Problem] = field(default_factory=list)
    folder: Path | None = None
    start: Start | None = None
    started: Continued | None = None
    deadline: Deadline = NO_LIMIT

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """Kind of the run, by its output."""

    @property
    @abstractmethod
    def metric(self) -> str:
        """The validation metric that picks the best epoch."""

    @property
    def tested(self) -> np.ndarray:
        """The test rows that the run answers, by their number in the file, from 0."""
        return self.numbers["test"]

    @abstractmethod
    def check(self, quiet: bool = False, media: bool = True) -> CheckReport:
        """Read every cell once, and report problems; rows with problems are skipped if that is declared.

        Args:
            quiet: Show no progress.
            media: Open media files; False where another job has read them.
        """

    def require_sound(self, quiet: bool) -> None:
        """Check the data.

        Raises:
            DataError: If there is a problem.
        """
        report = self.check(quiet)
        if not report.ok:
            raise DataError([*report.problems, *left_out(report.rejected)])

    def release(self) -> None:
        """Free what only the check needs and a later fit makes again."""

    def require_pairs(self) -> None:
        """Refuse objectives that compare inputs which no rows hold together; other fits have none.

        Raises:
            DataError: If there is such an objective.
        """

    @abstractmethod
    def follow(self, rejected: list[Problem]) -> None:
        """Skip the rows that the main process, the one that checks, has skipped."""

    @abstractmethod
    def varied(self, declaration: Declaration) -> Self:
        """The job of a declaration that differs in its seeds or its fold alone; what was read is shared."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The fingerprint of the data that are learned from, once they are checked."""

    def warnings(self) -> list[str]:
        """Warnings of the check; for private rows only their number, since warnings quote values."""
        warnings = self.report.warnings if self.report else []
        if self.declaration.data.private and warnings:
            return [f"warnings of the check that are not written, for data.private: {len(warnings)}"]
        return [str(warning) for warning in warnings]

    def known_notes(self) -> list[str]:
        """What one may want to know before the training."""
        return [*self.notes, *self.skip_notes()]

    def skip_notes(self) -> list[str]:
        """How many rows were skipped, if any were."""
        count = count_rows(self.rejected)
        return [f"{count} row{'s' * (count > 1)} left out, listed in {NAME}"] if count else []
