"""Rows of a table, read in any order, inputs left out in training. None of it needs torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import xxhash

from polymodal.data.cache.memory import ReadCache
from polymodal.data.row_processor import Row, RowProcessor, place_problems
from polymodal.data.tables.table import Table
from polymodal.data.weights import read_weights, weight_problem
from polymodal.errors import DataError, Problem

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    Rows = Dataset[Row]
else:

    class Rows:
        """Loaders of torch take whatever has a length and rows."""


P = TypeVar("P", bound=RowProcessor)


class RowDataset(Rows, Generic[P]):
    """A table's rows, read by a processor.

    Args:
        table: The rows.
        processor: Reads the cells.
        cache: Keeps what was read.
        targets: Targets to read as well.
        dropout: Chance that a row's input is left out, for training; at least one input stays.
        seed: Of the dropout, which depends on seed, epoch and row alone, so that a resumed run repeats it.
        numbers: Of the rows in their file, from 0, for messages.
        skip: Give a row that cannot be read as one that lacks every input and target, with its ``problems``.
        weight: Column with the weight of each row.

    Attributes:
        weights: ``(rows,)`` what each row counts, float64; None where all count the same.
        notes: What was done to cells that were read so far beyond reading them, by column and what: cells.
    """

    def __init__(
        self,
        table: Table,
        processor: P,
        cache: ReadCache | None = None,
        *,
        targets: Iterable[str] = (),
        dropout: float = 0.0,
        seed: int = 0,
        numbers: Sequence[int] | np.ndarray | None = None,
        skip: bool = False,
        weight: str | None = None,
    ) -> None:
        self.table, self.processor, self.cache = table.marking(processor.missing), processor, cache
        self.targets, self.dropout, self.seed, self.epoch = list(targets), dropout, seed, 0
        self.numbers = range(len(table)) if numbers is None else numbers
        self.skip = skip
        present = [name for name in processor.readers if name in table.columns]
        self._data = table.data.select_columns([*present, *self.targets])
        self.notes: Counter[tuple[str, str]] = Counter()
        self.weight = weight
        self.weights: np.ndarray | None = None
        self._no_weight: dict[int, Problem] = {}
        if weight is not None:
            self._read_weights(weight)

    def _read_weights(self, column: str) -> None:
        """Read the column of weights; a row without one is refused, or where rows are skipped, unreadable.

        Raises:
            DataError: Every cell that holds no weight, unless rows are skipped.
        """
        self.weights, invalid = read_weights(self.table, column)
        self._no_weight = {
            index: weight_problem(self.table.name, int(self.numbers[index]), column, what)
            for index, what in invalid.items()
        }
        if invalid and not self.skip:
            raise DataError(list(self._no_weight.values()))

    def __len__(self) -> int:
        return len(self.table)

    def set_epoch(self, epoch: int) -> None:
        """Called by the loader at the start of each epoch."""
        self.epoch = epoch

    def __getitem__(self, index: int) -> Row:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Row]:
        """Several rows at once: one access to the table instead of many. ``~index`` is a row without cells.

        Raises:
            DataError: Every cell that cannot be read, with its row and column, unless rows are skipped.
        """
        columns = self._data.cells([max(index, ~index) for index in indices])
        rows: list[Row] = []
        problems: list[Problem] = []
        for position, index in enumerate(map(int, indices)):
            cells = {name: column[position] if index >= 0 else None for name, column in columns.items()}
            kept, wrong = self.processor.read_row(cells, self.targets, self.table.root, self.cache)
            self.notes.update(kept.pop("notes", ()))
            bad = place_problems(wrong, self.table.name, int(self.numbers[index])) if wrong else []
            bad += [self._no_weight[index]] if index in self._no_weight else []
            if bad and self.skip:
                kept = self.processor.read_row({}, self.targets)[0] | {"problems": bad}
            else:
                problems += bad
            place_of = max(index, ~index)
            rows.append({"index": place_of, "draw": draw_of(self.seed, self.epoch, place_of), **kept})
            if self.weights is not None:
                rows[-1]["weight"] = float(self.weights[place_of])
        if problems:
            raise DataError(problems)
        if self.dropout:
            for row in rows:
                self._leave_out(row)
        return rows

    def _leave_out(self, row: Row) -> None:
        present = [name for name, cell in row["cells"].items() if cell is not None]
        chance = np.random.default_rng((self.seed, self.epoch, row["index"])).random(len(present) + 1)
        stays = int(chance[-1] * len(present))
        for index, name in enumerate(present):
            if chance[index] < self.dropout and (index != stays or (chance[:-1] >= self.dropout).any()):
                row["cells"][name] = None


def draw_of(seed: int, epoch: int, index: int) -> int:
    """A number below 2⁶² for what is drawn by chance for a row in an epoch: the same in a resumed run."""
    return xxhash.xxh3_64_intdigest(b"%d %d %d" % (seed, epoch, index)) >> 2
