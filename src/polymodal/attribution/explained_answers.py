"""What was said of a row, and the number that is taken apart."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from polymodal.models.heads import Head
from polymodal.tasks import task_of

LOG_ODDS = "log-odds"


@dataclass(frozen=True)
class Said:
    """One answer to a row.

    Attributes:
        target: What was asked.
        answer: A class, one of the labels that were said, or a number in the target's own unit.
        output: The place of the class or label; 0 for a number.
        confidence: The probability that goes with it; None for a number.
        unit: Of what is taken apart: ``log-odds``, or nothing where it is the number itself.
        note: What else is to be known.
    """

    target: str
    answer: str | float
    output: int
    confidence: float | None
    unit: str
    note: str = ""


def said_of(target: str, head: Head, logits: Tensor) -> list[Said]:
    """The answers that ``logits`` ``(1, outputs)`` of one row give: one, or one for every label said."""
    answer = head.answer(logits).cpu()
    if answer.ndim == 1:
        return [Said(target, float(answer[0]), 0, None, "")]
    names = getattr(head, "classes", None) or [str(place) for place in range(answer.shape[1])]
    outputs, note = task_of(head.task).explained(head, answer)
    return [
        Said(target, names[output], output, float(answer[0, output]), LOG_ODDS, note) for output in outputs
    ]


def value_of(head: Head, logits: Tensor, output: int) -> Tensor:
    """The number that is attributed: ``(batch,)`` of ``logits`` ``(batch, outputs)``; see :class:`Task`."""
    return task_of(head.task).attributed(head, logits, output)
