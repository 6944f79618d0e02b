"""A model over a table, batch after batch, in the table's order and in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymodal.answers.base import Decoder
from polymodal.answers.batches import AnsweredRows, batch_rows, require_finite
from polymodal.data.collator import Collator
from polymodal.data.processor import PolymodalProcessor
from polymodal.data.row_dataset import RowDataset
from polymodal.data.row_processor import Row
from polymodal.errors import Problem
from polymodal.models.outputs import PolymodalOutput
from polymodal.models.predictor import Predictor
from polymodal.utils.cancelling import stop_if_cancelled
from polymodal.utils.device import computing_in
from polymodal.utils.out_of_memory import RowsAtOnce


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
    precision: str = "fp32",
) -> Iterator[Batch]:
    """Every batch of ``rows`` through ``model`` in evaluation mode.

    A batch holds fewer than ``batch_size`` rows where their media are large (see :func:`batch_rows`) or where
    memory is too small.

    Raises:
        PolymodalError: If an answer is not of finite numbers, or memory is too small for a single row.
    """
    model.eval()
    size, collate = batch_rows(rows, batch_size), Collator(rows.processor)
    at_once = RowsAtOnce(size, model.device)

    def run(some: Sequence[Row]) -> tuple[dict[str, Any], PolymodalOutput]:
        batch = collate(some)
        return batch, run_model(model, batch, precision)

    for start in range(0, len(rows), size):
        read = rows.__getitems__(range(start, min(start + size, len(rows))))
        for _, (batch, output) in at_once.work(read, run):
            yield _checked(batch, output, precision)


def _checked(batch: Mapping[str, Any], output: PolymodalOutput, precision: str) -> Batch:
    """One of the collator's batches with its output, whose answers have to be finite numbers."""
    logits = output.logits or {}
    require_finite({name: values.float().numpy() for name, values in logits.items()}, precision)
    problems, weight = batch.get("problems", {}), batch.get("weight")
    return Batch(batch["index"].numpy(), output, batch["targets"], problems, weight)


def read_batch(
    model: Predictor, processor: PolymodalProcessor, rows: Sequence[Row], precision: str = "fp32"
) -> Batch:
    """Rows that ``processor`` read, at least one, through ``model`` in evaluation mode, as one batch.

    Raises:
        PolymodalError: If an answer is not of finite numbers.
    """
    model.eval()
    batch = Collator(processor)(rows)
    return _checked(batch, run_model(model, batch, precision), precision)


def answer_read(
    model: Predictor, processor: PolymodalProcessor, rows: Sequence[Row], precision: str = "fp32"
) -> AnsweredRows:
    """The answers to rows that ``processor`` read: see :func:`read_batch`."""
    return answered(model, read_batch(model, processor, rows, precision))


def run_model(model: Predictor, batch: Mapping[str, Any], precision: str = "fp32") -> PolymodalOutput:
    """The output of ``model`` for one of the processor's batches, in main memory."""
    stop_if_cancelled()
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


def answered(model: Predictor, batch: Batch) -> AnsweredRows:
    """A batch's answers as arrays."""
    assert batch.output.present is not None
    return AnsweredRows(
        index=batch.index,
        answers={name: answer.float().numpy() for name, answer in answers(model, batch).items()},
        present=batch.output.present.numpy(),
        targets={name: target.numpy() for name, target in batch.targets.items()},
        problems=batch.problems,
        weight=None if batch.weight is None else batch.weight.numpy(),
    )


class ModelAnswers:
    """Answers by a model that computes with tensors; an :class:`polymodal.answers.batches.Answerer`.

    Args:
        model: Answers.
    """

    def __init__(self, model: Predictor) -> None:
        self.model = model

    @property
    def input_names(self) -> list[str]:
        """See :class:`Answerer`."""
        return self.model.config.input_names

    @property
    def head_names(self) -> list[str]:
        """See :class:`Answerer`."""
        return self.model.config.head_names

    @property
    def decoders(self) -> dict[str, Decoder]:
        """See :class:`Answerer`; those of the heads as they are now."""
        return decoders_of(self.model)

    def batches(self, rows: RowDataset, batch_size: int, precision: str = "fp32") -> Iterator[AnsweredRows]:
        """See :class:`Answerer`."""
        for batch in run_batches(self.model, rows, batch_size, precision=precision):
            yield answered(self.model, batch)


def decoders_of(model: Predictor) -> dict[str, Decoder]:
    """By target, in declared order, the decoder of its head."""
    return {name: head.decoder() for name, head in model.named_heads()}
