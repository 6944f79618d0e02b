"""Where a model fails: class by class, what is taken for what, residuals, the rows it is most wrong on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor

from polymodal.data.collator import RowDataset
from polymodal.evaluation.statistics.bootstrap import finite
from polymodal.importance.shares import AnswerShares, answer_shares
from polymodal.models.heads import Head, family_of
from polymodal.models.inference import answers, run_batches
from polymodal.models.modeling import PolymodalForPrediction

MOST_CLASSES = 30
"""A matrix of more classes is no longer read."""
MOST_POINTS = 500
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
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
        ``family`` and ``rows``; then for classes ``classes`` (:func:`class_table`) and ``confusion``
        (:func:`confusion`), for labels ``labels`` (:func:`label_table`), for numbers ``residuals``
        (:func:`residual_summary`); and ``worst`` (:func:`worst_rows`). Only the first two where no row's
        target is known, or the task is none of these.
    """
    head = model.head(target)
    answered = answered or answer_rows(model, rows, target, precision)
    known, answer, truth, weights = answered.known, answered.answers, answered.targets, answered.weights
    family = family_of(head)
    found: dict[str, Any] = {"family": family, "rows": len(known)}
    if not len(known) or family not in ("classification", "multilabel", "regression"):
        return found
    decided = {name: value.cpu() for name, value in head.decide(answer).items()}
    if family == "classification":
        names = list(head.classes)  # type: ignore[arg-type]
        found["classes"] = class_table(answer, truth, decided, names, weights)
        found["confusion"] = confusion(answer, truth, decided, names)
    elif family == "multilabel":
        labels = list(head.classes)  # type: ignore[arg-type]
        found["labels"] = label_table(answer, truth, decided, labels, weights)
    else:
        found["residuals"] = residual_summary(answer, truth, known, seed=seed, weights=weights)
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


def class_table(
    answer: Tensor,
    target: Tensor,
    decided: Mapping[str, Tensor],
    classes: Sequence[str],
    weights: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """How each class fares; every target must be known.

    Args:
        answer: Probabilities ``(rows, classes)``.
        target: ``(rows,)``.
        decided: See :meth:`polymodal.models.heads.Head.decide`.
        classes: Their names.
        weights: ``(rows,)`` how much each row counts in precision, recall and F1; numbers of rows are counts.

    Returns:
        By class ``class``; ``rows`` that have it; ``said``, rows for which it was said; ``precision``,
        ``recall`` and ``f1``, None where they are not defined (never said; no row; neither); and
        ``confused_with``, the ``class`` for which its rows are most often taken and how many ``rows``, None
        where none is mistaken.
    """
    counts = _counts(answer, target, decided, len(classes))
    precision, recall, f1 = _scores(
        target.numpy(), _said(answer, decided).numpy(), range(len(classes)), weights
    )
    table = []
    for place, name in enumerate(classes):
        mistaken = counts[place].copy()
        mistaken[place] = 0
        other = int(mistaken.argmax())
        with_ = {"class": classes[other], "rows": int(mistaken[other])} if mistaken.any() else None
        table.append(
            {
                "class": name,
                "rows": int(counts[place].sum()),
                "said": int(counts[:, place].sum()),
                "precision": finite(precision[place]),
                "recall": finite(recall[place]),
                "f1": finite(f1[place]),
                "confused_with": with_,
            }
        )
    return table


def confusion(
    answer: Tensor,
    target: Tensor,
    decided: Mapping[str, Tensor],
    classes: Sequence[str],
    most: int = MOST_CLASSES,
) -> dict[str, Any]:
    """How often each class was taken for each; of more than ``most`` classes those with most mistakes.

    Args:
        answer: As in :func:`class_table`, like the next three.
        target: The same.
        decided: The same.
        classes: The same.
        most: How many classes the matrix may have.

    Returns:
        ``classes``, names in declared order; ``counts``, by true class and said class; ``note``, a line on
        what is left out, or None.
    """
    counts = _counts(answer, target, decided, len(classes))
    wrong = counts * (1 - np.eye(len(classes), dtype=int))
    shown, note = np.arange(len(classes)), None
    if len(classes) > most:
        mistakes = wrong.sum(axis=0) + wrong.sum(axis=1)  # as the truth, and as what was said
        shown = np.sort(np.argsort(-mistakes, kind="stable")[:most])
        inside = int(wrong[np.ix_(shown, shown)].sum())
        note = (
            f"The {most} of {len(classes)} classes with most mistakes; {inside:,} of all {wrong.sum():,} "
            "mistakes are among them"
        )
    return {
        "classes": [classes[place] for place in shown.tolist()],
        "counts": counts[np.ix_(shown, shown)].tolist(),
        "note": note,
    }


def label_table(
    answer: Tensor,
    target: Tensor,
    decided: Mapping[str, Tensor],
    classes: Sequence[str],
    weights: np.ndarray | None = None,
) -> list[dict[str, Any]]:
    """How each label fares; every target must be known.

    Args:
        answer: Probabilities ``(rows, classes)``.
        target: The same shape, 1 where the row has the label.
        decided: See :meth:`polymodal.models.heads.Head.decide`.
        classes: Names of the labels.
        weights: As in :func:`class_table`.

    Returns:
        By label ``label``, ``rows`` that have it, ``said``, ``missed`` (rows that have it, not said),
        ``false_alarms`` (said, but not there), ``precision``, ``recall`` and ``f1``, None where they are not
        defined.
    """
    true, said = target.numpy() > 0.5, decided.get("predicted", answer >= 0.5).numpy()
    table = []
    for place, name in enumerate(classes):
        has, claimed = true[:, place], said[:, place]
        precision, recall, f1 = (score[0] for score in _scores(has, claimed, [True], weights))
        table.append(
            {
                "label": name,
                "rows": int(has.sum()),
                "said": int(claimed.sum()),
                "missed": int((has & ~claimed).sum()),
                "false_alarms": int((claimed & ~has).sum()),
                "precision": finite(precision),
                "recall": finite(recall),
                "f1": finite(f1),
            }
        )
    return table


def residual_summary(
    answer: Tensor,
    target: Tensor,
    known: np.ndarray | None = None,
    *,
    seed: int = 0,
    weights: np.ndarray | None = None,
) -> dict[str, Any]:
    """How far off numbers are; a residual is answer less truth, above zero where the answer is too high.

    Args:
        answer: ``(rows,)`` in the target's unit.
        target: The same; every one known.
        known: ``(rows,)`` the rows' places in the table; by default 0, 1, ….
        seed: Of the points.
        weights: ``(rows,)`` how much each row counts in all but the number of rows and the points.

    Returns:
        In the target's unit: ``bias``, the mean residual; ``mae``; ``rmse``; ``quantiles`` of the residuals,
        each ``share`` and ``value``; ``points`` for a plot, at most ``MOST_POINTS`` drawn rows in the
        table's order, each ``row``, ``answer`` and ``residual``. Also ``rows``, and ``note``, a line where
        points were drawn, or None.
    """
    said, residual = answer.double().numpy(), (answer.double() - target.double()).numpy()
    known = np.arange(len(said)) if known is None else known
    drawn = np.random.default_rng(seed).permutation(len(said))[:MOST_POINTS]
    drawn = drawn[np.argsort(known[drawn])]
    return {
        "rows": len(said),
        "bias": finite(np.average(residual, weights=weights)),
        "mae": finite(np.average(np.abs(residual), weights=weights)),
        "rmse": finite(np.sqrt(np.average(np.square(residual), weights=weights))),
        "quantiles": [
            {"share": share, "value": finite(value)}
            for share, value in zip(QUANTILES, _quantiles(residual, weights), strict=True)
        ],
        "points": [
            {"row": int(known[i]), "answer": finite(said[i]), "residual": finite(residual[i])} for i in drawn
        ],
        "note": f"{MOST_POINTS} of {len(said):,} rows, drawn" if len(said) > MOST_POINTS else None,
    }


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
    wrong = _wrongest(head, answered.answers, answered.targets)[:most]
    order = [int(answered.known[place]) for place, _ in wrong]
    if take_apart:
        taken = answer_shares(model, rows, order, targets=[target], precision=precision, seed=seed)[target]
    else:
        said = [answered.answers[place].reshape(-1).numpy() for place, _ in wrong]
        taken = [AnswerShares(row, own, own, {}, (), True) for row, own in zip(order, said, strict=True)]
    cards = []
    for (place, output), shares in zip(wrong, taken, strict=True):
        card = _card(head, answered.answers[place], answered.targets[place], output, shares)
        cards.append({"row": shares.row, "number": int(rows.numbers[shares.row]) + 1, **card})
    return cards


def _wrongest(head: Head, answer: Tensor, target: Tensor) -> list[tuple[int, int]]:
    """Rows by their place in ``answer``, and which output is wrong, the worst first."""
    family = family_of(head)
    if family == "regression":
        how, output = (answer.double() - target.double()).abs(), torch.zeros(len(answer), dtype=torch.long)
    elif family == "multilabel":
        said = head.decide(answer)["predicted"].cpu()
        sure = torch.where(said, answer, 1 - answer).masked_fill(said == target.bool(), -1.0)
        how, output = sure.max(dim=1)
    else:
        output = _said(answer, head.decide(answer)).cpu()
        how = answer.gather(1, output.unsqueeze(1)).squeeze(1).masked_fill(output == target, -1.0)
    least = 0.0 if family == "regression" else -1.0
    return [(i, int(output[i])) for i in how.argsort(descending=True, stable=True).tolist() if how[i] > least]


def _card(head: Head, answer: Tensor, target: Tensor, output: int, shares: AnswerShares) -> dict[str, Any]:
    """What is said of one mistake."""
    figures = dict(shares.of(output))
    value = figures.pop("value")
    family = family_of(head)
    if family == "regression":
        number, true = float(answer), float(target)
        return {"truth": true, "answer": finite(number), "residual": finite(number - true), **figures}
    classes = list(head.classes)  # type: ignore[arg-type]
    if family == "classification":
        own = {"truth_confidence": finite(shares.answer[int(target)])}
        said, truth = classes[output], classes[int(target)]
        return {"truth": truth, "answer": said, "confidence": value, **own, **figures}
    there = bool(target[output] > 0.5)  # the answer is the contrary, or it were no mistake
    if there:
        value, figures["base"] = 1 - value, 1 - figures["base"]
        figures["shares"] = {name: -share for name, share in figures["shares"].items()}
    return {"label": classes[output], "truth": there, "answer": not there, "confidence": value, **figures}


def _said(answer: Tensor, decided: Mapping[str, Tensor]) -> Tensor:
    """``(rows,)`` the place of the class that was said."""
    return decided["predicted"] if "predicted" in decided else answer.argmax(dim=1)


def _counts(answer: Tensor, target: Tensor, decided: Mapping[str, Tensor], classes: int) -> np.ndarray:
    """``(classes, classes)`` rows by true and said class."""
    said = _said(answer, decided).numpy()
    if not len(said):  # scikit-learn refuses no rows
        return np.zeros((classes, classes), dtype=int)
    return confusion_matrix(target.numpy(), said, labels=np.arange(classes))


def _quantiles(values: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Those at ``QUANTILES``; of weighted values NumPy has them without interpolation."""
    if weights is None:
        return np.quantile(values, QUANTILES)
    return np.quantile(values, QUANTILES, weights=weights, method="inverted_cdf")


def _scores(
    true: np.ndarray, said: np.ndarray, labels: Sequence[Any], weights: np.ndarray | None
) -> tuple[Any, Any, Any]:
    """Precision, recall and F1 of each of ``labels``, NaN where they are not defined."""
    if not len(true):
        return tuple(np.full((3, len(labels)), np.nan))  # type: ignore[return-value]
    precision, recall, f1, _ = precision_recall_fscore_support(
        true, said, labels=list(labels), average=None, zero_division=np.nan, sample_weight=weights
    )
    return precision, recall, f1
