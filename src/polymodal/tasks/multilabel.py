"""Multi-label classification: any number of labels per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from polymodal.answers import LabelDecoder
from polymodal.config import TargetConfig
from polymodal.data.checks.check_columns import named
from polymodal.evaluation.arrays import Values, as_array
from polymodal.evaluation.metrics.thresholds import FEWEST_ROWS, label_thresholds
from polymodal.evaluation.statistics.bootstrap import finite
from polymodal.tasks.base import TASKS, Answered, AnyHead, Shares, Tuned, Tuning, decided_of
from polymodal.tasks.classification import class_names_of, precision_recall_f1
from polymodal.tasks.temperature import ProbabilityTask, tune_temperature
from polymodal.utils.records import Record, key

if TYPE_CHECKING:
    from torch import Tensor

    from polymodal.models.heads import Head

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
    decoder_class = LabelDecoder
    has_errors = True
    default_metric, default_score = "map", "micro_f1"
    card_metrics = ("micro_f1", "macro_f1", "map")
    settings = frozenset({"separator", "temperature"})
    media_tag = "classification"

    def check(self, config: TargetConfig, options: Sequence[str]) -> None:
        """Thresholds are chosen on the validation rows, unless one is given."""
        if "thresholds" in options and config.thresholds is None:
            config.thresholds = "validation"

    def tunes(self, config: TargetConfig, head: AnyHead) -> bool:
        """Whether a temperature or thresholds are chosen; a head of another package may know neither."""
        wants = config.temperature or config.thresholds == "validation"
        return self.tempered(head) is not None and wants

    def tune(self, head: AnyHead, rows: Tuning, config: TargetConfig) -> Tuned:
        """The temperature, then thresholds of probabilities that have it."""
        decoder = self.tempered(head)
        assert isinstance(decoder, LabelDecoder)
        made = tune_temperature(decoder, rows) if config.temperature else Tuned()
        if config.thresholds == "validation":
            chosen = label_thresholds(decoder.answer(as_array(rows.logits)), rows.target, rows.weight)
            few = [name for name, each in zip(decoder.classes, chosen, strict=True) if each is None]
            decoder.thresholds = [0.5 if threshold is None else threshold for threshold in chosen]
            if few:
                lacking = f"fewer than {FEWEST_ROWS} validation rows have or lack it"
                made.warnings.append(
                    (f"the threshold stays 0.5 for {named(few)}: {lacking}", "thresholds to a number")
                )
            made.entry |= {"thresholds": dict(zip(decoder.classes, decoder.thresholds, strict=True))}
        head.settle(decoder)
        return made

    def errors(self, head: AnyHead, rows: Answered) -> dict[str, Any]:
        """``labels`` (:func:`label_table`)."""
        decided, names = decided_of(head, rows.answers), class_names_of(head)
        return {"labels": label_table(rows.answers, rows.targets, decided, names, rows.weights)}

    def worst(self, head: AnyHead, answer: Values, target: Values) -> list[tuple[int, int]]:
        """Rows of a wrong label: of each the one that was decided with greatest confidence."""
        answers, truth = as_array(answer), as_array(target)
        predicted = decided_of(head, answers)["predicted"]
        each = np.where(predicted == (truth > 0), -1.0, np.where(predicted, answers, 1 - answers))
        sure, output = each.max(axis=1), each.argmax(axis=1)
        order = np.argsort(-sure, kind="stable").tolist()
        return [(row, int(output[row])) for row in order if sure[row] > -1.0]

    def card(
        self, head: AnyHead, answer: Values, target: Values, output: int, shares: Shares
    ) -> dict[str, Any]:
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

    def explained(self, head: AnyHead, answer: Values) -> tuple[list[int], str]:
        """The predicted labels, the surest first; the likeliest where none is."""
        shares = as_array(answer)[0]
        outputs = np.flatnonzero(decided_of(head, answer)["predicted"][0]).tolist()
        outputs.sort(key=lambda index: -float(shares[index]))
        if not outputs:
            return [int(shares.argmax())], "no label was said; this is the likeliest"
        if len(outputs) <= MOST_LABELS:
            return outputs, ""
        note = f"one of {len(outputs)} labels said, of which the {MOST_LABELS} surest are explained"
        return outputs[:MOST_LABELS], note

    def attributed(self, head: Head, logits: Tensor, output: int) -> Tensor:
        """The log-odds of the label, from the logits."""
        decoder = self.tempered(head)
        if decoder is not None:
            return logits.float()[:, output] / decoder.temperature
        return super().attributed(head, logits, output)


def label_table(
    answer: Values,
    target: Values,
    decided: Mapping[str, Values],
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
    true, predicted = as_array(target) > 0.5, as_array(decided.get("predicted", as_array(answer) >= 0.5))
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
