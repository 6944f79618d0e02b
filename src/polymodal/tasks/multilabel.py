"""Multi-label classification: any number of labels per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymodal.config import TargetConfig
from polymodal.data.checks.check_columns import named
from polymodal.evaluation.metrics.thresholds import FEWEST_ROWS, label_thresholds
from polymodal.evaluation.statistics.bootstrap import finite
from polymodal.models.heads import Head, MultilabelClassifier
from polymodal.tasks.base import TASKS, Answered, Shares, Tuned, Tuning
from polymodal.tasks.classification import class_names_of, precision_recall_f1
from polymodal.tasks.temperature import ProbabilityTask, tune_temperature
from polymodal.utils.records import Record, key

MOST_LABELS = 4
"""Of several predicted labels of a row so many, the surest, are explained."""


@dataclass(frozen=True, kw_only=True)
class LabelRow(Record):
    """The predictions of one label; numbers of rows are counts.

    Attributes:
        label: The label.
        rows: Rows that have it.
        predicted: Rows that it was predicted for.
        missed: Rows that have it, for which it was not predicted.
        false_alarms: Rows that lack it, for which it was predicted.
        precision: From 0 to 1; None where it is not defined, as the next two.
        recall: From 0 to 1.
        f1: From 0 to 1.
    """

    label: str
    rows: int
    predicted: int = field(metadata=key("said"))
    missed: int
    false_alarms: int
    precision: float | None
    recall: float | None
    f1: float | None


@TASKS.register("multilabel")
class Multilabel(ProbabilityTask):
    """Multi-label classification: mean average precision and F1, thresholds and temperature."""

    name = "multilabel"
    head_class = MultilabelClassifier
    has_errors = True
    default_metric, default_score = "map", "micro_f1"
    card_metrics = ("micro_f1", "macro_f1", "map")
    settings = frozenset({"separator", "temperature"})
    media_tag = "classification"

    def check(self, config: TargetConfig, options: Sequence[str]) -> None:
        """Thresholds are chosen on the validation rows, unless one is given."""
        if "thresholds" in options and config.thresholds is None:
            config.thresholds = "validation"

    def tunes(self, config: TargetConfig, head: Head) -> bool:
        """Whether a temperature or thresholds are chosen; a head of another package may know neither."""
        wants = config.temperature or config.thresholds == "validation"
        return isinstance(head, MultilabelClassifier) and wants

    def tune(self, head: Head, rows: Tuning, config: TargetConfig) -> Tuned:
        """The temperature, then thresholds of probabilities that have it."""
        assert isinstance(head, MultilabelClassifier)
        made = tune_temperature(head, rows) if config.temperature else Tuned()
        if config.thresholds != "validation":
            return made
        chosen = label_thresholds(head.answer(rows.logits).cpu(), rows.target, rows.weight)
        few = [name for name, threshold in zip(head.classes, chosen, strict=True) if threshold is None]
        head.thresholds = [0.5 if threshold is None else threshold for threshold in chosen]
        if few:
            lacking = f"fewer than {FEWEST_ROWS} validation rows have or lack it"
            made.warnings.append(
                (f"the threshold stays 0.5 for {named(few)}: {lacking}", "thresholds to a number")
            )
        made.entry |= {"thresholds": dict(zip(head.classes, head.thresholds, strict=True))}
        return made

    def errors(self, head: Head, rows: Answered) -> dict[str, Any]:
        """``labels`` (:func:`label_table`)."""
        decided = {name: value.cpu() for name, value in head.decide(rows.answers).items()}
        names = class_names_of(head)
        return {"labels": label_table(rows.answers, rows.targets, decided, names, rows.weights)}

    def worst(self, head: Head, answer: Tensor, target: Tensor) -> list[tuple[int, int]]:
        """Rows of a wrong label: of each the one that was decided with greatest confidence."""
        predicted = head.decide(answer)["predicted"].cpu()
        right = predicted == target.bool()
        sure, output = torch.where(predicted, answer, 1 - answer).masked_fill(right, -1.0).max(dim=1)
        order = sure.argsort(descending=True, stable=True).tolist()
        return [(row, int(output[row])) for row in order if sure[row] > -1.0]

    def card(self, head: Head, answer: Tensor, target: Tensor, output: int, shares: Shares) -> dict[str, Any]:
        """``label``, whether it is there (``truth``) and predicted (``answer``), ``confidence``.

        Of a label that was not predicted confidence, base and shares are of its not being there.
        """
        figures = dict(shares.of(output))
        value = figures.pop("value")
        there = bool(target[output] > 0.5)  # the answer is the contrary, or it were no mistake
        if there:
            value, figures["base"] = 1 - value, 1 - figures["base"]
            figures["shares"] = {name: -share for name, share in figures["shares"].items()}
        label = class_names_of(head)[output]
        return {"label": label, "truth": there, "answer": not there, "confidence": value, **figures}

    def explained(self, head: Head, answer: Tensor) -> tuple[list[int], str]:
        """The predicted labels, the surest first; the likeliest where none is."""
        decided = head.decide(answer).get("predicted", answer.argmax(dim=1))
        outputs = decided[0].nonzero().flatten().tolist()
        outputs.sort(key=lambda index: -float(answer[0, index]))
        if not outputs:
            return [int(answer[0].argmax())], "no label was said; this is the likeliest"
        if len(outputs) <= MOST_LABELS:
            return outputs, ""
        note = f"one of {len(outputs)} labels said, of which the {MOST_LABELS} surest are explained"
        return outputs[:MOST_LABELS], note

    def attributed(self, head: Head, logits: Tensor, output: int) -> Tensor:
        """The log-odds of the label, from the logits."""
        if isinstance(head, MultilabelClassifier):
            return logits.float()[:, output] / head.temperature
        return super().attributed(head, logits, output)


def label_table(
    answer: Tensor,
    target: Tensor,
    decided: Mapping[str, Tensor],
    classes: Sequence[str],
    weights: np.ndarray | None = None,
) -> list[LabelRow]:
    """Precision, recall and F1 by label; every target must be known.

    Args:
        answer: Probabilities ``(rows, classes)``.
        target: The same shape, 1 where the row has the label.
        decided: See :meth:`polymodal.models.heads.Head.decide`.
        classes: Names of the labels.
        weights: ``(rows,)`` sample weights of precision, recall and F1.
    """
    true, predicted = target.numpy() > 0.5, decided.get("predicted", answer >= 0.5).numpy()
    table = []
    for index, name in enumerate(classes):
        has, claimed = true[:, index], predicted[:, index]
        precision, recall, f1 = (score[0] for score in precision_recall_f1(has, claimed, [True], weights))
        table.append(
            LabelRow(
                label=name,
                rows=int(has.sum()),
                predicted=int(claimed.sum()),
                missed=int((has & ~claimed).sum()),
                false_alarms=int((claimed & ~has).sum()),
                precision=finite(precision),
                recall=finite(recall),
                f1=finite(f1),
            )
        )
    return table
