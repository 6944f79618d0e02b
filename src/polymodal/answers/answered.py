"""Answers to rows as arrays, and as the columns that a user reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from polymodal.answers.base import Decoder
from polymodal.data.readers.saved_settings import values_of
from polymodal.data.row_processor import RowProcessor
from polymodal.errors import PolymodalError, Problem, option

MOST_BYTES = 2**30
"""Limit for the media tensors of one batch: a run, maybe from a stranger, sets the size of its pictures."""


@dataclass
class AnsweredRows:
    """The rows of one batch and the answers to them.

    Attributes:
        index: ``(batch,)`` the rows' indices in the table.
        answers: By target ``(batch, classes)`` probabilities or ``(batch,)`` numbers.
        present: ``(batch, inputs)`` bool, which inputs each row has.
        targets: The true values by target; empty if they were not requested.
        problems: Problems of the rows that could not be read, by index; their answers mean nothing.
        weight: ``(batch,)`` how much each row counts; None where all count the same.
    """

    index: np.ndarray
    answers: dict[str, np.ndarray]
    present: np.ndarray
    targets: dict[str, np.ndarray] = field(default_factory=dict)
    problems: dict[int, list[Problem]] = field(default_factory=dict)
    weight: np.ndarray | None = None


def rows_at_once(processor: RowProcessor, batch_size: int) -> int:
    """Rows of a batch: at most ``batch_size``, and few enough for :data:`MOST_BYTES` of media."""
    return min(batch_size, max(1, MOST_BYTES // bytes_of_row(processor)))


def bytes_of_row(processor: RowProcessor) -> int:
    """Bytes of a row's media as tensors: 3 floats a pixel, an item an input; at least 1."""
    readers = processor.readers.values()
    return sum(12 * values_of(reader.settings()) for reader in readers) or 1


def require_finite(logits: Mapping[str, np.ndarray], precision: str) -> None:
    """Refuse answers that are no numbers: the first class would be taken for the most likely one.

    Raises:
        PolymodalError: Saying in how many rows.
    """
    for name, values in logits.items():
        broken = int((~np.isfinite(values)).reshape(len(values), -1).any(axis=1).sum())
        if broken:
            fix = (
                f"Use {option('precision', 'fp32')}"
                if precision != "fp32"
                else "Fit again with a lower train.learning_rate"
            )
            raise PolymodalError(
                f"{name}: the model's answers are not finite numbers in {broken} of {len(values)} rows "
                f"({precision}). {fix}"
            )


def answer_columns(
    decoders: Mapping[str, Decoder], inputs: Sequence[str], batch: AnsweredRows, probabilities: bool = False
) -> dict[str, Any]:
    """Answers as columns, a cell a row; labels as texts.

    Args:
        decoders: By target, in declared order.
        inputs: Their names, in declared order.
        batch: The answers.
        probabilities: Whether each class is to have a column.

    Returns:
        What :func:`polymodal.answers.batches.answer_frame` names.
    """
    columns: dict[str, Any] = {}
    for name, decoder in decoders.items():
        columns |= decoder.columns(name, batch.answers[name], probabilities)
    names = np.array(inputs, dtype=object)
    patterns, pattern = np.unique(batch.present, axis=0, return_inverse=True)
    lacking = np.array([", ".join(names[~row]) for row in patterns], dtype=object)
    columns["missing"] = lacking[pattern.reshape(-1)]
    columns["no_input"] = ~batch.present.any(axis=1)
    return columns
