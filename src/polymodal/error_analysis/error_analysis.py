"""Where a model fails: errors by class, confusions, residuals, and the worst rows."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from polymodal.data.row_dataset import RowDataset
from polymodal.importance.contributions import AnswerShares
from polymodal.importance.shares import answer_shares
from polymodal.importance.subsets import KeptRows
from polymodal.models.inference import answers, run_batches
from polymodal.models.predictor import Predictor
from polymodal.tasks import Answered as TaskRows
from polymodal.tasks import task_of

CARDS = 12
BATCH = 256


class Answered(Protocol):
    """Predictions with their ground truth; :class:`polymodal.importance.importance.Trials` is one."""

    @property
    def known(self) -> np.ndarray:
        """``(rows,)`` indices in the table of the rows whose target is known."""

    @property
    def answers(self) -> Tensor:
        """``(rows, …)`` predictions of the head."""

    @property
    def targets(self) -> Tensor:
        """``(rows, …)`` ground truth in the same form."""

    @property
    def weights(self) -> np.ndarray | None:
        """``(rows,)`` sample weights; None where all are equal."""


class Answers(NamedTuple):
    """Predictions with their ground truth, see :class:`Answered`."""

    known: np.ndarray
    answers: Tensor
    targets: Tensor
    weights: np.ndarray | None = None


def failures(
    model: Predictor,
    rows: RowDataset,
    target: str,
    answered: Answered | None = None,
    *,
    most: int = CARDS,
    take_apart: bool = True,
    precision: str = "fp32",
    seed: int = 0,
    kept: KeptRows | None = None,
) -> dict[str, Any]:
    """The error analysis of one target.

    Args:
        model: In any mode; left in evaluation mode.
        rows: With the target.
        target: Its name.
        answered: Predictions of these rows, if computed already; by default the model predicts them.
        most: The most errors to show.
        take_apart: Compute the Shapley shares of the inputs in them; their cells must be readable.
        precision: Of the forward passes.
        seed: Of all random draws.
        kept: Keeps embedded rows for other analyses.

    Returns:
        ``family`` and ``rows``; the tables of the task (:meth:`polymodal.tasks.Task.errors`); and ``worst``
        (:func:`worst_rows`). Only the first two where no row's target is known, or the task has no tables.
    """
    head = model.head(target)
    answered = answered or answer_rows(model, rows, target, precision)
    known, answer, truth, weights = answered.known, answered.answers, answered.targets, answered.weights
    task = task_of(head.task)
    result: dict[str, Any] = {"family": head.reads(), "rows": len(known)}
    if not len(known) or not task.has_errors:
        return result
    result |= task.errors(head, TaskRows(answer, truth, known, weights, seed))
    settings: Any = {
        "most": most,
        "take_apart": take_apart,
        "precision": precision,
        "seed": seed,
        "kept": kept,
    }
    result["worst"] = worst_rows(model, rows, target, answered, **settings)
    return result


def answer_rows(model: Predictor, rows: RowDataset, target: str, precision: str = "fp32") -> Answers:
    """Predictions of the rows that could be read and whose target is known, in the table's order."""
    head = model.head(target)
    parts: list[Answers] = []
    for batch in run_batches(model, rows, BATCH, precision=precision):
        truth = batch.targets[target]
        mask = head.known(truth) & ~torch.from_numpy(batch.unread)
        mask &= torch.tensor(True) if batch.weight is None else batch.weight > 0
        parts.append(Answers(batch.index[mask.numpy()], answers(model, batch)[target][mask], truth[mask]))
    known, answer, truths, _ = zip(*parts, strict=True)
    indices = np.concatenate(known)
    weights = None if rows.weights is None else rows.weights[indices]
    return Answers(indices, torch.cat(answer), torch.cat(truths), weights)


def worst_rows(
    model: Predictor,
    rows: RowDataset,
    target: str,
    answered: Answered | None = None,
    *,
    most: int = CARDS,
    take_apart: bool = True,
    precision: str = "fp32",
    seed: int = 0,
    kept: KeptRows | None = None,
) -> list[dict[str, Any]]:
    """The most confident errors, or the largest residuals, each with the Shapley shares of the inputs.

    A row with several wrong labels is listed by the one that was predicted with the greatest confidence.

    Args:
        model: As in :func:`failures`, like all that follow.
        rows: The same.
        target: The same.
        answered: The same.
        most: The same.
        take_apart: The same; without it there are no shares, and the base is the answer.
        precision: The same.
        seed: The same.
        kept: The same.

    Returns:
        At most ``most``, the worst first, and none that is right: ``row``, its index in the table from 0, and
        ``number``, that in the user's file from 1; ``truth`` and ``answer``, names of classes, whether a
        label is there, or numbers; ``confidence``, the probability of the answer; ``base``, ``shares``,
        ``missing`` and ``exact`` as in :meth:`AnswerShares.of`, so that base and shares add up to the
        confidence. For classes also ``truth_confidence``, for labels ``label``; for a label that was not
        predicted, confidence, base and shares are of its absence. For numbers base and shares add up to
        ``answer``, with ``residual`` and no confidence.
    """
    head = model.head(target)
    answered = answered or answer_rows(model, rows, target, precision)
    task = task_of(head.task)
    wrong = task.worst(head, answered.answers, answered.targets)[:most]
    order = [int(answered.known[index]) for index, _ in wrong]
    if take_apart:
        taken = answer_shares(
            model, rows, order, targets=[target], precision=precision, seed=seed, kept=kept
        )[target]
    else:
        predicted = [answered.answers[index].reshape(-1).numpy() for index, _ in wrong]
        taken = [AnswerShares(row, own, own, {}, (), True) for row, own in zip(order, predicted, strict=True)]
    cards = []
    for (index, output), shares in zip(wrong, taken, strict=True):
        card = task.card(head, answered.answers[index], answered.targets[index], output, shares)
        cards.append({"row": shares.row, "number": int(rows.numbers[shares.row]) + 1, **card})
    return cards
