"""What every export can do: rows in, answers out."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polymodal.answers.answered import AnsweredRows, answer_columns, require_finite
from polymodal.answers.base import SavedDecoder
from polymodal.data.media.path_access import Root
from polymodal.data.row_processor import RowProcessor, items_of
from polymodal.data.targets import TargetReader
from polymodal.errors import DataError, InputWarning, Problem, did_you_mean
from polymodal.runtime.array_processor import read_rows
from polymodal.runtime.manifest import Manifest

BATCH = 32
"""Rows that are computed at once."""
Cells = Sequence[Mapping[str, Any]]
"""By input its cell, of each row."""


class ExportedRun(ABC):
    """A run read from an export.

    Args:
        folder: Where it lies.
        manifest: What it holds.
        targets: By target the reader of its labels, in declared order.

    Attributes:
        labels: The same.
        decoders: By target what its outputs mean.
    """

    def __init__(self, folder: Path, manifest: Manifest, targets: Mapping[str, TargetReader]) -> None:
        self.folder, self.manifest, self.labels = folder, manifest, dict(targets)
        self.decoders: dict[str, SavedDecoder] = manifest.answering(folder)

    @property
    @abstractmethod
    def reading(self) -> RowProcessor:
        """Reads rows as the models take them; its inputs are in declared order."""

    @abstractmethod
    def logits(self, cells: Cells) -> dict[str, np.ndarray]:
        """The outputs for rows that were read: by target ``(rows, outputs)``.

        Args:
            cells: By input what :attr:`reading` kept, of each row; at least one.
        """

    @property
    def inputs(self) -> dict[str, str]:
        """By input, in declared order, its modality."""
        return {name: reader.modality for name, reader in self.reading.readers.items()}

    @property
    def targets(self) -> dict[str, str]:
        """By target, in declared order, its task."""
        return {name: decoder.task for name, decoder in self.decoders.items()}

    @property
    def precision(self) -> str:
        """``fp32``, or ``int8`` where the weights of matrix products are rounded to 8 bits."""
        return self.manifest.precision

    def predict(self, rows: Cells, *, root: Root = None, probabilities: bool = False) -> list[dict[str, Any]]:
        """Answer rows, as :meth:`polymodal.Run.predict` does.

        An ``InputWarning`` names inputs that no row has.

        Args:
            rows: By input its cell, of each row; an input that a row does not name is missing.
            root: The folder that relative paths in cells start from, or a
                :class:`polymodal.data.media.path_access.MediaAccess`.
            probabilities: Whether each class is to have an entry.

        Returns:
            Per row: ``<target>``, a label in its own type or a number; for classes ``<target>_confidence``
            (and ``<target>_probability_<class>`` on demand), for numbers ``<target>_low`` and
            ``<target>_high`` where there is an interval; ``missing`` (names of the inputs it lacks, with
            commas between) and ``no_input`` (it lacks all of them).

        Raises:
            DataError: If a cell cannot be read, or no row has any of the inputs.
        """
        self._check_names(rows)
        answered: list[dict[str, Any]] = []
        for batch in self.answered(rows, root):
            columns = answer_columns(self.decoders, list(self.inputs), batch, probabilities)
            for name, target in self.labels.items():
                columns[name] = target.values(plain(columns[name]))
            cells = {name: plain(column) for name, column in columns.items()}
            answered += [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
        return answered

    def answered(self, rows: Cells, root: Root = None) -> Iterator[AnsweredRows]:
        """The answers to rows as arrays, batch after batch.

        Raises:
            DataError: If a cell cannot be read.
        """
        for start in range(0, len(rows), BATCH):
            yield self.answer_read(read_rows(self.reading, rows[start : start + BATCH], root, start), start)

    def answer_read(self, cells: Cells, first: int = 0) -> AnsweredRows:
        """The answers to rows that were read, computed in one batch.

        Args:
            cells: By input what :attr:`reading` kept, of each row; at least one.
            first: The number of the first of them, from 0.

        Raises:
            PolymodalError: If an answer is not of finite numbers.
        """
        logits, names = self.logits(cells), list(self.reading.readers)
        require_finite(logits, self.precision)
        return AnsweredRows(
            index=np.arange(first, first + len(cells)),
            answers={name: self.decoders[name].answer(values) for name, values in logits.items()},
            present=np.array([[bool(items_of(row.get(name))) for name in names] for row in cells]),
        )

    def _check_names(self, rows: Cells) -> None:
        """Warn of inputs that no row names; refuse rows that name none, and what is no list."""
        if isinstance(rows, Mapping | str) or not all(isinstance(row, Mapping) for row in rows):
            fix = "For one row, give a list that holds it"
            raise DataError(Problem(found="what is given is no rows", expected="a list of dicts", cure=fix))
        named = list(dict.fromkeys(str(name) for row in rows for name in row))
        absent = [name for name in self.inputs if name not in named]
        if rows and len(absent) == len(self.inputs):
            reason = f"none of the model's inputs among the columns {', '.join(named) or '(none)'}"
            raise DataError(Problem(found=reason, expected=f"one or more of {', '.join(self.inputs)}"))
        others = [name for name in named if name not in self.inputs]
        for name in absent if rows else ():
            hint = f". {did_you_mean(name, others)}" if others else ""
            warnings.warn(f"no row has the input '{name}': it counts as missing{hint}", InputWarning, 3)


def plain(column: Any) -> list[Any]:
    """A column as a list of Python's own values."""
    return column.tolist() if isinstance(column, np.ndarray) else list(column)
