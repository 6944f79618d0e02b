"""A declaration completed from its table: what follows from both without a model, and so without torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from polymodal.config import Declaration, ObjectiveConfig
from polymodal.config.parsing import parse
from polymodal.data.readers.base import content_of
from polymodal.data.readers.content import Content
from polymodal.data.schema.infer import Guess
from polymodal.data.schema.schema import complete
from polymodal.data.tables.table import Table
from polymodal.data.targets import TARGETS
from polymodal.errors import ConfigError, option, worded
from polymodal.training.declaration.source import Declared
from polymodal.training.request import FitRequest

if TYPE_CHECKING:
    from polymodal.training.warm_start.start import Start


@dataclass
class Completed:
    """A declaration with all inputs and targets of its table, its settings not yet checked.

    Attributes:
        declared: Its sections before.
        declaration: Complete.
        table: All rows.
        guesses: The inferred modality of each column.
        stays: Inputs that are kept whatever their cells hold: they were named.
        begun: The run to fine-tune from, if any.
    """

    declared: Declared
    declaration: Declaration
    table: Table
    guesses: list[Guess]
    stays: list[str]
    begun: Start | None

    @property
    def known(self) -> Mapping[str, Mapping[str, Any]]:
        """By input the settings of an encoder that comes from an earlier run."""
        return self.begun.encoders if self.begun else {}


def complete_request(request: FitRequest, declared: Declared) -> Completed:
    """Read the table of a fit of heads or objectives, and complete its declaration.

    Raises:
        ConfigError: If the declaration has an unknown key, or there is nothing to learn.
        DataError: If the table cannot be read or lacks what is declared.
        RunError: If the run to fine-tune from is none.
    """
    values, targets, inputs, named = declared.values, request.targets, request.inputs, declared.named
    name_objectives(values, request.objectives)
    table = declared.table(request)
    begun = None
    if isinstance(values.get("start"), str):
        begun, values = _started(declared, table, request)
        inputs, named = (), []
    own = values.get("inputs")
    stays = [*inputs, *named, *(own if isinstance(own, dict) else ())]
    if named:
        inputs = _beside_named(values, table, targets, named)
    completed, guesses = complete(
        values, table, targets=targets, inputs=inputs, beside=bool(named), reads=reader_of
    )
    declaration = parse(completed, source=declared.written, lines=declared.lines)
    _settle_targets(declaration, request.pretraining)
    if begun is None and declaration.train.continued_learning_rate is not None:
        fix = f"Leave it out, or name a run with {option('start')}"
        raise ConfigError(
            f"'train.continued_learning_rate' is for fine-tuning from a run: there is none. {fix}"
        )
    return Completed(declared, declaration, table, guesses, stays, begun)


def _started(declared: Declared, table: Table, request: FitRequest) -> tuple[Start | None, dict[str, Any]]:
    """The run that a declaration starts from, and the sections with what is taken over from it."""
    declared.require_start()
    from polymodal.training.warm_start.inheritance import take_over  # these need the classes of models
    from polymodal.training.warm_start.start import open_declared_start

    begun = open_declared_start(declared)
    assert begun is not None
    taken = take_over(
        begun, declared.values, table, targets=request.targets, inputs=request.inputs, named=declared.named,
        source=declared.written, lines=declared.lines,
    )  # fmt: skip
    return begun, taken


def reader_of(task: str) -> str:
    """The name of the target reader of ``task``, as :func:`polymodal.tasks.reader_name`.

    Most tasks have that of their reader; of others their heads know it, which need torch.
    """
    if task in TARGETS:
        return task
    from polymodal.tasks import reader_name

    return reader_name(task)


def name_objectives(values: dict[str, Any], names: Sequence[str]) -> None:
    """Add objectives by name to the sections of a declaration; those declared already keep their options."""
    given = values.get("objectives") or {}
    if isinstance(given, list) and all(isinstance(name, str) for name in given):
        given = dict.fromkeys(given)
    if names and isinstance(given, dict):
        values["objectives"] = given | {name: given.get(name) for name in names}


def _beside_named(
    values: dict[str, Any], table: Table, targets: Sequence[str], named: Iterable[str]
) -> list[str]:
    """All inputs of a table: a setting of some does not exclude the others."""
    others, _ = complete(values | {"inputs": None}, table, targets=targets, reads=reader_of)
    return list(dict.fromkeys([*others["inputs"], *named]))


def _settle_targets(declaration: Declaration, pretraining: bool | None) -> None:
    """Remove the targets of a pre-training; None: it is one if there are objectives and no target.

    Raises:
        ConfigError: If there is nothing to learn.
    """
    if pretraining is None:
        pretraining = bool(declaration.objectives) and not declaration.targets
    if pretraining:
        without_targets(declaration)
    elif not declaration.targets:
        fix = (
            f" To learn without one: {worded('polymodal pretrain', 'pm.pretrain')}"
            if declaration.objectives
            else ""
        )
        raise ConfigError(
            f"no target: name the column to learn with {option('target')}, or under 'targets:'.{fix}"
        )


def without_targets(declaration: Declaration) -> None:
    """Make ``declaration`` one of a pre-training; without objectives it gets what its inputs allow.

    Raises:
        ConfigError: If it names targets.
    """
    if declaration.targets:
        name = next(iter(declaration.targets))
        fit = worded("polymodal fit", "pm.fit")
        fix = f"Leave 'targets' out, or use {fit}, which learns by objectives beside targets too"
        raise ConfigError(f"pre-training learns without targets, and '{name}' is one. {fix}")
    if not declaration.objectives:
        several = len(declaration.inputs) > 1
        texts = any(content_of(config.modality) is Content.TEXT for config in declaration.inputs.values())
        name = "contrastive" if several else "masked_text" if texts else "masked_patch"
        declaration.objectives = {name: ObjectiveConfig()}
