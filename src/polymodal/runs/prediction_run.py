"""A run with heads, or pre-trained without targets: predictions, metrics and embeddings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from polymodal.answers.batches import AnsweredRows, Answerer, Measure, answer_frame, batches_of
from polymodal.answers.plain_blend import PlainBlend
from polymodal.artifact.capabilities import VECTORS, Capability, Kind
from polymodal.artifact.run_folder import has_neural, neural_folder
from polymodal.candidates.blend_folder import is_blend, read_blend, write_blend
from polymodal.config import Declaration
from polymodal.config.parsing import load_yaml
from polymodal.data.checks.findings import Findings, inspect_table
from polymodal.data.checks.rejected import ON_ERROR, SKIP
from polymodal.data.row_dataset import RowDataset
from polymodal.data.row_processor import RowProcessor
from polymodal.data.tables.kept_columns import KeptColumns
from polymodal.data.tables.table import Table, read_table
from polymodal.errors import DataError, Problem, ReadingWarning, RunError, did_you_mean, one_line
from polymodal.runs.core import K, RunBase
from polymodal.runs.fitted_rows import repeats_fit
from polymodal.runs.row_errors import blank_unread, no_answers, no_inputs, nothing_measured
from polymodal.utils.progress import progress

if TYPE_CHECKING:  # runs of plain models need no torch
    from polymodal.data.processor import PolymodalProcessor
    from polymodal.models import PolymodalForPrediction
    from polymodal.models.blend import BlendedModel
    from polymodal.models.inference import Batch


class PredictionRun(RunBase["PolymodalForPrediction", "PolymodalProcessor"]):
    """A run whose heads predict targets, or a pre-trained one, of objectives alone, that only embeds.

    Attributes:
        reading: Reads rows as the models take them; needs no torch.
        blend: The blend of several models; None of one model.
        plain: The same, of plain models alone, which predict and are measured without torch; else None.
    """

    kinds = frozenset({Kind.heads, Kind.space})

    def __init__(
        self,
        folder: Path,
        model: PolymodalForPrediction | BlendedModel | PlainBlend,
        processor: RowProcessor,
        declaration: Declaration,
        precision: str = "fp32",
    ) -> None:
        self.folder, self.declaration, self.precision = folder, declaration, precision
        self._given, self.reading = model, processor
        self.plain = model if isinstance(model, PlainBlend) else None
        self.blend: PlainBlend | BlendedModel | None = self.plain
        if not isinstance(model, PlainBlend):
            from polymodal.models.blend import BlendedModel

            self.blend = model if isinstance(model, BlendedModel) else None
            model.eval()

    @cached_property
    def model(self) -> PolymodalForPrediction:
        """The model, in evaluation mode; of plain models a blend that takes tensors, as analyses do."""
        from polymodal.models.blend import BlendedModel, as_model, blend_of

        given = blend_of(self._given).eval() if isinstance(self._given, PlainBlend) else self._given
        return as_model(given) if isinstance(given, BlendedModel) else given

    @cached_property
    def processor(self) -> PolymodalProcessor:
        """The processor, which feeds the model; :attr:`reading` reads the same rows, without batches."""
        from polymodal.data.processor import PolymodalProcessor, for_batches

        return self.reading if isinstance(self.reading, PolymodalProcessor) else for_batches(self.reading)

    @cached_property
    def answerer(self) -> Answerer:
        """What answers rows: the plain models, or the model."""
        if self.plain is not None:
            return self.plain
        from polymodal.models.inference import ModelAnswers

        return ModelAnswers(self.model)

    @property
    def parameters(self) -> int:
        """See :class:`RunBase`."""
        return super().parameters if self.plain is None else 0

    def place(self, device: str | None) -> None:
        """See :class:`RunBase`; plain models compute on the CPU."""
        if self.plain is None:
            super().place(device)

    def as_kind(self, kind: Callable[..., K]) -> K:
        """See :class:`RunBase`."""
        return kind(self.folder, self._given, self.reading, self.declaration, self.precision)

    @classmethod
    def read(cls, path: Path, precision: str) -> Self:
        """Read the model with its heads, the processor and the declaration of a run folder."""
        if is_blend(path):
            return cls._read_blend(path, precision)
        from polymodal.artifact.weights import load_run_of_one_model

        return cls(path, *load_run_of_one_model(path), precision)

    @classmethod
    def _read_blend(cls, path: Path, precision: str) -> Self:
        blend, processor = read_blend(path)
        declaration = load_yaml(path / "run.yaml")
        run = cls(path, blend, processor, declaration, precision)
        names = run.answerer.input_names, run.answerer.head_names
        if (list(declaration.inputs), list(declaration.targets)) != names:
            raise RunError(f"{path}: blend.json and run.yaml are of different runs. Fit again")
        return run

    def write(self, folder: Path) -> None:
        """See :class:`RunBase`; a blend with the folders of its candidates."""
        if self.blend is not None:
            write_blend(folder, self.blend, self.reading, self.declaration, self.folder)
        else:
            super().write(folder)

    @cached_property
    def fused(self) -> PredictionRun:
        """The run of the neural model: this one, or the candidate of a blend; it embeds and searches.

        Raises:
            RunError: If the blend was fitted without it.
        """
        if self.blend is None:
            return self
        device = None if self.plain is not None else str(self.model.device)
        return type(self).load(neural_folder(self.folder), device=device, precision=self.precision)

    @property
    def kind(self) -> Kind:
        """``heads``, or ``space`` if it was pre-trained without targets."""
        return Kind.heads if self.targets else Kind.space

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Operations that the run supports; a blend without the neural model has no vectors."""
        all_of_kind = super().capabilities
        has_vectors = self.blend is None or has_neural(self.folder)
        return all_of_kind if has_vectors else all_of_kind - VECTORS

    @property
    def targets(self) -> list[str]:
        """The target columns that its heads predict."""
        return self.answerer.head_names

    def predict(
        self,
        source: Any,
        *,
        batch_size: int = 128,
        probabilities: bool = False,
        on_error: str = "refuse",
        keep: str | Sequence[str] = (),
        quiet: bool = False,
    ) -> pd.DataFrame:
        """Predict every row of a table, a DataFrame or a list of dicts, in the order of the rows.

        Inputs may be missing, as single cells or whole columns. An ``InputWarning`` names columns that the
        table lacks and values that are not in the training rows.

        Args:
            source: The rows.
            batch_size: Rows per batch.
            probabilities: Add a column of probabilities per class.
            on_error: With ``skip`` a row that cannot be read has empty cells, and a column ``error`` has the
                reason.
            keep: Columns of the table that are put before the answers.
            quiet: Show no progress.

        Returns:
            One row per row of ``source``, with the index of a DataFrame; for the columns see
            :func:`answer_frame`.

        Raises:
            DataError: If a cell cannot be read, or the table has none of the model's inputs.
            ConfigError: If there is no such column to keep, or an answer has its name.
        """
        table = read_table(source)
        frames = self.predict_batches(table, batch_size, probabilities, on_error, keep)
        return pd.concat(progress(frames, "predicting", batches_of(table, batch_size), quiet=quiet))

    def predict_batches(
        self,
        source: Any,
        batch_size: int = 128,
        probabilities: bool = False,
        on_error: str = "refuse",
        keep: str | Sequence[str] = (),
    ) -> Iterator[pd.DataFrame]:
        """Like :meth:`predict`, which names what it raises: one DataFrame per batch, in constant memory."""
        self.require(Capability.predict)
        table = read_table(source)
        rows = self.rows(table, on_error=on_error)
        kept = KeptColumns(table, keep)
        self.inspect(table).warn()
        for batch in self.answered(rows, batch_size):
            frame = answer_frame(self.answerer, batch, probabilities, self.reading.targets)
            yield kept.beside(blank_unread(frame, batch) if rows.skip else frame, batch.index)

    def inspect(self, source: Any) -> Findings:
        """Findings about a table: columns that it lacks, and values that are not in the training rows.

        Raises:
            DataError: If the table cannot be read.
        """
        table = read_table(source).marking(self.reading.missing)
        written = {name: target.written for name, target in self.reading.targets.items()}
        return inspect_table(table, self.reading.readers, written)

    def evaluate(
        self,
        source: Any,
        *,
        batch_size: int = 128,
        on_error: str = "refuse",
        rejected: list[Problem] | None = None,
        quiet: bool = False,
    ) -> dict[str, dict[str, float]]:
        """Metrics by target and name, over the rows whose target is not empty.

        If the fit used sample weights (``data.sample_weight``), the metrics use the same column; for a table
        without it a ``UserWarning`` is issued and all rows have equal weight.

        Args:
            source: The rows, with their targets.
            batch_size: Rows per batch.
            on_error: ``skip`` skips rows that cannot be read, ``refuse`` raises.
            rejected: Problems of skipped rows are appended to it.
            quiet: Show no progress.

        Raises:
            DataError: If a target's column is missing, a row has no weight, or no row an answer.
        """
        self.require(Capability.evaluate)
        table = read_table(source)
        if lacking := [name for name in self.targets if name not in table.columns]:
            raise DataError(no_answers(table, lacking[0]))
        measure = Measure(self.answerer.decoders)
        for line in filter(None, (self.lacks_weights(table), repeats_fit(self, table))):
            warnings.warn(line, stacklevel=2)
        rows = self.rows(table, self.targets, on_error, self.weighted_by(table))
        self.inspect(table).warn()
        total = batches_of(table, batch_size)
        for batch in progress(self.answered(rows, batch_size), "evaluating", total, quiet=quiet):
            measure.add(batch)
            if rejected is not None:
                rejected += [problem for bad in batch.problems.values() for problem in bad]
        results = measure.metrics()
        if not results:
            raise DataError(nothing_measured(rows))
        return results

    def weighted_by(self, table: Table) -> str | None:
        """The column of sample weights, if ``table`` has it; None where all rows count the same."""
        column = self.declaration.data.sample_weight
        return column if column in table.columns else None

    def lacks_weights(self, table: Table) -> str:
        """Warning for a table without the fit's column of sample weights; else empty."""
        column = self.declaration.data.sample_weight
        if column is None or column in table.columns:
            return ""
        return f"{table.name}: no column '{column}', by which the fit weighed its rows: all count the same"

    def embed(
        self,
        source: Any,
        *,
        input: str | None = None,
        batch_size: int = 128,
        on_error: str = "refuse",
        quiet: bool = False,
    ) -> np.ndarray:
        """Embeddings ``(rows, width)`` float32 of the rows of a table.

        Args:
            source: The rows.
            input: Embed this input alone, NaN where a row lacks it; by default the fused row.
            batch_size: Rows per batch.
            on_error: With ``skip`` the vector of a row that cannot be read is NaN.
            quiet: Show no progress.

        Raises:
            DataError: If a cell cannot be read, or the table has none of the model's inputs.
            RunError: If there is no such input.
        """
        table = read_table(source)
        batches = self.embed_batches(table, input, batch_size, on_error)
        shown = progress(batches, "embedding", batches_of(table, batch_size), quiet=quiet)
        return np.concatenate([vectors for vectors, _ in shown])

    def embed_batches(
        self, source: Any, input: str | None = None, batch_size: int = 128, on_error: str = "refuse"
    ) -> Iterator[tuple[np.ndarray, Batch]]:
        """Like :meth:`embed`, batch by batch: vectors and their batch."""
        if self.blend is not None:
            yield from self.fused.embed_batches(source, input, batch_size, on_error)
            return
        from polymodal.runs.encode_items import vectors_of

        names = self.model.config.input_names
        if input is not None and input not in names:
            raise RunError(f"{self.folder}: there is no input '{input}'. {did_you_mean(input, names)}")
        table = read_table(source)
        rows = self.rows(table, on_error=on_error)
        self.inspect(table).warn()
        for batch in self.batches(rows, batch_size):
            yield vectors_of(batch, names, input), batch

    def vectors_batches(
        self, source: Any, batch_size: int = 128, on_error: str = "refuse"
    ) -> Iterator[tuple[dict[str, np.ndarray], Batch]]:
        """Vectors ``(batch, width)`` of every input, batch by batch; NaN where a row lacks the input."""
        from polymodal.runs.encode_items import vectors_of

        run = self.fused
        names = run.model.config.input_names
        for batch in run.batches(run.rows(read_table(source), on_error=on_error), batch_size):
            yield {name: vectors_of(batch, names, name) for name in names}, batch

    @property
    def shares_space(self) -> bool:
        """Whether the vectors of different inputs are in a shared space, so that they can be compared."""
        return self.fused.model.config.space is not None

    @property
    def width(self) -> int:
        """Width of the vector of an input."""
        from polymodal.runs.encode_items import width_of

        return width_of(self.fused.model)

    def encode(self, items: Any, *, normalize: bool = True, batch_size: int = 128) -> np.ndarray:
        """Vectors ``(items, width)`` float32 of texts, pictures, recordings, clips and rows in one list.

        Args:
            items: A list of items, see :func:`polymodal.runs.encode_items.as_cells`; a single item
                gives ``(width,)``.
            normalize: Scale to unit length, so that dot products are cosine similarities.
            batch_size: Items per batch.

        Raises:
            DataError: If an item is empty, cannot be read, or no input reads its modality: one line each.
        """
        from polymodal.runs.encode_items import encode

        self.require(Capability.encode)
        return encode(self.fused, items, normalize=normalize, batch_size=batch_size)

    def batches(self, rows: RowDataset, batch_size: int) -> Iterator[Batch]:
        """Run the model on ``rows``, batch by batch; warns of cells that were converted. Needs torch."""
        from polymodal.models.inference import run_batches

        yield from run_batches(self.model, rows, batch_size, precision=self.precision)
        self._warn_of(rows)

    def answered(self, rows: RowDataset, batch_size: int) -> Iterator[AnsweredRows]:
        """The answers to ``rows``, batch by batch; warns of cells that were converted."""
        yield from self.answerer.batches(rows, batch_size, self.precision)
        self._warn_of(rows)

    def _warn_of(self, rows: RowDataset) -> None:
        for (column, what), cells in rows.notes.items():
            text = f"{rows.table.name}: column '{one_line(column, 80)}': {cells} of its cells: {what}"
            warnings.warn(text, ReadingWarning, stacklevel=4)

    def rows(
        self, table: Table, targets: Any = (), on_error: str = "refuse", weight: str | None = None
    ) -> RowDataset:
        """The rows of ``table`` as this run reads them, with these ``targets`` and the column of weights.

        Raises:
            DataError: If the table has none of the model's inputs, or a cell holds no weight.
            RunError: If ``on_error`` is none of its values.
        """
        names = self.answerer.input_names
        if not any(name in table.columns for name in names):
            raise DataError(no_inputs(table, names))
        if on_error not in ON_ERROR:
            raise RunError(f"on_error is '{on_error}', expected {' or '.join(ON_ERROR)}")
        skip = on_error == SKIP
        return RowDataset(
            table, self.reading, targets=targets, numbers=table.numbers, skip=skip, weight=weight
        )
