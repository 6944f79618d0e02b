"""The base of heads: the fused state in, the answer for one target out."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from polymodal.answers.base import IGNORED, Decoder, SavedDecoder
from polymodal.config import TargetConfig
from polymodal.data.targets import TargetReader
from polymodal.models.outputs import FusedState
from polymodal.utils.records import Settings
from polymodal.utils.registry import Registry


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

    def decoder(self) -> Decoder:
        """What makes decisions and columns of its answers, by its settings as they are now."""
        return HeadDecoder(self)

    def saved_decoder(self) -> SavedDecoder | None:
        """The decoder of our own heads; see :meth:`settle`."""
        return None

    def settle(self, decoder: SavedDecoder) -> None:
        """Take over what was chosen on validation rows as settings of :meth:`saved_decoder`."""

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


class DecodedHead(Head):
    """Base of our own heads: what follows from an answer is that of their decoder."""

    def saved_decoder(self) -> SavedDecoder:
        """Its decoder, by its settings as they are now; those of the training are left out."""
        raise NotImplementedError

    def settle(self, decoder: SavedDecoder) -> None:
        """See :class:`Head`."""
        settings = decoder.settings()
        temperature = settings.get("temperature")
        if isinstance(temperature, float):
            self.get_buffer("temperature").fill_(temperature)
        for name in SETTLED:
            if name in settings:
                setattr(self, name, settings[name])

    def decoder(self) -> Decoder:
        """See :class:`Head`; a subclass that decides otherwise has its own methods called."""
        own = type(self)
        same = all(getattr(own, name) is getattr(DecodedHead, name) for name in DECODED)
        return self.saved_decoder() if same else HeadDecoder(self)

    def as_logits(self, answer: Tensor) -> Tensor:
        """See :class:`Head`."""
        return _tensor(self.saved_decoder().as_logits(_array(answer)), answer)

    def decide(self, answer: Tensor) -> dict[str, Tensor]:
        """See :class:`Head`."""
        decided = self.saved_decoder().decide(_array(answer))
        return {name: _tensor(values, answer) for name, values in decided.items()}

    def answer_types(self, name: str, of_answer: pa.DataType | None) -> dict[str, pa.DataType]:
        """See :class:`Head`."""
        return self.saved_decoder().answer_types(name, of_answer)

    def columns(self, name: str, answer: Tensor, probabilities: bool = False) -> dict[str, Any]:
        """See :class:`Head`."""
        return self.saved_decoder().columns(name, _array(answer), probabilities)


SETTLED = ("thresholds", "half_width")
"""Settings that are attributes of heads, and may be chosen on validation rows."""
DECODED = ("as_logits", "decide", "answer_types", "columns", "known")
"""The methods of a head that its decoder has too."""


class HeadDecoder(Decoder):
    """The decoder of a head of another package: its own methods, called with tensors.

    Args:
        head: Decides.
    """

    def __init__(self, head: Head) -> None:
        self.head, self.task, self.family = head, head.task, head.reads()

    def saved_decoder(self) -> SavedDecoder | None:
        """See :class:`Decoder`."""
        return self.head.saved_decoder()

    def settle(self, decoder: SavedDecoder) -> None:
        """See :class:`Decoder`."""
        self.head.settle(decoder)

    @property
    def outputs(self) -> int:
        """See :class:`Decoder`."""
        return self.head.outputs

    def answer(self, logits: np.ndarray) -> np.ndarray:
        """See :class:`Decoder`."""
        return _array(self.head.answer(torch.from_numpy(logits).to(self.head.device)))

    def as_logits(self, answer: np.ndarray) -> np.ndarray:
        """See :class:`Decoder`."""
        return _array(self.head.as_logits(torch.from_numpy(answer)))

    def columns(self, name: str, answer: np.ndarray, probabilities: bool = False) -> dict[str, Any]:
        """See :class:`Decoder`."""
        return self.head.columns(name, torch.from_numpy(answer), probabilities)

    def decide(self, answer: np.ndarray) -> dict[str, np.ndarray]:
        """See :class:`Decoder`."""
        return {name: _array(values) for name, values in self.head.decide(torch.from_numpy(answer)).items()}

    def answer_types(self, name: str, of_answer: pa.DataType | None) -> dict[str, pa.DataType]:
        """See :class:`Decoder`."""
        return self.head.answer_types(name, of_answer)

    def known(self, target: np.ndarray) -> np.ndarray:
        """See :class:`Decoder`."""
        return _array(self.head.known(torch.from_numpy(target)))


def _array(values: Tensor) -> np.ndarray:
    return np.asarray(values.detach().cpu().numpy())


def _tensor(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like.device)


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


def per_class(values: Any, classes: int, name: str) -> Tensor:
    """A factor per class, by default 1.

    Raises:
        ValueError: If there is not one per class.
    """
    factors = [1.0] * classes if values is None else list(values)
    if len(factors) != classes:
        raise ValueError(f"{len(factors)} {name} for {classes} classes")
    return torch.tensor(factors, dtype=torch.float32)
