"""A model over a table, batch after batch, in the table's order and in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from polymodal.data.collator import Collator
from polymodal.data.readers.saved_settings import values_of
from polymodal.data.row_dataset import RowDataset
from polymodal.data.targets import TargetReader
from polymodal.errors import PolymodalError, Problem, option
from polymodal.evaluation.metrics.metrics import evaluate
from polymodal.models.outputs import PolymodalOutput
from polymodal.models.predictor import Predictor
from polymodal.utils.device import computing_in

MOST_BYTES = 2**30
"""Limit for the media tensors of one batch: a run, maybe from a stranger, sets the size of its pictures."""


@dataclass
class Batch:
    """The rows of one batch and the model's output for them, in main memory.

    Attributes:
        index: ``(batch,)`` the rows' indices in the table.
        output: The model's output.
        targets: The true values by target; empty if they were not requested.
        weight: ``(batch,)`` how much each row counts; None where all count the same.
        problems: Problems of the rows that could not be read, by index; their predictions mean nothing.
    """

    index: np.ndarray
    output: PolymodalOutput
    targets: dict[str, Tensor]
    problems: dict[int, list[Problem]] = field(default_factory=dict)
    weight: Tensor | None = None

    @property
    def unread(self) -> np.ndarray:
        """Which rows could not be read: ``(batch,)`` bool."""
        return np.isin(self.index, list(self.problems))


def run_batches(
    model: Predictor,
    rows: RowDataset,
    batch_size: int,
    workers: int = 0,
    precision: str = "fp32",
) -> Iterator[Batch]:
    """Every batch of ``rows`` through ``model`` in evaluation mode.

    A batch holds fewer than ``batch_size`` rows where their media would take more than :data:`MOST_BYTES`.

    Raises:
        PolymodalError: If an answer is not of finite numbers.
    """
    model.eval()
    size = min(batch_size, max(1, MOST_BYTES // bytes_of_row(rows)))
    loader = DataLoader(rows, batch_size=size, collate_fn=Collator(rows.processor), num_workers=workers)
    for batch in loader:
        output = run_model(model, batch, precision)
        require_finite(output, precision)
        problems, weight = batch.get("problems", {}), batch.get("weight")
        yield Batch(batch["index"].numpy(), output, batch["targets"], problems, weight)


def batches_of(rows: Sized, batch_size: int) -> int:
    """Number of batches, where media limit none."""
    return -(-len(rows) // batch_size)


def bytes_of_row(rows: RowDataset) -> int:
    """Bytes of a row's media as tensors, three channels of float32 a pixel, one item an input; at least 1."""
    readers = rows.processor.readers.values()
    return sum(12 * values_of(reader.settings()) for reader in readers) or 1


def require_finite(output: PolymodalOutput, precision: str) -> None:
    """Refuse answers that are no numbers: the first class would be taken for the most likely one.

    Raises:
        PolymodalError: Saying in how many rows.
    """
    for name, logits in (output.logits or {}).items():
        broken = int((~logits.isfinite()).reshape(len(logits), -1).any(dim=1).sum())
        if broken:
            fix = (
                f"Use {option('precision', 'fp32')}"
                if precision != "fp32"
                else "Fit again with a lower train.learning_rate"
            )
            raise PolymodalError(
                f"{name}: the model's answers are not finite numbers in {broken} of {len(logits)} rows "
                f"({precision}). {fix}"
            )


def run_model(model: Predictor, batch: Mapping[str, Any], precision: str = "fp32") -> PolymodalOutput:
    """The output of ``model`` for one of the processor's batches, in main memory."""
    with torch.inference_mode(), computing_in(model.device, precision):
        output = model(batch["index"].to(model.device), move(batch["inputs"], model.device))
    return move(output, "cpu")


def move(value: Any, device: torch.device | str) -> Any:
    """Tensors in nested dictionaries, moved to ``device``."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, PolymodalOutput):
        return PolymodalOutput(**{key: move(entry, device) for key, entry in value.items()})
    return {key: move(entry, device) for key, entry in value.items()} if isinstance(value, Mapping) else value


def answers(model: Predictor, batch: Batch) -> dict[str, Tensor]:
    """The prediction of each head: probabilities ``(batch, classes)`` or numbers ``(batch,)``."""
    assert batch.output.logits is not None
    device = model.device
    return {
        name: head.answer(batch.output.logits[name].to(device)).cpu() for name, head in model.named_heads()
    }


def answer_frame(
    model: Predictor,
    batch: Batch,
    probabilities: bool = False,
    targets: Mapping[str, TargetReader] | None = None,
) -> pd.DataFrame:
    """A batch's answers as a user reads them.

    Args:
        model: That answered.
        batch: The batch.
        probabilities: Whether each class is to have a column.
        targets: Know the type of their labels; without them labels are texts.

    Returns:
        A row each: ``<target>``, a label in its own type or a number; for classes and labels
        ``<target>_confidence`` (and ``<target>_probability_<class>`` on demand), for numbers ``<target>_low``
        and ``<target>_high`` where the head has an interval; ``missing`` (names of the inputs the row lacks)
        and ``no_input`` (it lacks all of them).
    """
    columns: dict[str, Any] = {}
    for name, answer in answers(model, batch).items():
        columns |= model.head(name).columns(name, answer, probabilities)
        if targets and name in targets and name in columns:
            columns[name] = targets[name].answers(columns[name])
    assert batch.output.present is not None
    present = batch.output.present.numpy()
    names = np.array(model.config.input_names, dtype=object)
    patterns, pattern = np.unique(present, axis=0, return_inverse=True)
    lacking = np.array([", ".join(names[~row]) for row in patterns], dtype=object)
    columns["missing"] = lacking[pattern.reshape(-1)]
    columns["no_input"] = ~present.any(axis=1)
    return pd.DataFrame(columns)


def answer_types(model: Predictor, targets: Mapping[str, TargetReader]) -> dict[str, pa.DataType]:
    """The columns of :func:`answer_frame` whose first cells may not show their type, and this type."""
    types: dict[str, pa.DataType] = {}
    for name, head in model.named_heads():
        types |= head.answer_types(name, targets[name].arrow_type())
    return types


class Measure:
    """Collects predictions and targets batch by batch, then computes every metric."""

    def __init__(self, model: Predictor) -> None:
        self.model = model
        self._answers: dict[str, list[Tensor]] = {name: [] for name in model.config.head_names}
        self._targets: dict[str, list[Tensor]] = {name: [] for name in model.config.head_names}
        self._weights: list[Tensor] = []

    def add(self, batch: Batch) -> None:
        """Take a batch in; either all batches have weights, or none."""
        if batch.weight is not None:
            self._weights.append(batch.weight)
        for name, answer in answers(self.model, batch).items():
            if name in batch.targets:
                self._answers[name].append(answer)
                self._targets[name].append(batch.targets[name])

    def answered(self, name: str) -> tuple[Tensor, Tensor]:
        """A target's answers and what they should have been, of all rows taken in."""
        return torch.cat(self._answers[name]), torch.cat(self._targets[name])

    def metrics(self) -> dict[str, dict[str, float]]:
        """Metrics by target; a target of which no row has an answer is left out."""
        results = {}
        weight = torch.cat(self._weights) if self._weights else None
        for name, head in self.model.named_heads():
            if self._answers[name]:
                answer, target = self.answered(name)
                decided = head.decide(answer)
                results[name] = evaluate(head.task, answer, target, weight, family=head.reads(), **decided)
        return {name: measured for name, measured in results.items() if measured}
