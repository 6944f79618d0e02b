"""What analyses need of a model that predicts: one neural model, or a blend of several models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from polymodal.models.base import Inputs
from polymodal.models.heads import Head
from polymodal.models.outputs import PolymodalOutput


class Described(Protocol):
    """The names of what a model reads and predicts."""

    @property
    def input_names(self) -> list[str]:
        """Inputs, in declared order."""

    @property
    def head_names(self) -> list[str]:
        """Targets, in declared order."""


class EmbeddedCells(Protocol):
    """One input of a batch, ready for the step that combines the inputs.

    Attributes:
        present: ``(batch,)`` bool, true where the row has the input.
    """

    present: Tensor

    def pick(self, rows: Tensor) -> Self:
        """Some rows ``(picked,)`` of the input."""

    def replaced(self, where: Tensor, by: Any) -> Self:
        """The rows of ``by``, of the same kind, where ``where`` ``(batch,)`` is true, else its own."""

    def beside(self, other: Any) -> Self:
        """These rows, then those of ``other``, of the same kind."""

    @property
    def nbytes(self) -> int:
        """Bytes in memory, about."""


class Predictor(Protocol):
    """A model that predicts targets in two steps: every input by itself, then all together."""

    @property
    def config(self) -> Described:
        """Names of its inputs and targets."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    def eval(self) -> Any:
        """Set evaluation mode."""

    def head(self, target: str) -> Head:
        """The head of ``target``, which makes answers of its logits."""

    def named_heads(self) -> list[tuple[str, Any]]:
        """Targets and their heads, in declared order."""

    def embed(self, index: Tensor, inputs: Inputs) -> Mapping[str, EmbeddedCells]:
        """Every input of the rows ``index`` ``(batch,)``; one that ``inputs`` lacks is missing."""

    def predict_embedded(self, embedded: Any) -> dict[str, Tensor]:
        """The logits of every target, ``(batch, outputs)``, for what :meth:`embed` gave."""

    def __call__(self, index: Tensor, inputs: Inputs) -> PolymodalOutput:
        """The output for a batch: ``logits`` and ``present`` at least."""
