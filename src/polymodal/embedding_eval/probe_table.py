"""A table as an evaluation reads it: its rows and columns, and their vectors in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.answers.batches import batches_of
from polymodal.data.tables.table import Table, read_table
from polymodal.embedding_eval.probe_inputs import blamed_on, check_instead, renamed
from polymodal.embedding_eval.probe_splits import only
from polymodal.errors import PolymodalError, Problem
from polymodal.runs.prediction_run import PredictionRun
from polymodal.utils.progress import progress

if TYPE_CHECKING:
    from polymodal.models.inference import Batch


@dataclass(kw_only=True)
class Reading:
    """How a table is read for an evaluation.

    Attributes:
        instead: By input the column that is read in its place.
        split: ``train``, ``validation`` or ``test``: these rows alone, see :func:`own_splits`.
        batch_size: Rows at once.
        on_error: ``refuse``, or ``skip``: rows that cannot be read are skipped.
        rejected: A list that gets the problems of skipped rows.
        seed: Of the resamples.
        quiet: Show no progress.
    """

    instead: Mapping[str, str] = field(default_factory=dict)
    split: str | None = None
    batch_size: int = 128
    on_error: str = "refuse"
    rejected: list[Problem] | None = None
    seed: int = 0
    quiet: bool = True

    def table(self, run: PredictionRun, source: Any) -> Table:
        """The rows to evaluate, with columns named as the run's inputs.

        Raises:
            DataError: If the table cannot be read, or lacks a column.
            RunError: If the run has no such input.
        """
        table = read_table(source).marking(run.reading.missing)
        if self.instead:
            check_instead(run, table, self.instead)
            table = table.reading(self.instead)
        return only(run, table, self.split) if self.split else table

    def vectors(self, run: PredictionRun, table: Table, what: str = "embedding") -> Vectors:
        """Every input's vectors and the fused ones, in one pass through the model.

        Raises:
            DataError: If a cell cannot be read, or the table has none of the run's inputs.
            PolymodalError: If a vector is not of finite numbers.
        """
        rows = run.rows(table, on_error=self.on_error)
        total = batches_of(table, self.batch_size)
        batches = progress(run.batches(rows, self.batch_size), what, total, quiet=self.quiet)
        with blamed_on(self.instead):
            parts = [self._part(run, batch) for batch in batches]
        result = Vectors(
            {name: np.concatenate([part.inputs[name] for part in parts]) for name in parts[0].inputs},
            {name: np.concatenate([part.has[name] for part in parts]) for name in parts[0].has},
            np.concatenate([part.fused for part in parts]),
            np.concatenate([part.unread for part in parts]),
        )
        result.refuse_not_finite()
        return result

    def reject(self, problems: Iterable[Problem]) -> None:
        """Add the problems of skipped rows, each once."""
        if self.rejected is not None:
            known = {*self.rejected}
            self.rejected += [entry for entry in renamed(problems, self.instead) if entry not in known]

    def _part(self, run: PredictionRun, batch: Batch) -> Vectors:
        self.reject(problem for entries in batch.problems.values() for problem in entries)
        output, names = batch.output, run.model.config.input_names
        assert output.embeddings is not None and output.fused is not None and output.present is not None
        return Vectors(
            {name: output.embeddings[name].float().numpy() for name in names},
            {name: output.present[:, index].numpy() for index, name in enumerate(names)},
            output.fused.float().numpy(),
            batch.unread,
        )


@dataclass
class Vectors:
    """The vectors of the rows of a table.

    Attributes:
        inputs: ``(rows, width)`` by input; undefined where a row lacks it.
        has: ``(rows,)`` bool by input, true for rows that have it and could be read.
        fused: ``(rows, width)``.
        unread: ``(rows,)`` bool.
    """

    inputs: dict[str, np.ndarray]
    has: dict[str, np.ndarray]
    fused: np.ndarray
    unread: np.ndarray

    def has_any(self, names: Sequence[str]) -> np.ndarray:
        """``(rows,)`` bool, true for rows that have one of the named inputs."""
        return np.any([self.has[name] for name in names], axis=0)

    def refuse_not_finite(self) -> None:
        """Check that the training did not diverge.

        Raises:
            PolymodalError: If the vector of a present input is not finite.
        """
        known = [self.inputs[name][self.has[name]] for name in self.inputs]
        for vectors in (*known, self.fused[~self.unread]):
            broken = int((~np.isfinite(vectors)).any(axis=1).sum())
            if broken:
                raise PolymodalError(
                    f"the model's vectors are not finite numbers in {broken} of {len(vectors)} rows: "
                    "the training diverged. Lower train.learning_rate"
                )


def unit(vectors: np.ndarray) -> np.ndarray:
    """``vectors`` ``(rows, width)`` scaled to unit length; zeros stay zeros."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
