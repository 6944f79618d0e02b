"""Rows of a table to batches: reading, leaving inputs out in training, padding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from polymodal.data.cache import ReadCache
from polymodal.data.processor import Form, PolymodalProcessor, Row, place_problems
from polymodal.data.table import Table
from polymodal.errors import DataError, Problem


class RowDataset(Dataset):
    """A table's rows, read by a processor.

    Args:
        table: The rows.
        processor: Reads the cells.
        cache: Keeps what was read.
        targets: Targets to read as well.
        dropout: Chance that a row's input is left out, for training; at least one input stays.
        seed: Of the dropout, which hangs on seed, epoch and row alone, so that a resumed run repeats it.
        numbers: Of the rows in their file, from 0, for messages.
        skip: Give a row that cannot be read as one that lacks every input and target, with its ``problems``.
    """

    def __init__(
        self,
        table: Table,
        processor: PolymodalProcessor,
        cache: ReadCache | None = None,
        *,
        targets: Iterable[str] = (),
        dropout: float = 0.0,
        seed: int = 0,
        numbers: Sequence[int] | np.ndarray | None = None,
        skip: bool = False,
    ) -> None:
        self.table, self.processor, self.cache = table, processor, cache
        self.targets, self.dropout, self.seed, self.epoch = list(targets), dropout, seed, 0
        self.numbers = range(len(table)) if numbers is None else numbers
        self.skip = skip
        present = [name for name in processor.readers if name in table.columns]
        self._data = table.data.select_columns([*present, *self.targets])

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
        columns = self._data[[max(index, ~index) for index in indices]]
        rows: list[Row] = []
        problems: list[Problem] = []
        for place, index in enumerate(map(int, indices)):
            cells = {name: column[place] if index >= 0 else None for name, column in columns.items()}
            kept, wrong = self.processor.read_row(cells, self.targets, self.table.root, self.cache)
            bad = place_problems(wrong, self.table.name, int(self.numbers[index])) if wrong else []
            if bad and self.skip:
                kept = self.processor.read_row({}, self.targets)[0] | {"problems": bad}
            else:
                problems += bad
            rows.append({"index": max(index, ~index), **kept})
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
        for place, name in enumerate(present):
            if chance[place] < self.dropout and (place != stays or (chance[:-1] >= self.dropout).any()):
                row["cells"][name] = None


class Collator:
    """Rows to a batch: ``index`` ``(batch,)``, ``inputs`` and ``targets`` by name, any ``problems`` by index.

    Args:
        processor: Pads.
        form: See :meth:`PolymodalProcessor.collate`.
    """

    def __init__(self, processor: PolymodalProcessor, *, form: Form = "items") -> None:
        self.processor, self.form = processor, form

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        problems = {row["index"]: row["problems"] for row in rows if "problems" in row}
        return self.processor.batch(rows, form=self.form) | ({"problems": problems} if problems else {})
