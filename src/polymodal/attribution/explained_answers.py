"""Predictions of a row to explain, and the value that is attributed."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from polymodal.models.heads import Head
from polymodal.tasks import task_of

LOG_ODDS = "log-odds"


@dataclass(frozen=True)
class Said:
    """One prediction of a row.

    Attributes:
        target: Its name.
        answer: A class, one of the predicted labels, or a number in the target's own unit.
        output: Index of the class or label; 0 for a number.
        confidence: The predicted probability; None for a number.
        unit: Of the attributed value: ``log-odds``, or empty for the number itself.
        note: A remark.
    """

    target: str
    answer: str | float
    output: int
    confidence: float | None
    unit: str
    note: str = ""


def said_of(target: str, head: Head, logits: Tensor) -> list[Said]:
    """The predictions from ``logits`` ``(1, outputs)`` of one row: one, or one per predicted label."""
    answer = head.answer(logits).cpu()
    if answer.ndim == 1:
        return [Said(target, float(answer[0]), 0, None, "")]
    names = getattr(head, "classes", None) or [str(index) for index in range(answer.shape[1])]
    outputs, note = task_of(head.task).explained(head, answer)
    return [
        Said(target, names[output], output, float(answer[0, output]), LOG_ODDS, note) for output in outputs
    ]


def value_of(head: Head, logits: Tensor, output: int) -> Tensor:
    """The value that is attributed: ``(batch,)`` of ``logits`` ``(batch, outputs)``; see :class:`Task`."""
    return task_of(head.task).attributed(head, logits, output)
