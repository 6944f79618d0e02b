"""Answers of any number of labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from polymodal.answers.base import (
    DECODERS,
    TINY,
    TemperedDecoder,
    check_thresholds,
    probability_columns,
    tempered,
)
from polymodal.data.targets import TargetReader
from polymodal.utils.records import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from polymodal.config import TargetConfig


@DECODERS.register("multilabel")
class LabelDecoder(TemperedDecoder):
    """Each label is present or absent: a probability of its own, by the logistic function.

    Args:
        classes: Their number, or their names in the order of the logits.
        thresholds: The probability from which a label is predicted, one for all or one per label.
        temperature: Of calibration; logits are divided by it.
    """

    task = family = "multilabel"
    saved = frozenset({"classes", "thresholds", "temperature"})
    of_head = ("classes", "pos_weight", "thresholds", "weight", "dropout")

    def __init__(
        self,
        classes: int | Sequence[str],
        *,
        thresholds: float | Sequence[float] = 0.5,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(classes, temperature=temperature)
        each = [thresholds] * len(self.classes) if isinstance(thresholds, int | float) else thresholds
        self.thresholds = [float(value) for value in each]
        check_thresholds(self.thresholds, len(self.classes))

    def answer(self, logits: np.ndarray) -> np.ndarray:
        """Each label's own probability, ``(batch, classes)``, after the calibration temperature."""
        scaled = tempered(logits, self.temperature).astype(np.float64)
        away = np.exp(-np.abs(scaled))  # never above 1, whatever the logit
        return (np.where(scaled >= 0, 1, away) / (1 + away)).astype(np.float32)

    def as_logits(self, answer: np.ndarray) -> np.ndarray:
        """See :class:`Decoder`; the log-odds."""
        sure = np.clip(answer, TINY, 1)
        return np.log(sure / np.maximum(1 - sure, 2**-25))

    def answer_types(self, name: str, of_answer: pa.DataType | None) -> dict[str, pa.DataType]:
        """See :class:`Decoder`."""

        import pyarrow as pa

        own = {} if of_answer is None else {name: of_answer}
        return own | {f"{name}_confidence": pa.list_(pa.float32())}

    def decide(self, answer: np.ndarray) -> dict[str, np.ndarray]:
        """``predicted`` ``(batch, classes)`` bool, the predicted labels."""
        return {"predicted": answer >= np.array(self.thresholds, answer.dtype)}

    def columns(self, name: str, answer: np.ndarray, probabilities: bool = False) -> dict[str, Any]:
        """Lists of labels, ``<target>_confidence`` has their probabilities; optionally one per label."""
        predicted = [np.flatnonzero(row).tolist() for row in self.decide(answer)["predicted"]]
        columns: dict[str, Any] = {
            name: [[self.classes[index] for index in indices] for indices in predicted],
            f"{name}_confidence": [answer[row, indices].tolist() for row, indices in enumerate(predicted)],
        }
        return columns | (probability_columns(name, self.classes, answer) if probabilities else {})

    @classmethod
    def configured(
        cls, config: TargetConfig, target: TargetReader, answers: np.ndarray, weights: np.ndarray | None
    ) -> Self:
        """See :class:`SavedDecoder`."""
        return cls(
            target.classes, thresholds=config.thresholds if isinstance(config.thresholds, float) else 0.5
        )

    def settings(self) -> Settings:
        """See :class:`SavedDecoder`."""
        own: Settings = {"classes": self.classes, "thresholds": self.thresholds}
        return own | {"temperature": self.temperature}
