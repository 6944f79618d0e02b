"""Answers to the rows of a table, batch after batch: as arrays, as a table of the user's, and measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from polymodal.answers.answered import AnsweredRows, answer_columns, require_finite, rows_at_once
from polymodal.answers.base import Decoder
from polymodal.data.row_dataset import RowDataset
from polymodal.data.targets import TargetReader
from polymodal.evaluation.metrics.metrics import evaluate

__all__ = [
    "AnsweredRows", "Answerer", "Measure", "answer_frame", "answer_types", "batch_rows", "batches_of",
    "require_finite",
]  # fmt: skip


class Answerer(Protocol):
    """Answers the rows of a table: a neural model, a blend, or plain models alone."""

    @property
    def input_names(self) -> list[str]:
        """Inputs, in declared order."""

    @property
    def head_names(self) -> list[str]:
        """Targets, in declared order."""

    @property
    def decoders(self) -> Mapping[str, Decoder]:
        """By target, in declared order."""

    def batches(self, rows: RowDataset, batch_size: int, precision: str = "fp32") -> Iterator[AnsweredRows]:
        """Every batch of ``rows``, in their order; a batch holds fewer rows where their media are large.

        Raises:
            PolymodalError: If an answer is not of finite numbers.
        """


def batch_rows(rows: RowDataset, batch_size: int) -> int:
    """Rows of a batch: at most ``batch_size``, and fewer where their media are large."""
    return rows_at_once(rows.processor, batch_size)


def batches_of(rows: Sized, batch_size: int) -> int:
    """Number of batches, where media limit none."""
    return -(-len(rows) // batch_size)


def answer_frame(
    answerer: Answerer,
    batch: AnsweredRows,
    probabilities: bool = False,
    targets: Mapping[str, TargetReader] | None = None,
) -> pd.DataFrame:
    """A batch's answers as a user reads them.

    Args:
        answerer: That answered.
        batch: The batch.
        probabilities: Whether each class is to have a column.
        targets: Know the type of their labels; without them labels are texts.

    Returns:
        A row each: ``<target>``, a label in its own type or a number; for classes and labels
        ``<target>_confidence`` (and ``<target>_probability_<class>`` on demand), for numbers ``<target>_low``
        and ``<target>_high`` where there is an interval; ``missing`` (names of the inputs the row lacks)
        and ``no_input`` (it lacks all of them).
    """
    columns = answer_columns(answerer.decoders, answerer.input_names, batch, probabilities)
    for name in answerer.decoders:
        if targets and name in targets and name in columns:
            columns[name] = targets[name].answers(columns[name])
    return pd.DataFrame(columns)


def answer_types(
    decoders: Mapping[str, Decoder], targets: Mapping[str, TargetReader]
) -> dict[str, pa.DataType]:
    """The columns of :func:`answer_frame` whose first cells may not show their type, and this type."""
    types: dict[str, pa.DataType] = {}
    for name, decoder in decoders.items():
        types |= decoder.answer_types(name, targets[name].arrow_type())
    return types


class Measure:
    """Collects predictions and targets batch by batch, then computes every metric.

    Args:
        decoders: By target.
    """

    def __init__(self, decoders: Mapping[str, Decoder]) -> None:
        self.decoders = decoders
        self._answers: dict[str, list[np.ndarray]] = {name: [] for name in decoders}
        self._targets: dict[str, list[np.ndarray]] = {name: [] for name in decoders}
        self._weights: list[np.ndarray] = []

    def add(self, batch: AnsweredRows) -> None:
        """Take a batch in; either all batches have weights, or none."""
        if batch.weight is not None:
            self._weights.append(batch.weight)
        for name, answer in batch.answers.items():
            if name in batch.targets:
                self._answers[name].append(answer)
                self._targets[name].append(batch.targets[name])

    def answered(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """A target's answers and what they should have been, of all rows taken in."""
        return np.concatenate(self._answers[name]), np.concatenate(self._targets[name])

    def metrics(self) -> dict[str, dict[str, float]]:
        """Metrics by target; a target of which no row has an answer is left out."""
        results = {}
        weight = np.concatenate(self._weights) if self._weights else None
        for name, decoder in self.decoders.items():
            if self._answers[name]:
                answer, target = self.answered(name)
                decided = decoder.decide(answer)
                results[name] = evaluate(
                    decoder.task, answer, target, weight, family=decoder.family, **decided
                )
        return {name: measured for name, measured in results.items() if measured}
