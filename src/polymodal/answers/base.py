"""The base of decoders: from logits to an answer, and from an answer to what is decided and written."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from polymodal.data.targets import TargetReader
from polymodal.utils.records import JsonObject, Settings
from polymodal.utils.registry import Registry

if TYPE_CHECKING:
    import pyarrow as pa

    from polymodal.config import TargetConfig

IGNORED = -100
"""Target value of a classification row without a label (an empty number or list of labels is NaN)."""
TINY = 1e-30
"""Probabilities are kept in single precision, where less is zero."""
OF_TRAINING = frozenset({"weight", "dropout", "class_weights", "label_smoothing", "pos_weight"})
"""Settings of a head's training; an answer does not depend on them."""


class Decoder(ABC):
    """What the answers of one target mean. A head of another package has none of its own: see
    :class:`polymodal.models.heads.HeadDecoder`.

    Attributes:
        task: The name of the target's task, and of its head.
        family: The task whose metrics measure it where its own has none.
    """

    task: str = ""
    family: str = ""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Numbers a row that a model of the target gives."""

    @abstractmethod
    def answer(self, logits: np.ndarray) -> np.ndarray:
        """The answer to ``logits`` ``(batch, outputs)``: probabilities ``(batch, classes)``, or numbers
        ``(batch,)`` in the user's unit; float32."""

    @abstractmethod
    def as_logits(self, answer: np.ndarray) -> np.ndarray:
        """Logits ``(batch, outputs)`` whose :meth:`answer`, not calibrated, is ``answer``; of its type."""

    @abstractmethod
    def columns(self, name: str, answer: np.ndarray, probabilities: bool = False) -> dict[str, Any]:
        """An answer as the columns of a table, a cell a row.

        Args:
            name: Of the target.
            answer: What :meth:`answer` gave.
            probabilities: Whether each class is to have a column.
        """

    def decide(self, answer: np.ndarray) -> dict[str, np.ndarray]:
        """What follows from an answer, by the names under which the task's metrics take it; maybe nothing."""
        return {}

    def answer_types(self, name: str, of_answer: pa.DataType | None) -> dict[str, pa.DataType]:
        """The types of those :meth:`columns` whose first cells may not show them.

        Args:
            name: Of the target.
            of_answer: The type of an answer in the target's labels; None where its cells show it.
        """
        return {}

    def saved_decoder(self) -> SavedDecoder | None:
        """The decoder whose settings validation rows may change; None of a head of another package."""
        return None

    def settle(self, decoder: SavedDecoder) -> None:  # noqa: B027
        """Take over the settings of :meth:`saved_decoder` after they were changed."""

    def known(self, target: np.ndarray) -> np.ndarray:
        """Which rows of a target ``(batch, …)`` are not empty: ``(batch,)`` bool."""
        empty = np.isnan(target) if target.dtype.kind == "f" else target == IGNORED
        return ~(empty.reshape(len(empty), -1).any(axis=1))


class SavedDecoder(Decoder):
    """A decoder that is kept in ``blend.json``; one class per task of ours."""

    saved: ClassVar[frozenset[str]]
    """The settings that are kept, besides the task."""
    of_head: ClassVar[tuple[str, ...]]
    """The arguments of the task's head, which options of a target may set."""

    def saved_decoder(self) -> SavedDecoder:
        """See :class:`Decoder`: itself."""
        return self

    @abstractmethod
    def settings(self) -> Settings:
        """The keyword arguments, JSON values all, that build this decoder again."""

    @classmethod
    @abstractmethod
    def configured(
        cls, config: TargetConfig, target: TargetReader, answers: np.ndarray, weights: np.ndarray | None
    ) -> Self:
        """The decoder of a declared target, with what it learns from the training rows.

        Args:
            config: The target's settings.
            target: The reader of its cells.
            answers: ``(rows, …)`` the training targets as the reader reads them.
            weights: ``(rows,)`` how much each training row counts; None where all count the same.
        """

    def state(self) -> JsonObject:
        """The decoder as JSON: its task and settings."""
        return {"task": self.task, **self.settings()}

    @classmethod
    def restore(cls, settings: Mapping[str, Any]) -> Self:
        """The decoder with these settings; those of a head's training are left out.

        Raises:
            ValueError: If one is unknown, or its value is none that a fit writes.
        """
        unknown = sorted(settings.keys() - cls.saved - OF_TRAINING)
        if unknown:
            raise ValueError(f"a head of the task {cls.task} has no setting '{unknown[0]}'")
        check_temperature(settings.get("temperature", 1.0))
        return cls(**{name: value for name, value in settings.items() if name in cls.saved})


class TemperedDecoder(SavedDecoder):
    """A decoder of probabilities, one per class, whose logits are divided by a calibration temperature.

    Args:
        classes: Their number, or their names in the order of the logits.
        temperature: Kept in single precision, as heads keep it.
    """

    def __init__(self, classes: int | Sequence[str], *, temperature: float = 1.0) -> None:
        self.classes = class_names(classes)
        self.temperature = float(np.float32(temperature))

    @property
    def outputs(self) -> int:
        """See :class:`Decoder`."""
        return len(self.classes)


DECODERS: Registry[type[SavedDecoder]] = Registry("task of a blend", base=SavedDecoder)
"""Decoders by task."""


def decoder_of_state(state: Mapping[str, Any]) -> SavedDecoder:
    """The decoder that :meth:`SavedDecoder.state` describes.

    Raises:
        ValueError: If a setting is none.
        ConfigError: If the task is none of ours.
    """
    return DECODERS[str(state["task"])].restore({key: v for key, v in state.items() if key != "task"})


def class_names(classes: int | Sequence[str]) -> list[str]:
    """Names of classes, given these or their number."""
    return [str(name) for name in (range(classes) if isinstance(classes, int) else classes)]


def check_thresholds(thresholds: Sequence[float], classes: int) -> None:
    """Refuse thresholds that are none.

    Raises:
        ValueError: If there is not one per class, each between 0 and 1.
    """
    if len(thresholds) != classes:
        raise ValueError(f"{len(thresholds)} thresholds for {classes} classes")
    wrong = [value for value in thresholds if not 0 < value < 1]
    if wrong:
        raise ValueError(f"a threshold is {wrong[0]:g}, expected a number between 0 and 1")


def check_temperature(value: object) -> None:
    """Refuse a calibration temperature that is none.

    Raises:
        ValueError: If it is no number above 0.
    """
    if not (isinstance(value, float) and 0 < value < math.inf):
        raise ValueError(f"a temperature is {value!r}, expected a number above 0")


def tempered(logits: np.ndarray, temperature: float) -> np.ndarray:
    """``logits`` over the calibration temperature (Guo et al. 2017), float32 as heads compute."""
    return logits.astype(np.float32) / np.float32(temperature)


def probability_columns(name: str, classes: Sequence[str], answer: np.ndarray) -> dict[str, Any]:
    """A column per class, ``<target>_probability_<class>``."""
    return {f"{name}_probability_{label}": answer[:, index] for index, label in enumerate(classes)}
