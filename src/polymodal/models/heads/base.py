"""The base of heads: the fused state in, the answer for one target out."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from polymodal.config import TargetConfig
from polymodal.data.targets import TargetReader
from polymodal.models.outputs import FusedState
from polymodal.utils.records import Settings
from polymodal.utils.registry import Registry

IGNORED = -100
"""Target value of a classification row without a label (an empty number or list of labels is NaN)."""


class Head(nn.Module):
    """Base of all heads; built in two steps, for the width is known only beside a fusion.

    Attributes:
        task: The name it is registered under.
        family: The target whose cells it reads (:data:`polymodal.data.targets.TARGETS`), and the task whose
            metrics measure it where it has none of its own; the task by default.
        variance_factor: What a loss over its variance is multiplied by where weights are learned: 1 for a
            cross-entropy, ½ for a squared error; see
            :class:`polymodal.models.weighting.UncertaintyWeighting`.
    """

    task: ClassVar[str]
    family: ClassVar[str] = ""
    variance_factor: ClassVar[float] = 1.0

    @classmethod
    def reads(cls) -> str:
        """The name of the target whose cells it reads: its family."""
        return cls.family or cls.task

    @classmethod
    def configured(
        cls, config: TargetConfig, target: TargetReader, answers: np.ndarray, weights: np.ndarray | None
    ) -> dict[str, Any]:
        """Arguments of the constructor that follow from a declaration and the training rows.

        Those that a head does not take are not passed; by default they are those of its family's head.

        Args:
            config: The target's settings.
            target: The reader of its cells.
            answers: ``(rows, …)`` the training targets as the reader reads them.
            weights: ``(rows,)`` how much each training row counts; None where all count the same.
        """
        family = cls.reads()
        if family == cls.task or family not in HEADS:
            return {}
        return HEADS[family].configured(config, target, answers, weights)

    def __init__(self, *, weight: float = 1.0, dropout: float = 0.1) -> None:
        super().__init__()
        self.weight, self.dropout = weight, nn.Dropout(dropout)
        self.out: nn.Linear | None = None

    def bind(self, width: int) -> Head:
        """Build the weights for a fused state of ``width``."""
        if self.out is None:
            self.out = nn.Linear(width, self.outputs)
        return self

    @property
    def device(self) -> torch.device:
        """Where its weights are; a head without any is on the CPU."""
        weight = next(iter([*self.parameters(), *self.buffers()]), None)
        return torch.device("cpu") if weight is None else weight.device

    @property
    def outputs(self) -> int:
        """Numbers a row that the head gives."""
        return 1

    def forward(self, state: FusedState) -> Tensor:
        """The logits, ``(batch, outputs)``.

        Raises:
            ValueError: If :meth:`bind` was never called.
        """
        if self.out is None:
            raise ValueError(f"{type(self).__name__} does not know its width yet: call bind(width)")
        return self.out(self.dropout(state.pooled))

    def loss(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The mean loss over the rows whose target is not empty; 0 where all are.

        With ``weight`` ``(batch,)`` the mean in which each row counts so much. It is given only where rows
        have weights: a head that does not take it cannot be fitted to such.
        """
        raise TypeError(f"{type(self).__name__} has no loss of its own")

    def known(self, target: Tensor) -> Tensor:
        """Which rows of a target ``(batch, …)`` are not empty: ``(batch,)`` bool."""
        empty = target.isnan() if target.is_floating_point() else target == IGNORED
        return ~empty.flatten(1).any(dim=1) if empty.ndim > 1 else ~empty

    def normalizer(self, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The divisor of the summed :meth:`loss`, a scalar: the number of rows whose target is not empty.

        With ``weight`` ``(batch,)`` the sum of their weights.
        """
        return weighed(self.known(target), weight).sum().float()

    def answer(self, logits: Tensor) -> Tensor:
        """The prediction: probabilities ``(batch, classes)``, or numbers ``(batch,)`` in the user's unit."""
        raise TypeError(f"{type(self).__name__} has no answer of its own")

    def as_logits(self, answer: Tensor) -> Tensor:
        """Logits ``(batch, outputs)`` whose :meth:`answer`, not calibrated, is ``answer``; the inverse of it.

        A head without this is not blended with other models.

        Args:
            answer: As :meth:`answer` returns it; of any floating-point type, which the logits have too.
        """
        raise TypeError(f"{type(self).__name__} has no inverse of its answer")

    def decide(self, answer: Tensor) -> dict[str, Tensor]:
        """What follows from an answer, by the names under which the task's metrics take it; maybe nothing."""
        return {}

    def answer_types(self, name: str, of_answer: pa.DataType | None) -> dict[str, pa.DataType]:
        """The types of those :meth:`columns` whose first cells may not show them.

        Args:
            name: Of the target.
            of_answer: The type of an answer in the target's labels; None where its cells show it.
        """
        return {}

    def columns(self, name: str, answer: Tensor, probabilities: bool = False) -> dict[str, Any]:
        """An answer as the columns of a table, a cell a row.

        Args:
            name: Of the target.
            answer: What :meth:`answer` gave, in main memory.
            probabilities: Whether each class is to have a column.
        """
        return {name: answer.numpy() if answer.ndim == 1 else list(answer.numpy())}

    def settings(self) -> Settings:
        """The keyword arguments, JSON values all, that build this head again (without its weights)."""
        return {"weight": self.weight, "dropout": self.dropout.p}


def weighed(values: Tensor, weight: Tensor | None) -> Tensor:
    """``values`` ``(batch, …)``, each row's times its ``weight`` ``(batch,)`` where there are weights."""
    return values if weight is None else values * weight.view(-1, *[1] * (values.ndim - 1))


def divisor(total: Tensor) -> Tensor:
    """``total``, a sum of what is not negative, or 1 where it is 0: then nothing is divided."""
    return torch.where(total > 0, total, torch.ones_like(total))


def takes_weights(kind: type[Head]) -> bool:
    """Whether the losses of such heads can be weighted row by row."""
    parameters = [inspect.signature(method).parameters for method in (kind.loss, kind.normalizer)]
    return all(
        "weight" in names or any(p.kind is p.VAR_KEYWORD for p in names.values()) for names in parameters
    )


HEADS: Registry[type[Head]] = Registry("head", group="polymodal.heads", base=Head)


def build_head(settings: dict[str, Any]) -> Head:
    """The head that ``{"task": …, **head.settings()}`` describes, with fresh weights."""
    settings = dict(settings)
    return HEADS[settings.pop("task")](**settings)


TINY = 1e-30
"""Probabilities are kept in single precision, where less is zero."""


def class_logits(probabilities: Tensor) -> Tensor:
    """Logits of ``probabilities`` ``(rows, classes)`` of one class each, up to what makes no difference."""
    return probabilities.clamp(TINY, 1).log()


def class_names(classes: int | Any) -> list[str]:
    """Names of classes, given these or their number."""
    return [str(name) for name in (range(classes) if isinstance(classes, int) else classes)]


def check_thresholds(thresholds: list[float], classes: int) -> None:
    """Refuse thresholds that are none.

    Raises:
        ValueError: If there is not one per class, each between 0 and 1.
    """
    if len(thresholds) != classes:
        raise ValueError(f"{len(thresholds)} thresholds for {classes} classes")
    wrong = [value for value in thresholds if not 0 < value < 1]
    if wrong:
        raise ValueError(f"a threshold is {wrong[0]:g}, expected a number between 0 and 1")


def probability_columns(name: str, classes: list[str], answer: Tensor) -> dict[str, Any]:
    """A column per class, ``<target>_probability_<class>``."""
    return {f"{name}_probability_{c}": answer[:, index].numpy() for index, c in enumerate(classes)}


def per_class(values: Any, classes: int, name: str) -> Tensor:
    """A factor per class, by default 1.

    Raises:
        ValueError: If there is not one per class.
    """
    factors = [1.0] * classes if values is None else list(values)
    if len(factors) != classes:
        raise ValueError(f"{len(factors)} {name} for {classes} classes")
    return torch.tensor(factors, dtype=torch.float32)
