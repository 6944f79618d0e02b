"""What every objective is: a batch of rows in, a loss that needs no target out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from polymodal.errors import ConfigError, did_you_mean
from polymodal.models.fusion import FUSIONS
from polymodal.models.objectives.batch_view import ObjectiveModel, View
from polymodal.utils.records import Settings
from polymodal.utils.registry import Registry

Loss = tuple[Tensor, dict[str, Tensor]]
"""A scalar, and its named parts for the log."""


class Objective(nn.Module):
    """Base of all objectives; built in two steps, for the inputs are known only beside a model.

    Args:
        weight: Of its loss beside others.
        inputs: The inputs that take part; by default all that can.

    Attributes:
        name: The name it is registered under.
        compares: Whether it compares the inputs of a row with those of other rows.
        spans_space: Whether the shared space is learned by it.
        needs_tokens: Whether it reads the fused tokens, so that a fusion without refuses it.
        reads_fusion: Whether the fusion learns by it.
        variance_factor: See :class:`polymodal.models.heads.Head`.
    """

    name: ClassVar[str]
    compares: ClassVar[bool] = False
    spans_space: ClassVar[bool] = False
    needs_tokens: ClassVar[bool] = False
    variance_factor: ClassVar[float] = 1.0

    def __init__(self, *, weight: float = 1.0, inputs: Sequence[str] | None = None) -> None:
        super().__init__()
        self.weight, self.inputs = weight, list(inputs) if inputs is not None else None
        self.taking: list[str] = []

    @property
    def reads_fusion(self) -> bool:
        """See above."""
        return self.needs_tokens

    def bind(self, model: ObjectiveModel) -> Objective:
        """Build the weights beside ``model``.

        Raises:
            ConfigError: If an input named is not there or cannot take part, or too few can.
        """
        known = model.config.input_names
        for name in self.inputs or ():
            if name not in known:
                cure = did_you_mean(name, known)
                raise ConfigError(f"the objective '{self.name}' names an input '{name}'. {cure}")
        if self.needs_tokens and not FUSIONS[model.fusion.name].gives_tokens:
            cure = "Choose one that does, such as transformer, or leave the objective out"
            found = f"'{model.fusion.name}' has none"
            raise ConfigError(f"the objective '{self.name}' needs the fused tokens, and {found}. {cure}")
        self.taking = self._choose(model, self.inputs if self.inputs is not None else known)
        return self

    def _choose(self, model: ObjectiveModel, names: Sequence[str]) -> list[str]:
        """Those of ``names`` that take part.

        Raises:
            ConfigError: If too few can.
        """
        return list(names)

    def prepare(self, view: View) -> View:
        """The batch as the loss is to see it: masked or paired anew."""
        return view

    def loss(self, model: ObjectiveModel, view: View) -> Loss:
        """The loss of a prepared batch; of several processes each has one whose mean is that of all rows.

        Args:
            model: Encodes, embeds and fuses.
            view: What :meth:`prepare` gave.
        """
        raise TypeError(f"{type(self).__name__} has no loss of its own")

    def settings(self) -> Settings:
        """The keyword arguments, JSON values all, that build this objective again (without its weights)."""
        return {"weight": self.weight, "inputs": self.inputs}


OBJECTIVES: Registry[type[Objective]] = Registry("objective", group="polymodal.objectives", base=Objective)


def build_objective(name: str, settings: Mapping[str, Any]) -> Objective:
    """The objective that ``{**objective.settings()}`` describes, with fresh weights.

    Raises:
        ConfigError: If there is none of that name, or it refuses a setting.
    """
    kind = OBJECTIVES[name]
    try:
        return kind(**settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the objective '{name}' refuses {dict(settings)}: {error}") from None


def at_least_two(name: str, inputs: Sequence[str]) -> list[str]:
    """``inputs``, if they can be compared with each other.

    Raises:
        ConfigError: If there is one only.
    """
    if len(inputs) < 2:
        has = f"there is only '{inputs[0]}'" if inputs else "there is none"
        cure = "Give another input, or an objective that masks, such as masked_patch or masked_text"
        raise ConfigError(f"the objective '{name}' compares inputs of a row with each other: {has}. {cure}")
    return list(inputs)
