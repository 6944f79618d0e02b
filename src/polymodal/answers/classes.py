"""Answers of one of several classes, with an order or without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

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


@DECODERS.register("classification")
class ClassDecoder(TemperedDecoder):
    """One of several classes: its probabilities by softmax.

    Args:
        classes: Their number, or their names in the order of the logits.
        thresholds: One per class: the predicted class has the largest ratio of probability to threshold. With
            equal thresholds, or none, it is the most probable class.
        temperature: Of calibration; logits are divided by it.
    """

    task = family = "classification"
    saved = frozenset({"classes", "thresholds", "temperature"})
    of_head: ClassVar[tuple[str, ...]] = (
        "classes", "class_weights", "label_smoothing", "thresholds", "weight", "dropout",
    )  # fmt: skip

    def __init__(
        self,
        classes: int | Sequence[str],
        *,
        thresholds: Sequence[float] | None = None,
        temperature: float = 1.0,
    ) -> None:
        super().__init__(classes, temperature=temperature)
        self.thresholds = None if thresholds is None else [float(value) for value in thresholds]
        if self.thresholds is not None:
            check_thresholds(self.thresholds, len(self.classes))

    def answer(self, logits: np.ndarray) -> np.ndarray:
        """Probabilities ``(batch, classes)`` after the calibration temperature."""
        scaled = tempered(logits, self.temperature)
        # The difference is rounded as heads round it, so that both give equal answers up to the last digit.
        parts = np.exp((scaled - scaled.max(axis=1, keepdims=True)).astype(np.float64))
        return (parts / parts.sum(axis=1, keepdims=True)).astype(np.float32)

    def as_logits(self, answer: np.ndarray) -> np.ndarray:
        """See :class:`Decoder`; logarithms, up to what makes no difference."""
        return np.log(np.clip(answer, TINY, 1))

    def answer_types(self, name: str, of_answer: pa.DataType | None) -> dict[str, pa.DataType]:
        """See :class:`Decoder`."""
        return {} if of_answer is None else {name: of_answer}

    def decide(self, answer: np.ndarray) -> dict[str, np.ndarray]:
        """``predicted`` ``(batch,)``, the index of the predicted class."""
        scaled = answer if self.thresholds is None else answer / np.array(self.thresholds, answer.dtype)
        return {"predicted": scaled.argmax(axis=1)}

    def columns(self, name: str, answer: np.ndarray, probabilities: bool = False) -> dict[str, Any]:
        """``<target>``, its probability as ``<target>_confidence``, and on demand a column per class."""
        predicted = self.decide(answer)["predicted"]
        columns = {
            name: [self.classes[index] for index in predicted.tolist()],
            f"{name}_confidence": np.take_along_axis(answer, predicted[:, None], axis=1)[:, 0],
        }
        return columns | (probability_columns(name, self.classes, answer) if probabilities else {})

    @classmethod
    def configured(
        cls, config: TargetConfig, target: TargetReader, answers: np.ndarray, weights: np.ndarray | None
    ) -> Self:
        """See :class:`SavedDecoder`."""
        return cls(target.classes)

    def settings(self) -> Settings:
        """See :class:`SavedDecoder`."""
        own: Settings = {"classes": self.classes, "thresholds": self.thresholds}
        return own | {"temperature": self.temperature}


@DECODERS.register("ordinal")
class OrderedDecoder(ClassDecoder):
    """One of several ordered classes: their probabilities by softmax, as of classes without an order.

    Args:
        classes: Their number, or their names from the lowest to the highest; two or more.
        temperature: See :class:`ClassDecoder`.
    """

    task = "ordinal"
    saved = frozenset({"classes", "temperature"})
    of_head = ("classes", "weight", "dropout")

    def __init__(self, classes: int | Sequence[str], *, temperature: float = 1.0) -> None:
        super().__init__(classes, temperature=temperature)
        if len(self.classes) < 2:
            raise ValueError(f"{len(self.classes)} ordered class, expected two or more")

    def decide(self, answer: np.ndarray) -> dict[str, np.ndarray]:
        """``predicted`` ``(batch,)``: the median class, which has the smallest expected distance in ranks."""
        below = answer.cumsum(axis=1, dtype=np.float64)[:, :-1].astype(answer.dtype) < 0.5
        return {"predicted": below.sum(axis=1)}

    def settings(self) -> Settings:
        """See :class:`SavedDecoder`."""
        return {"classes": self.classes, "temperature": self.temperature}
