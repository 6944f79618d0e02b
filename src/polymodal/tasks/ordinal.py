"""Ordinal regression: one of several ordered classes per row."""

from __future__ import annotations

from typing import Any

from polymodal.answers import OrderedDecoder
from polymodal.config import TargetConfig
from polymodal.evaluation.arrays import Values
from polymodal.tasks.base import TASKS, Answered, AnyHead, Shares, Tuned, Tuning
from polymodal.tasks.classification import class_card, class_errors, worst_classes
from polymodal.tasks.temperature import ProbabilityTask, tune_temperature


@TASKS.register("ordinal")
class Ordinal(ProbabilityTask):
    """Ordered classes: the order is that of ``classes``, else that of numeric labels; see :class:`Task`."""

    name = "ordinal"
    decoder_class = OrderedDecoder
    has_errors = True
    ordered = True
    default_metric, default_score = "quadratic_kappa", "quadratic_kappa"
    card_metrics = ("quadratic_kappa", "rank_mae", "accuracy")
    settings = frozenset({"classes", "temperature"})
    tabular_tag, media_tag = "tabular-classification", "classification"

    def tunes(self, config: TargetConfig, head: AnyHead) -> bool:
        """Whether a temperature is fitted."""
        return self.tempered(head) is not None and config.temperature

    def tune(self, head: AnyHead, rows: Tuning, config: TargetConfig) -> Tuned:
        """The temperature."""
        decoder = self.tempered(head)
        assert decoder is not None
        made = tune_temperature(decoder, rows)
        head.settle(decoder)
        return made

    def errors(self, head: AnyHead, rows: Answered) -> dict[str, Any]:
        """``classes`` and ``confusion``, as of classes without an order."""
        return class_errors(head, rows)

    def worst(self, head: AnyHead, answer: Values, target: Values) -> list[tuple[int, int]]:
        """Mistakes by the probability of the predicted class."""
        return worst_classes(head, answer, target)

    def card(
        self, head: AnyHead, answer: Values, target: Values, output: int, shares: Shares
    ) -> dict[str, Any]:
        """``truth``, ``answer``, ``confidence`` and ``truth_confidence``."""
        return class_card(head, target, output, shares)
