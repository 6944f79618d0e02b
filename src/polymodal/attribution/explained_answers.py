"""What was said of a row, and the number that is taken apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from polymodal.models.heads import Classifier, Head, MultilabelClassifier, family_of

MOST_LABELS = 4
"""Of several labels said of a row so many, the surest, are explained."""
TINY = 1e-7
"""How near to 0 and 1 a probability may come where a head gives nothing but probabilities."""
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
    decided = head.decide(answer).get("predicted", answer.argmax(dim=1))
    note = ""
    if family_of(head) == "multilabel":
        said = decided[0].nonzero().flatten().tolist()
        said.sort(key=lambda place: -float(answer[0, place]))
        if not said:
            said, note = [int(answer[0].argmax())], "no label was said; this is the likeliest"
        elif len(said) > MOST_LABELS:
            note = f"one of {len(said)} labels said, of which the {MOST_LABELS} surest are explained"
    else:
        said = [int(decided[0])]
    return [
        Said(target, names[place], place, float(answer[0, place]), LOG_ODDS, note)
        for place in said[:MOST_LABELS]
    ]


def value_of(head: Head, logits: Tensor, output: int) -> Tensor:
    """The number that is taken apart: of ``logits`` ``(batch, outputs)`` one ``(batch,)``.

    A number is taken in its own unit. Of a class or label it is the log-odds ``log(p / (1 − p))`` of the
    probability that is shown: a sure answer's probability hardly changes on most of the way, its log-odds do;
    and unlike a single logit they do not change when all logits rise together.
    """
    if isinstance(head, MultilabelClassifier):
        return logits.float()[:, output] / head.temperature
    if isinstance(head, Classifier) and logits.shape[1] > 1:
        scaled = logits.float() / head.temperature
        others = [place for place in range(scaled.shape[1]) if place != output]
        return scaled[:, output] - scaled[:, others].logsumexp(dim=1)
    answer = head.answer(logits)
    if answer.ndim == 1:
        return answer
    probability = answer[:, output].clamp(TINY, 1 - TINY)
    return torch.log(probability) - torch.log1p(-probability)
