"""Batch size, epochs, patience and metric where a declaration names none. None of it needs torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

from polymodal.config import TrainConfig
from polymodal.errors import ConfigError, did_you_mean
from polymodal.evaluation.metrics.metrics import METRICS
from polymodal.tasks import reader_name, task_of
from polymodal.utils import distributed as processes

USUAL_STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 1500, 12, 100
"""The default number of epochs gives about this many steps, within these limits."""
SMALLEST_BATCH, LARGEST_BATCH, STEPS_AN_EPOCH = 16, 64, 32
"""The default batch is the power of two within these limits that gives about so many steps per epoch."""
PATIENCE = 0.4
"""Default patience as a share of the epochs: the last, small steps of the schedule often gain most."""
OBJECTIVE_BATCH = 128
"""Default batch size of pre-training, with enough rows."""
MOST_EVALUATIONS = 40
KEEP_FROM = 0.9
"""Share of a pre-training before which no epoch is kept."""
MODALITY_DROPOUT = 0.15
"""Default modality dropout of a fit; pre-training needs all inputs of a row."""


def fill_in(config: TrainConfig, rows: int, *, targets: bool = True, started: bool = False) -> None:
    """Choose batch size, epochs and patience where they are not set: small tables need many small steps.

    Several processes share the batch of one. Without ``targets`` batches are larger, for contrastive losses
    need negatives, and one of the last epochs is kept: the validation loss of an objective rises, as its
    temperature falls, long before the vectors get worse. ``started`` is a fit from another run: what was
    trained from scratch there is trained further at the rate of new parts, where no other is given.
    """
    if started and config.continued_learning_rate is None:
        given = "pretrained_learning_rate" in config.model_fields_set
        own = config.pretrained_learning_rate if given else config.learning_rate
        config.continued_learning_rate = own
    if config.keep_from is None:
        config.keep_from = 0.0 if targets else KEEP_FROM
    if config.patience is None and not targets:
        config.patience = 0
    if config.modality_dropout is None:
        config.modality_dropout = MODALITY_DROPOUT if targets else 0.0
    if config.batch_size is None and not targets:
        config.batch_size = max(
            2, min(OBJECTIVE_BATCH, 2 ** int(math.log2(max(2, rows)))) // processes.count()
        )
    if config.batch_size is None:
        fitting = 2 ** round(math.log2(max(1, rows / STEPS_AN_EPOCH)))
        config.batch_size = max(1, min(LARGEST_BATCH, max(SMALLEST_BATCH, fitting)) // processes.count())
    if config.epochs is None:
        wanted = math.ceil(USUAL_STEPS / math.ceil(rows / (config.batch_size * processes.count())))
        config.epochs = min(MOST_EPOCHS, max(FEWEST_EPOCHS, wanted))
    if config.patience is None:
        config.patience = max(5, math.ceil(PATIENCE * config.epochs))


def epochs_an_evaluation(epochs: float) -> int:
    """Epochs between two evaluations: one, or several where there are very many."""
    return max(1, math.ceil(epochs / MOST_EVALUATIONS))


def metric_name(metric: str | None, tasks: Mapping[str, str]) -> str:
    """The metric of the selection: ``metric``, or the task's default, or the loss with several targets.

    Raises:
        ConfigError: If the metric or its target does not exist.
    """
    if metric is None:
        return task_of(next(iter(tasks.values()))).default_metric if len(tasks) == 1 else "loss"
    target, _, name = metric.rpartition(".")
    if name != "loss" and name not in METRICS:
        fix = did_you_mean(name, [*METRICS, "loss"])
        raise ConfigError(f"train.metric: there is no metric '{name}'. {fix}")
    if target and target not in tasks:
        raise ConfigError(f"train.metric: there is no target '{target}'. {did_you_mean(target, tasks)}")
    measured = [tasks[target]] if target else list(tasks.values())
    if name != "loss" and not measured:
        fix = "Leave it out: the loss picks the epoch"
        raise ConfigError(f"train.metric: '{name}' measures a target, and there is none. {fix}")
    if measured and not any(name in suited(task) for task in measured):
        fix = did_you_mean(name, suited(measured[0]))
        raise ConfigError(f"train.metric: '{name}' does not measure {measured[0]}. {fix}")
    return metric


def suited(task: str) -> list[str]:
    """The metrics that can pick the epoch of a target of ``task``."""
    result = METRICS.of(task, reader_name(task))
    return [metric.name for metric in result if metric.selects] + ["loss"]
