"""Base of the objectives: a batch of rows in, a loss that needs no target out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from polymodal.errors import ConfigError, did_you_mean
from polymodal.models.fusion import FUSIONS
from polymodal.models.objectives.batch_view import ObjectiveModel, View
from polymodal.utils.records import Settings
from polymodal.utils.registry import Registry, accepted

Loss = tuple[Tensor, dict[str, Tensor]]
"""A scalar, and its named parts for the log."""


class Objective(nn.Module):
    """Base of all objectives; its weights are built by :meth:`bind`, once the inputs are known.

    Args:
        weight: Of its loss in the sum of all losses.
        inputs: The inputs that take part; by default all that can.

    Attributes:
        name: The name it is registered under.
        compares: Whether it compares the inputs of a row with those of other rows.
        whole: Whether its rows must go through the encoders all at once.
        spans_space: Whether it trains the shared space.
        needs_tokens: Whether it reads the fused tokens; a fusion without tokens is then refused.
        reads_fusion: Whether it trains the fusion.
        variance_factor: See :class:`polymodal.models.heads.Head`.
    """

    name: ClassVar[str]
    compares: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    spans_space: ClassVar[bool] = False
    needs_tokens: ClassVar[bool] = False
    variance_factor: ClassVar[float] = 1.0

    def __init__(self, *, weight: float = 1.0, inputs: Sequence[str] | None = None) -> None:
        super().__init__()
        self.weight, self.inputs = weight, list(inputs) if inputs is not None else None
        self.taking: list[str] = []

    @property
    def reads_fusion(self) -> bool:
        """Whether it trains the fusion."""
        return self.needs_tokens

    def bind(self, model: ObjectiveModel) -> Objective:
        """Build the weights for the inputs of ``model``.

        Raises:
            ConfigError: If an input of ``inputs`` does not exist or cannot take part, or too few can.
        """
        known = model.config.input_names
        self.check_names(known)
        if self.needs_tokens and not FUSIONS[model.fusion.name].gives_tokens:
            fix = "Choose one that does, such as transformer, or leave the objective out"
            reason = f"'{model.fusion.name}' has none"
            raise ConfigError(f"the objective '{self.name}' needs the fused tokens, and {reason}. {fix}")
        self.taking = self._choose(model, self.inputs if self.inputs is not None else known)
        return self

    def check(self, facts: ObjectiveFacts) -> None:
        """Check the objective against a declaration, before any file is read; override it to check more.

        Args:
            facts: The declaration's inputs and batch.

        Raises:
            ConfigError: If an input of ``inputs`` does not exist, or there is nothing to compare.
        """
        self.check_names(list(facts.inputs))
        if self.compares:
            at_least_two(self.name, self.inputs or list(facts.inputs))
            if facts.batch_size == 1:
                raise ConfigError(f"the objective '{self.name}' compares rows, and 'train.batch_size' is 1")

    def check_names(self, known: Sequence[str]) -> None:
        """Check that the inputs that are to take part are among those ``known``.

        Raises:
            ConfigError: If one is not.
        """
        for name in self.inputs or ():
            if name not in known:
                fix = did_you_mean(name, known)
                raise ConfigError(f"the objective '{self.name}' names an input '{name}'. {fix}")

    def _choose(self, model: ObjectiveModel, names: Sequence[str]) -> list[str]:
        """Those of ``names`` that take part.

        Raises:
            ConfigError: If too few can.
        """
        return list(names)

    def prepare(self, view: View) -> View:
        """Change a batch before the encoders read it; by default it stays the same."""
        return view

    def loss(self, model: ObjectiveModel, view: View) -> Loss:
        """The loss of a prepared batch.

        Args:
            model: Encodes, embeds and fuses.
            view: The batch that :meth:`prepare` returned.

        Returns:
            A scalar, and its named parts for the log. With several processes the mean over the processes is
            the loss of all rows.
        """
        raise TypeError(f"{type(self).__name__} has no loss of its own")

    def settings(self) -> Settings:
        """The keyword arguments, all JSON values, that rebuild this objective (without its weights)."""
        return {"weight": self.weight, "inputs": self.inputs}


@dataclass(frozen=True)
class ObjectiveFacts:
    """The facts of a declaration besides the objective, for :meth:`Objective.check`.

    Attributes:
        inputs: The modality of each input, in declared order.
        batch_size: Rows per batch; None where the fit chooses it.
        piece: Rows that go through the encoders at once; None for all.
    """

    inputs: Mapping[str, str]
    batch_size: int | None = None
    piece: int | None = None


OBJECTIVES: Registry[type[Objective]] = Registry("objective", group="polymodal.objectives", base=Objective)


def build_objective(name: str, settings: Mapping[str, Any]) -> Objective:
    """An objective from its settings (see :meth:`Objective.settings`), with fresh weights.

    Raises:
        ConfigError: If there is none of that name, or it does not have or refuses a setting.
    """
    kind = OBJECTIVES[name]
    for option in settings:
        if option not in accepted(kind):
            fix = did_you_mean(option, accepted(kind))
            raise ConfigError(f"the objective '{name}' has no option '{option}'. {fix}")
    try:
        return kind(**settings)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the objective '{name}' refuses {dict(settings)}: {error}") from None


def at_least_two(name: str, inputs: Sequence[str]) -> list[str]:
    """Check that there are two inputs to compare; returns ``inputs``.

    Raises:
        ConfigError: If there are fewer.
    """
    if len(inputs) < 2:
        has = f"there is only '{inputs[0]}'" if inputs else "there is none"
        fix = "Give another input, or an objective that masks, such as masked_patch or masked_text"
        raise ConfigError(f"the objective '{name}' compares inputs of a row with each other: {has}. {fix}")
    return list(inputs)
