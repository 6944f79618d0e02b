"""Where a model fails: class by class, what is taken for what, residuals, the rows it is most wrong on."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from polymodal.data.collator import RowDataset
from polymodal.importance.shares import AnswerShares, answer_shares
from polymodal.models.inference import answers, run_batches
from polymodal.models.modeling import PolymodalForPrediction
from polymodal.tasks import Answered as TaskRows
from polymodal.tasks import task_of

CARDS = 12
BATCH = 256


class Answered(Protocol):
    """Answers beside what they should have been; :class:`polymodal.importance.importance.Trials` is one."""

    @property
    def known(self) -> np.ndarray:
        """``(rows,)`` places in the table of the rows whose target is known."""

    @property
    def answers(self) -> Tensor:
        """``(rows, …)`` what the head answered."""

    @property
    def targets(self) -> Tensor:
        """``(rows, …)`` what it should have answered."""

    @property
    def weights(self) -> np.ndarray | None:
        """``(rows,)`` how much each row counts in scores and means; None where all count the same."""


class Answers(NamedTuple):
    """See :class:`Answered`."""

    known: np.ndarray
    answers: Tensor
    targets: Tensor
    weights: np.ndarray | None = None


def failures(
    model: PolymodalForPrediction,
    rows: RowDataset,
    target: str,
    answered: Answered | None = None,
    *,
    most: int = CARDS,
    take_apart: bool = True,
    precision: str = "fp32",
    seed: int = 0,
) -> dict[str, Any]:
    """Every figure of where a model fails on one target.

    Args:
        model: In any mode; left in that of evaluation.
        rows: With the target.
        target: Its name.
        answered: The answers, where they are known already; by default the model is asked.
        most: How many mistakes to show.
        take_apart: Whether the model is asked what each input adds to them; their cells must be readable.
        precision: What the model computes in.
        seed: Of whatever is drawn.

    Returns:
        ``family`` and ``rows``; the tables of the task (:meth:`polymodal.tasks.Task.errors`); and ``worst``
        (:func:`worst_rows`). Only the first two where no row's target is known, or the task has no tables.
    """
    head = model.head(target)
    answered = answered or answer_rows(model, rows, target, precision)
    known, answer, truth, weights = answered.known, answered.answers, answered.targets, answered.weights
    task = task_of(head.task)
    found: dict[str, Any] = {"family": head.reads(), "rows": len(known)}
    if not len(known) or not task.has_errors:
        return found
    found |= task.errors(head, TaskRows(answer, truth, known, weights, seed))
    given: Any = {"most": most, "take_apart": take_apart, "precision": precision, "seed": seed}
    found["worst"] = worst_rows(model, rows, target, answered, **given)
    return found


def answer_rows(
    model: PolymodalForPrediction, rows: RowDataset, target: str, precision: str = "fp32"
) -> Answers:
    """The model's answers to the rows that could be read and whose target is known, in the table's order."""
    head = model.head(target)
    parts: list[Answers] = []
    for batch in run_batches(model, rows, BATCH, precision=precision):
        truth = batch.targets[target]
        mask = head.known(truth) & ~torch.from_numpy(batch.unread)
        mask &= torch.tensor(True) if batch.weight is None else batch.weight > 0
        parts.append(Answers(batch.index[mask.numpy()], answers(model, batch)[target][mask], truth[mask]))
    known, answer, truths, _ = zip(*parts, strict=True)
    places = np.concatenate(known)
    weights = None if rows.weights is None else rows.weights[places]
    return Answers(places, torch.cat(answer), torch.cat(truths), weights)


def worst_rows(
    model: PolymodalForPrediction,
    rows: RowDataset,
    target: str,
    answered: Answered | None = None,
    *,
    most: int = CARDS,
    take_apart: bool = True,
    precision: str = "fp32",
    seed: int = 0,
) -> list[dict[str, Any]]:
    """The most confident mistakes, or the largest residuals, each with what every input adds to it.

    Of a row with several labels wrong, the one that was decided with greatest confidence stands for it.

    Args:
        model: As in :func:`failures`, like all that follow.
        rows: The same.
        target: The same.
        answered: The same.
        most: The same.
        take_apart: The same; without it there are no shares, and the base is the answer.
        precision: The same.
        seed: The same.

    Returns:
        At most ``most``, the worst first, and none that is right: ``row``, its place in the table from 0, and
        ``number``, that in the user's file from 1; ``truth`` and ``answer``, names of classes, whether a
        label is there, or numbers; ``confidence``, the probability of the answer; ``base``, ``shares``,
        ``missing`` and ``exact`` as in :meth:`AnswerShares.of`, so that base and shares add up to the
        confidence. For classes also ``truth_confidence``, for labels ``label``; for a label that was not
        said confidence, base and shares are of its not being there. For numbers base and shares add up to
        ``answer``, with ``residual`` and no confidence.
    """
    head = model.head(target)
    answered = answered or answer_rows(model, rows, target, precision)
    task = task_of(head.task)
    wrong = task.worst(head, answered.answers, answered.targets)[:most]
    order = [int(answered.known[place]) for place, _ in wrong]
    if take_apart:
        taken = answer_shares(model, rows, order, targets=[target], precision=precision, seed=seed)[target]
    else:
        said = [answered.answers[place].reshape(-1).numpy() for place, _ in wrong]
        taken = [AnswerShares(row, own, own, {}, (), True) for row, own in zip(order, said, strict=True)]
    cards = []
    for (place, output), shares in zip(wrong, taken, strict=True):
        card = task.card(head, answered.answers[place], answered.targets[place], output, shares)
        cards.append({"row": shares.row, "number": int(rows.numbers[shares.row]) + 1, **card})
    return cards
