"""A run: the folder that a training writes, and what can be done with the model in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError

from polymodal.config import Declaration, load_yaml
from polymodal.data.collator import RowDataset
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.table import Table, read_table
from polymodal.errors import DataError, Problem, RunError, did_you_mean
from polymodal.evaluation.inference import Batch, Measure, answer_frame, run_batches
from polymodal.models import PolymodalForPrediction
from polymodal.training.progress import quiet_libraries

FILES = ("config.json", "model.safetensors", "processor_config.json", "run.yaml")
"""What a complete run folder holds at least."""


class Run:
    """A trained model with its processor and declaration.

    Attributes:
        folder: Where it lies.
        model: In evaluation mode.
        processor: Feeds the model.
        declaration: What the run was made from.
    """

    def __init__(
        self, folder: Path, model: PolymodalForPrediction, processor: PolymodalProcessor, declaration: Declaration
    ) -> None:
        self.folder, self.model, self.processor, self.declaration = folder, model.eval(), processor, declaration

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """The run in ``folder``, on a GPU if there is one.

        Raises:
            RunError: If the folder is not there or incomplete.
        """
        path = Path(folder)
        if not path.is_dir():
            raise RunError(f"{path}: no such run folder")
        lacking = [name for name in FILES if not (path / name).is_file()]
        if lacking:
            raise RunError(
                f"{path}: not a complete run, {', '.join(lacking)} missing. Fit again, or with --resume if checkpoints/ is there"
            )
        try:
            with quiet_libraries():
                model = PolymodalForPrediction.from_pretrained(path)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError, RuntimeError) as error:
            raise RunError(f"{path}: the model cannot be read ({str(error).strip().splitlines()[0]})") from None
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        return cls(path, model, PolymodalProcessor.from_pretrained(path), load_yaml(path / "run.yaml"))

    def predict(self, source: Any, *, batch_size: int = 128, probabilities: bool = False) -> pd.DataFrame:
        """Answers for every row of a table, a DataFrame or a list of dicts, in their order; see :meth:`predict_batches`.

        Inputs may be missing, in cells or as whole columns.
        """
        return pd.concat(list(self.predict_batches(source, batch_size, probabilities)), ignore_index=True)

    def predict_batches(
        self, source: Any, batch_size: int = 128, probabilities: bool = False
    ) -> Iterator[pd.DataFrame]:
        """The same, batch by batch, in constant memory.

        Raises:
            DataError: If a cell cannot be read, or the table has none of the model's inputs.
        """
        for batch in run_batches(self.model, self._rows(read_table(source)), batch_size):
            yield answer_frame(self.model, batch, probabilities)

    def evaluate(self, source: Any, *, batch_size: int = 128) -> dict[str, dict[str, float]]:
        """Every metric by target, on the rows whose target is not empty.

        Raises:
            DataError: If a target's column is missing, or no row has an answer.
        """
        table = read_table(source)
        for name in self.model.config.head_names:
            if name not in table.columns:
                raise DataError(Problem(file=table.name, found=f"no column '{name}' to measure against",
                                        cure=did_you_mean(name, table.columns)))  # fmt: skip
        measure = Measure(self.model)
        for batch in run_batches(self.model, self._rows(table, self.model.config.head_names), batch_size):
            measure.add(batch)
        results = measure.metrics()
        if not results:
            raise DataError(Problem(file=table.name, found="every target cell is empty", expected="rows with answers"))
        return results

    def embed(self, source: Any, *, input: str | None = None, batch_size: int = 128) -> np.ndarray:
        """Vectors ``(rows, width)``: of the fused row, or of one ``input`` (NaN where a row lacks it).

        Raises:
            ConfigError: If there is no such input.
        """
        return np.concatenate(list(self.embed_batches(source, input, batch_size)))

    def embed_batches(self, source: Any, input: str | None = None, batch_size: int = 128) -> Iterator[np.ndarray]:
        """The same, batch by batch."""
        names = self.model.config.input_names
        if input is not None and input not in names:
            raise RunError(f"{self.folder}: there is no input '{input}'. {did_you_mean(input, names)}")
        for batch in run_batches(self.model, self._rows(read_table(source)), batch_size):
            yield self._vectors(batch, input)

    def _vectors(self, batch: Batch, name: str | None) -> np.ndarray:
        output = batch.output
        assert output.fused is not None and output.embeddings is not None and output.present is not None
        if name is None:
            return output.fused.float().numpy()
        vectors = output.embeddings[name].float().clone()
        vectors[~output.present[:, self.model.config.input_names.index(name)]] = torch.nan
        return vectors.numpy()

    def save(self, folder: str | Path) -> None:
        """Write model, processor and declaration to ``folder``."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(path)
        self.processor.save_pretrained(path)
        (path / "run.yaml").write_text(self.declaration.to_yaml(), encoding="utf-8")

    def _rows(self, table: Table, targets: Any = ()) -> RowDataset:
        names = self.model.config.input_names
        if not any(name in table.columns for name in names):
            found = f"none of the model's inputs among the columns {', '.join(table.columns)}"
            raise DataError(Problem(file=table.name, found=found, expected=f"one or more of {', '.join(names)}"))
        return RowDataset(table, self.processor, targets=targets)
