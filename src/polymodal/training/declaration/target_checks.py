"""Checks of the targets of a declaration and their columns, before any file is read and without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polymodal.answers import DECODERS
from polymodal.config import TUNING, Declaration, FusionConfig, TargetConfig
from polymodal.config.parsing import located
from polymodal.data.targets import TARGETS
from polymodal.errors import ConfigError, did_you_mean
from polymodal.evaluation.metrics.metrics import METRICS, weighs_metrics
from polymodal.tasks import task_of
from polymodal.training.declaration.candidate_choice import is_plain
from polymodal.training.loop.defaults import metric_name
from polymodal.utils.registry import accepted

HEAD_SETTINGS = {
    "class_weights": {"class_weights", "pos_weight"},
    "label_smoothing": {"label_smoothing"},
    "transform": {"transform"},
    "separator": set(),
    "classes": set(),
    "thresholds": {"thresholds"},
    "temperature": set(),
    "interval": {"half_width"},
}
"""By setting of a target, the arguments of which a head has to take one for it to mean something, unless it
is among the :attr:`polymodal.tasks.Task.settings`."""
ANSWER_COLUMNS = ("row", "missing", "no_input", "error")
"""Columns of ``predictions.parquet`` besides the answers."""
WEIGHT = "sample_weight"
"""Column of sample weights in ``predictions.parquet`` of a fit with weights."""
ANSWER_SUFFIXES = ("confidence", "true", "low", "high")
"""Suffixes of a target's name in the columns besides its answer."""


@dataclass(frozen=True)
class HeadFacts:
    """What checks need to know of the head of a task.

    Attributes:
        task: What it calls its task.
        family: The task whose cells it reads.
        accepted: The names of its arguments.
        weighted: Whether its loss takes sample weights.
    """

    task: str
    family: str
    accepted: Sequence[str]
    weighted: bool


def head_facts(task: str, where: str = "") -> HeadFacts:
    """The facts of a task's head, of our own without torch.

    Args:
        task: The name of the head.
        where: The setting that names it, for messages.

    Raises:
        ConfigError: If there is no such head.
    """
    if task in DECODERS:
        kind = DECODERS[task]
        return HeadFacts(task, kind.family, kind.of_head, True)
    from polymodal.models.heads import HEADS, takes_weights  # of other packages, which need torch

    if where and task not in HEADS:
        raise ConfigError(f"'{where}' is '{task}'. {did_you_mean(task, HEADS)}")
    head = HEADS[task]
    return HeadFacts(head.task, head.reads(), accepted(head), takes_weights(head))


def check_targets(declaration: Declaration, source: str, lines: Mapping[tuple, int]) -> None:
    """Check columns, targets, sample weights and the metric of a declaration.

    Args:
        declaration: To check.
        source: Its name in messages.
        lines: Line of each key path, for messages.

    Raises:
        ConfigError: If a head, metric or option does not exist, or does not fit the others.
    """
    check_columns(declaration)
    for name, target in declaration.targets.items():
        with located(source, lines, "targets", name):
            check_head(name, target)
    with located(source, lines, "data", "sample_weight"):
        check_weighted(declaration)
    with located(source, lines, "train", "metric"):
        tasks = {name: target.task for name, target in declaration.targets.items()}
        metric_name(declaration.train.metric, tasks)


def has_neural_parts(declaration: Declaration) -> bool:
    """Whether a declaration trains a neural model, or names a part or a setting of one."""
    train = declaration.train
    named = [
        bool(declaration.objectives),
        declaration.fusion != FusionConfig(),
        bool(train.arguments),
        train.weighting != "fixed",
        train.layer_decay != 1,
        train.precision != "fp32",
        train.device not in (None, "cpu"),
        any(config.encoder or config.changes for config in declaration.inputs.values()),
        any(getattr(config, way) for config in declaration.inputs.values() for way in TUNING),
    ]
    return not is_plain(declaration) or any(named)


def check_columns(declaration: Declaration) -> None:
    """Check that the columns of the answers have distinct names.

    Raises:
        ConfigError: If a target has the name of another column.
    """
    beside = {f"{name}_{suffix}" for name in declaration.targets for suffix in ANSWER_SUFFIXES}
    taken = {*ANSWER_COLUMNS, *beside, *([WEIGHT] if declaration.data.sample_weight else [])}
    for name in declaration.targets:
        if name in taken:
            fix = "Rename the column"
            raise ConfigError(f"'{name}' cannot be a target: a column of the answers has that name. {fix}")


def check_weighted(declaration: Declaration) -> None:
    """Check that losses and metrics of the targets take sample weights, if a column of them is set.

    Raises:
        ConfigError: If the column of weights is a target, nothing is learned from targets, or a head or the
            metrics of a task take no weights.
    """
    column = declaration.data.sample_weight
    if column is None:
        return
    if column in declaration.targets:
        raise ConfigError(f"column '{column}' is both a target and 'data.sample_weight'. Name another column")
    if declaration.generation:
        raise ConfigError("'data.sample_weight' does not go with answers in words: leave it out")
    if not declaration.targets:
        raise ConfigError("'data.sample_weight' weighs the losses of targets: there is none. Leave it out")
    for name, target in declaration.targets.items():
        reason = None if head_facts(target.task).weighted else f"the head '{target.task}' of '{name}'"
        if reason is None and not weighs_metrics(target.task, target.family):
            reason = f"the metrics of '{name}' ({target.task})"
        if reason:
            raise ConfigError(
                f"{reason} cannot weigh rows: no argument 'weight'. Leave data.sample_weight out"
            )


def check_head(name: str, config: TargetConfig) -> None:
    """Check the head of a target and its options, and set in ``config`` how the target's cells are read.

    Raises:
        ConfigError: If there is no such head, or it refuses a setting.
    """
    facts = head_facts(config.task, f"targets.{name}.task")
    if facts.task != config.task:
        raise ConfigError(f"the head '{config.task}' calls its task '{facts.task}': the names must be one")
    if facts.family not in TARGETS:
        raise ConfigError(
            f"the head '{config.task}' reads its targets as '{facts.family}', which no target reader does. "
            f"Set its 'family' to one of {', '.join(TARGETS)}, or offer a reader (polymodal.targets)"
        )
    if METRICS.whole(config.task) is None:
        METRICS.of(config.task, facts.family)  # refused here rather than after the first epoch
    own, task = facts.accepted, task_of(config.task)
    config.belongs_to(facts.family, ordered=task.ordered)
    task.check(config, own)
    for option in config.options:
        if option not in own:
            fix = did_you_mean(option, own)
            raise ConfigError(f"the head '{config.task}' has no option '{option}'. {fix}")
    for setting, needed in HEAD_SETTINGS.items():
        default = type(config).model_fields[setting].default
        if setting not in task.settings and not needed & {*own} and getattr(config, setting) != default:
            raise ConfigError(f"'targets.{name}': '{setting}' is no setting of a {config.task}")
