"""An exported run: rows in, answers out, by onnxruntime."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from polymodal.answers.answered import AnsweredRows, answer_columns, require_finite
from polymodal.data.media.path_access import Root
from polymodal.data.row_processor import items_of, place_problems
from polymodal.errors import ConfigError, DataError, InputWarning, Problem, RunError, did_you_mean
from polymodal.runtime.array_processor import ArrayProcessor
from polymodal.runtime.manifest import FILE, MODEL, Manifest
from polymodal.utils.checksums import check_sums

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

BATCH = 32
"""Rows that are computed at once."""


class OnnxRun:
    """The model of an export with its readers and decoders.

    Args:
        folder: Where it lies.
        manifest: What it holds.
        processor: Reads rows.
        session: Computes.
    """

    def __init__(
        self, folder: Path, manifest: Manifest, processor: ArrayProcessor, session: InferenceSession
    ) -> None:
        self.folder, self.manifest, self.processor, self.session = folder, manifest, processor, session
        self.decoders = manifest.answering(folder)
        expected = [
            f"{number}.{name}" for number, entry in enumerate(manifest.inputs) for name in entry.names
        ]
        if [each.name for each in session.get_inputs()] != expected:
            raise RunError(f"{folder}: {MODEL} and {FILE} are of different exports. Export again")

    @classmethod
    def read(cls, folder: str | os.PathLike[str], *, threads: int | None = None) -> Self:
        """See :func:`polymodal.runtime.load`."""
        path = Path(folder)
        manifest = Manifest.read(path)
        check_sums(path)
        return cls(path, manifest, ArrayProcessor.of_export(path, manifest), open_session(path, threads))

    @property
    def inputs(self) -> dict[str, str]:
        """By input, in declared order, its modality."""
        return {name: reader.modality for name, reader in self.processor.readers.items()}

    @property
    def targets(self) -> dict[str, str]:
        """By target, in declared order, its task."""
        return {name: decoder.task for name, decoder in self.decoders.items()}

    @property
    def precision(self) -> str:
        """``fp32``, or ``int8`` where the weights of matrix products are rounded to 8 bits."""
        return self.manifest.precision

    def predict(
        self, rows: Sequence[Mapping[str, Any]], *, root: Root = None, probabilities: bool = False
    ) -> list[dict[str, Any]]:
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
            for name, target in self.processor.targets.items():
                columns[name] = target.values(plain(columns[name]))
            cells = {name: plain(column) for name, column in columns.items()}
            answered += [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
        return answered

    def answered(self, rows: Sequence[Mapping[str, Any]], root: Root = None) -> Iterator[AnsweredRows]:
        """The answers to rows as arrays, batch after batch.

        Raises:
            DataError: If a cell cannot be read.
        """
        for start in range(0, len(rows), BATCH):
            cells = self._read(rows[start : start + BATCH], root, start)
            present = [[bool(items_of(row[name])) for name in self.inputs] for row in cells]
            logits = self.logits(cells)
            require_finite(logits, self.precision)
            answers = {name: self.decoders[name].answer(values) for name, values in logits.items()}
            yield AnsweredRows(np.arange(start, start + len(cells)), answers, np.array(present))

    def logits(self, cells: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        """By target ``(rows, outputs)`` for what the processor kept of rows, at least one."""
        feeds = self.processor.feeds(self.manifest.inputs, cells)
        return dict(zip(self.decoders, self.session.run(None, feeds), strict=True))

    def _read(self, rows: Sequence[Mapping[str, Any]], root: Root, first: int) -> list[dict[str, Any]]:
        """What is kept of rows, by input.

        Raises:
            DataError: Every cell that cannot be read, with its row and column.
        """
        problems: list[Problem] = []
        cells = []
        for number, row in enumerate(rows, start=first):
            kept, wrong = self.processor.read_row(row, (), root)
            problems += place_problems(wrong, "", number)
            cells.append(kept["cells"])
        if problems:
            raise DataError(problems)
        return cells

    def _check_names(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Warn of inputs that no row names; refuse rows that name none at all."""
        named = list(dict.fromkeys(str(name) for row in rows for name in row))
        absent = [name for name in self.inputs if name not in named]
        if rows and len(absent) == len(self.inputs):
            found = f"none of the model's inputs among the columns {', '.join(named) or '(none)'}"
            raise DataError(Problem(found=found, expected=f"one or more of {', '.join(self.inputs)}"))
        others = [name for name in named if name not in self.inputs]
        for name in absent if rows else ():
            hint = f". {did_you_mean(name, others)}" if others else ""
            warnings.warn(f"no row has the input '{name}': it counts as missing{hint}", InputWarning, 3)


def open_session(folder: Path, threads: int | None) -> InferenceSession:
    """The session of an export's model.

    Raises:
        ConfigError: If onnxruntime is not installed.
        RunError: If the file is missing or damaged.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise ConfigError("an export is answered by onnxruntime: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    try:
        return onnxruntime.InferenceSession(str(folder / MODEL), options, ["CPUExecutionProvider"])
    except Exception as error:  # its classes of errors share no base
        reason = str(error).split("\n")[0]
        raise RunError(f"{folder}: {MODEL} cannot be read ({reason}). Export again") from None


def plain(column: Any) -> list[Any]:
    """A column as a list of Python's own values."""
    return column.tolist() if isinstance(column, np.ndarray) else list(column)
