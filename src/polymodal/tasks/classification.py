"""Classification: one of several classes per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.answers import ClassDecoder
from polymodal.config import TargetConfig
from polymodal.evaluation.arrays import Values, as_array
from polymodal.evaluation.metrics.thresholds import FEWEST_ROWS, class_thresholds, is_decisive
from polymodal.evaluation.statistics.bootstrap import finite
from polymodal.tasks.base import (
    TASKS,
    Answered,
    AnyHead,
    Shares,
    Tuned,
    Tuning,
    decided_of,
    predicted_class,
)
from polymodal.tasks.temperature import ProbabilityTask, tune_temperature
from polymodal.utils.records import Record, key

if TYPE_CHECKING:
    from torch import Tensor

    from polymodal.models.heads import Head

USUAL_METRIC = "macro_f1"
"""The metric that thresholds are chosen by, where ``train.metric`` does not depend on them."""
MOST_CLASSES = 30
"""The largest confusion matrix that is shown."""


@dataclass(frozen=True, kw_only=True)
class ConfusedWith(Record):
    """The class that a class is most often taken for.

    Attributes:
        label: The class.
        rows: Number of rows.
    """

    label: str = field(metadata=key("class"))
    rows: int


@dataclass(frozen=True, kw_only=True)
class ClassRow(Record):
    """The predictions of one class.

    Attributes:
        label: The class.
        rows: Number of rows of the class.
        predicted: Number of rows that it was predicted for.
        precision: From 0 to 1; None where the class is never predicted.
        recall: From 0 to 1; None where no row has the class.
        f1: From 0 to 1; None where the class neither occurs nor is predicted.
        confused_with: What its rows are most often taken for; None where none is mistaken.
    """

    label: str = field(metadata=key("class"))
    rows: int
    predicted: int = field(metadata=key("said"))
    precision: float | None
    recall: float | None
    f1: float | None
    confused_with: ConfusedWith | None


@dataclass(frozen=True, kw_only=True)
class Confusion(Record):
    """A confusion matrix.

    Attributes:
        classes: Names in declared order.
        counts: Numbers of rows by true class and predicted class.
        note: A remark on classes that are not shown, or None.
    """

    classes: list[str]
    counts: list[list[int]]
    note: str | None


@TASKS.register("classification")
class Classification(ProbabilityTask):
    """Classification: accuracy and F1, thresholds and temperature, confusion matrix."""

    name = "classification"
    decoder_class = ClassDecoder
    has_errors = True
    default_metric, default_score = "accuracy", "accuracy"
    card_metrics = ("accuracy", "macro_f1", "ece")
    settings = frozenset({"temperature"})
    tabular_tag, media_tag = "tabular-classification", "classification"

    def tunes(self, config: TargetConfig, head: AnyHead) -> bool:
        """Whether a temperature or thresholds are chosen; a head of another package may know neither."""
        wants = config.temperature or config.thresholds == "validation"
        return self.tempered(head) is not None and wants

    def tune(self, head: AnyHead, rows: Tuning, config: TargetConfig) -> Tuned:
        """The temperature, then thresholds of probabilities that have it."""
        decoder = self.tempered(head)
        assert isinstance(decoder, ClassDecoder)
        made = tune_temperature(decoder, rows) if config.temperature else Tuned()
        if config.thresholds == "validation":
            metric = rows.metric if is_decisive(rows.metric, self.name) else USUAL_METRIC
            answer = decoder.answer(as_array(rows.logits))
            decoder.thresholds = class_thresholds(answer, rows.target, metric, rows.weight)
            if decoder.thresholds is None:
                reason = (
                    f"no thresholds: no class has {FEWEST_ROWS} validation rows and is lacking in as many"
                )
                made.warnings.append((reason, "thresholds to null"))
            held = decoder.thresholds and dict(zip(decoder.classes, decoder.thresholds, strict=True))
            made.entry |= {"thresholds": held, "metric": metric}
        head.settle(decoder)
        return made

    def errors(self, head: AnyHead, rows: Answered) -> dict[str, Any]:
        """``classes`` (:func:`class_table`) and ``confusion`` (:func:`confusion`)."""
        return class_errors(head, rows)

    def worst(self, head: AnyHead, answer: Values, target: Values) -> list[tuple[int, int]]:
        """Mistakes by the probability of the predicted class."""
        return worst_classes(head, answer, target)

    def card(
        self, head: AnyHead, answer: Values, target: Values, output: int, shares: Shares
    ) -> dict[str, Any]:
        """``truth``, ``answer``, ``confidence`` and ``truth_confidence``."""
        return class_card(head, target, output, shares)

    def attributed(self, head: Head, logits: Tensor, output: int) -> Tensor:
        """The log-odds of the class, from the logits."""
        decoder = self.tempered(head)
        if decoder is None or logits.shape[1] < 2:
            return super().attributed(head, logits, output)
        scaled = logits.float() / decoder.temperature
        others = [index for index in range(scaled.shape[1]) if index != output]
        return scaled[:, output] - scaled[:, others].logsumexp(dim=1)


def class_errors(head: AnyHead, rows: Answered) -> dict[str, Any]:
    """``classes`` (:func:`class_table`) and ``confusion`` (:func:`confusion`) of a head with ``classes``."""
    decided, names = decided_of(head, rows.answers), class_names_of(head)
    return {
        "classes": class_table(rows.answers, rows.targets, decided, names, rows.weights),
        "confusion": confusion(rows.answers, rows.targets, decided, names),
    }


def worst_classes(head: AnyHead, answer: Values, target: Values) -> list[tuple[int, int]]:
    """Rows of a wrong class, the surest first, each with the index of the predicted class."""
    answers, truth = as_array(answer), as_array(target)
    output = predicted_class(answers, decided_of(head, answers))
    sure = np.take_along_axis(answers, output[:, None], axis=1)[:, 0]
    sure = np.where(output == truth, -1.0, sure)
    order = np.argsort(-sure, kind="stable").tolist()
    return [(row, int(output[row])) for row in order if sure[row] > -1.0]


def class_card(head: AnyHead, target: Values, output: int, shares: Shares) -> dict[str, Any]:
    """One wrong class: ``truth`` and ``answer`` by name, ``confidence``, and that in the truth."""
    figures, classes = dict(shares.of(output)), class_names_of(head)
    value = figures.pop("value")
    own = {"truth_confidence": finite(shares.answer[int(target)])}
    truth, predicted = classes[int(target)], classes[output]
    return {"truth": truth, "answer": predicted, "confidence": value, **own, **figures}


def class_names_of(head: AnyHead) -> list[str]:
    """The names of a head's classes; their numbers where it has no names."""
    return [str(name) for name in getattr(head, "classes", range(head.outputs))]


def class_table(
    answer: Values,
    target: Values,
    decided: Mapping[str, Values],
    classes: Sequence[str],
    weights: np.ndarray | None = None,
) -> list[ClassRow]:
    """Precision, recall and F1 by class; every target must be known.

    Args:
        answer: Probabilities ``(rows, classes)``.
        target: ``(rows,)``.
        decided: See :meth:`polymodal.models.heads.Head.decide`.
        classes: Their names.
        weights: ``(rows,)`` sample weights of precision, recall and F1; numbers of rows are counts.
    """
    counts = _counts(answer, target, decided, len(classes))
    precision, recall, f1 = precision_recall_f1(
        as_array(target), _predicted(answer, decided), range(len(classes)), weights
    )
    table = []
    for index, name in enumerate(classes):
        mistaken = counts[index].copy()
        mistaken[index] = 0
        other = int(mistaken.argmax())
        most_often = ConfusedWith(label=classes[other], rows=int(mistaken[other])) if mistaken.any() else None
        table.append(
            ClassRow(
                label=name,
                rows=int(counts[index].sum()),
                predicted=int(counts[:, index].sum()),
                precision=finite(precision[index]),
                recall=finite(recall[index]),
                f1=finite(f1[index]),
                confused_with=most_often,
            )
        )
    return table


def confusion(
    answer: Values,
    target: Values,
    decided: Mapping[str, Values],
    classes: Sequence[str],
    most: int = MOST_CLASSES,
) -> Confusion:
    """The confusion matrix; of more than ``most`` classes it has those with most mistakes.

    Args:
        answer: As in :func:`class_table`, like the next three.
        target: The same.
        decided: The same.
        classes: The same.
        most: The largest number of classes.
    """
    counts = _counts(answer, target, decided, len(classes))
    wrong = counts * (1 - np.eye(len(classes), dtype=int))
    shown, note = np.arange(len(classes)), None
    if len(classes) > most:
        mistakes = wrong.sum(axis=0) + wrong.sum(axis=1)  # as the truth, and as the prediction
        shown = np.sort(np.argsort(-mistakes, kind="stable")[:most])
        inside = int(wrong[np.ix_(shown, shown)].sum())
        note = (
            f"The {most} of {len(classes)} classes with most mistakes; {inside:,} of all {wrong.sum():,} "
            "mistakes are among them"
        )
    return Confusion(
        classes=[classes[index] for index in shown.tolist()],
        counts=counts[np.ix_(shown, shown)].tolist(),
        note=note,
    )


def _counts(answer: Values, target: Values, decided: Mapping[str, Values], classes: int) -> np.ndarray:
    """Confusion matrix ``(classes, classes)``: numbers of rows by true and predicted class."""
    from sklearn.metrics import confusion_matrix

    predicted = _predicted(answer, decided)
    if not len(predicted):  # scikit-learn refuses no rows
        return np.zeros((classes, classes), dtype=int)
    return confusion_matrix(as_array(target), predicted, labels=np.arange(classes))


def _predicted(answer: Values, decided: Mapping[str, Values]) -> np.ndarray:
    """``(rows,)`` the index of the predicted class."""
    return predicted_class(as_array(answer), {name: as_array(values) for name, values in decided.items()})


def precision_recall_f1(
    true: np.ndarray, predicted: np.ndarray, labels: Sequence[Any], weights: np.ndarray | None
) -> tuple[Any, Any, Any]:
    """Precision, recall and F1 of each of ``labels``, NaN where they are not defined."""
    from sklearn.metrics import precision_recall_fscore_support

    if not len(true):
        undefined = np.full(len(labels), np.nan)
        return undefined, undefined, undefined
    precision, recall, f1, _ = precision_recall_fscore_support(
        true, predicted, labels=list(labels), average=None, zero_division=np.nan, sample_weight=weights
    )
    return precision, recall, f1
