"""From the declaration's ``train`` section to ``transformers.TrainingArguments``."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from polymodal.config import TrainConfig
from polymodal.errors import ConfigError, did_you_mean

FEWEST_STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 2000, 12, 100
"""The default number of epochs gives about this many steps, within these limits."""
MOST_EVALUATIONS = 40
OURS = {
    "output_dir", "eval_strategy", "eval_steps", "save_strategy", "save_steps", "load_best_model_at_end",
    "metric_for_best_model", "greater_is_better", "remove_unused_columns", "label_names",
}  # fmt: skip
"""Fields that the run itself sets: another value would break its contract."""


def check_arguments(config: TrainConfig) -> None:
    """Refuse what TrainingArguments does not know.

    Raises:
        ConfigError: Names the nearest field.
    """
    known = {field.name for field in fields(TrainingArguments) if field.init}
    for name in config.arguments:
        if name in OURS:
            raise ConfigError(f"train.{name} is set by the run itself and cannot be changed")
        if name not in known:
            short = list(TrainConfig.model_fields)
            raise ConfigError(f"unknown key 'train.{name}'. {did_you_mean(name, [*short, *sorted(known)])}")


def default_epochs(rows: int, batch_size: int) -> int:
    """Epochs that give small tables enough steps and do not drag out large ones."""
    steps = math.ceil(rows / batch_size)
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, math.ceil(FEWEST_STEPS / steps)))


def epochs_an_evaluation(epochs: float) -> int:
    """Epochs between two evaluations: one, but several where there are very many."""
    return max(1, math.ceil(epochs / MOST_EVALUATIONS))


def training_arguments(config: TrainConfig, folder: Path, rows: int) -> TrainingArguments:
    """The arguments of a run into ``folder`` on ``rows`` training rows; ``config.epochs`` is a number by now.

    Raises:
        ConfigError: If Transformers refuses a value.
    """
    assert config.epochs is not None
    steps = math.ceil(rows / config.batch_size)
    every = max(1, min(steps * epochs_an_evaluation(config.epochs), math.ceil(steps * config.epochs)))
    arguments: dict[str, Any] = {
        "output_dir": str(folder / "checkpoints"),
        "num_train_epochs": config.epochs,
        "per_device_train_batch_size": config.batch_size,
        "per_device_eval_batch_size": 2 * config.batch_size,
        "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay,
        "warmup_steps": math.ceil(config.warmup * steps * config.epochs),
        "lr_scheduler_type": "cosine",
        "bf16": config.precision == "bf16",
        "fp16": config.precision == "fp16",
        "seed": config.seed,
        "dataloader_num_workers": config.workers,
        "dataloader_pin_memory": False,
        "eval_strategy": "steps",
        "eval_steps": every,
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 2,
        "logging_strategy": "steps",
        "logging_steps": every,
        "logging_nan_inf_filter": False,
        "load_best_model_at_end": True,
        "metric_for_best_model": "selection",
        "greater_is_better": True,
        "remove_unused_columns": False,
        "label_names": ["targets"],
        "report_to": "none",
        "disable_tqdm": True,
    }
    try:
        return TrainingArguments(**arguments | config.arguments)
    except (ValueError, TypeError, ImportError) as error:
        raise ConfigError(f"train: {str(error).strip().splitlines()[0]}") from None
