"""The check of the rows of a fit of heads or objectives, before any model and without torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from polymodal.config import Declaration
from polymodal.data.cache.memory import ReadCache
from polymodal.data.checks.check import CheckReport, check
from polymodal.data.checks.rejected import SKIP, in_order
from polymodal.data.media.path_access import Root
from polymodal.data.row_processor import RowProcessor
from polymodal.data.schema.infer import Guess
from polymodal.data.tables.table import Table
from polymodal.errors import DataError, Problem
from polymodal.evaluation.statistics.clusters import check_group
from polymodal.evaluation.statistics.subgroup_columns import subgroup_columns
from polymodal.training.declaration.splitting import without_rare_values
from polymodal.utils.progress import progress

P = TypeVar("P", bound=RowProcessor)


class RowChecks(ABC, Generic[P]):
    """Rows that are split, and the readers of their cells; see :class:`polymodal.training.job.Job`.

    Attributes:
        whole: ``splits`` with the cells of the table; those of private rows lack rare values in ``splits``.
    """

    declaration: Declaration
    guesses: list[Guess]
    splits: dict[str, Table]
    whole: dict[str, Table]
    numbers: dict[str, np.ndarray]
    processor: P
    cache: ReadCache
    report: CheckReport | None
    rejected: list[Problem]

    @abstractmethod
    def prepared(self) -> P:
        """The processor of the declaration and of the training rows as they are now."""

    def check(self, quiet: bool = False, media: bool = True) -> CheckReport:
        """Read every cell once, and report problems; rows with problems are skipped if that is declared."""

        def decode(name: str, config: Any, item: Any, root: Root) -> Any:
            return self.processor.read(name, item, root, self.cache)

        self.report = self.check_cells(decode if media else lambda *_: None, None if quiet else progress)
        self.report.problems += report_problems(self.declaration, self.splits)
        if self.declaration.data.on_error == SKIP:
            self.report = self._skip_rows(self.report)
        return self.report

    def check_cells(self, decode: Any, shown: Any = None) -> CheckReport:
        """The check of all splits as they are now, each cell of media read by ``decode``."""
        splits = {name: table for name, table in self.splits.items() if len(table) or name == "train"}
        return check(
            splits, self.declaration, self.guesses, decode=decode, progress=shown, row_numbers=self.numbers,
            every=self.declaration.data.on_error == SKIP, readers=self.processor.readers,
        )  # fmt: skip

    def _skip_rows(self, report: CheckReport) -> CheckReport:
        """Skip rows until none has a problem.

        What is learned from the training rows by the processor is then learned again, from those that are
        left.

        Returns:
            The report on the rows that are left; its problems are those that concern no row in particular.
        """
        before = len(self.rejected)
        while bad := [problem for problem in report.problems if problem.row is not None]:
            others = [problem for problem in report.problems if problem.row is None]
            self._drop(bad)
            if others:  # skipping rows fixes none of these
                report.problems = others
                break
            report = self.check_cells(lambda *_: None)  # what is left was read
        if len(self.rejected) > before and report.ok:
            self._prepare_again()
        report.rejected = self.rejected = in_order(self.rejected)
        return report

    def _drop(self, bad: Sequence[Problem]) -> None:
        """Take the rows that ``bad`` names out of every split.

        Of private rows, values that too few of those that are left hold go too.
        """
        self.rejected = [*self.rejected, *bad]
        self.whole = {name: table.without(bad) for name, table in self.whole.items()}
        self.splits = without_rare_values(self.whole, self.declaration)
        self.numbers = {name: table.places for name, table in self.splits.items()}

    def _prepare_again(self) -> None:
        """A new processor; readers that stay equal are kept, and with them what they have in the cache."""
        fresh, old = self.prepared(), self.processor.readers
        same = {name for name in old if old[name].fingerprint == fresh.readers[name].fingerprint}
        readers = {name: old[name] if name in same else fresh.readers[name] for name in old}
        self.processor = type(fresh)(readers, fresh.targets, fresh.missing)


def report_problems(declaration: Declaration, splits: Mapping[str, Table]) -> list[Problem]:
    """Problems of the columns that the report compares and groups by."""
    wanted = declaration.report
    tested = splits["test"] if len(splits["test"]) else splits["validation"]
    if not wanted.write or not len(tested):
        return []
    try:
        check_group(tested, wanted.group)
        subgroup_columns(tested, wanted.by, np.arange(0))
    except DataError as error:
        return error.problems
    return []
