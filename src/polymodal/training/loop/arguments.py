"""``transformers.TrainingArguments`` from the section ``train``, and compilation of the model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from transformers import TrainingArguments
from transformers.integrations import get_available_reporting_integrations

from polymodal.artifact.run_folder import CANDIDATES
from polymodal.config import TrainConfig
from polymodal.data.processor import Form
from polymodal.errors import ConfigError, RunError, did_you_mean, one_line
from polymodal.training.loop.defaults import epochs_an_evaluation
from polymodal.training.loop.workers import require_main_guard
from polymodal.utils import distributed as processes
from polymodal.utils.device import find_device, known_devices

OURS = {
    "output_dir", "eval_strategy", "eval_steps", "eval_delay", "save_strategy", "save_steps",
    "load_best_model_at_end", "metric_for_best_model", "greater_is_better", "remove_unused_columns",
    "label_names", "prediction_loss_only", "batch_eval_metrics", "eval_do_concat_batches", "do_train",
    "do_eval", "do_predict", "dataloader_drop_last", "restore_callback_states_from_checkpoint",
    "save_only_model",
}  # fmt: skip
"""Fields that the run sets: other values would break its contract."""
ELSEWHERE = {
    "num_train_epochs": "train.epochs",
    "per_device_train_batch_size": "train.batch_size",
    "dataloader_num_workers": "train.workers",
    "bf16": "train.precision",
    "fp16": "train.precision",
    "use_cpu": "train.device",
    "label_smoothing_factor": "targets.<name>.label_smoothing",
    "resume_from_checkpoint": "--resume (resume=True)",
}
"""Fields that have another name here."""


CHECKPOINTS = "checkpoints"
CHECKPOINTING = ("activation_checkpointing", "gradient_checkpointing")
"""Transformers' present and former names of gradient checkpointing."""


@cache
def known_arguments() -> dict[str, Any]:
    """The fields of TrainingArguments and the type of each."""
    hints = get_type_hints(TrainingArguments)
    return {field.name: hints[field.name] for field in fields(TrainingArguments) if field.init}


def check_argument(name: str, value: Any) -> Any:
    """The value of ``train.<name>`` for TrainingArguments.

    Raises:
        ConfigError: If there is no such field (names the nearest), it is not to be set, or of another type.
    """
    known = known_arguments()
    if name in ELSEWHERE:
        raise ConfigError(f"'train.{name}' cannot be set here: give {ELSEWHERE[name]}")
    if name in OURS:
        raise ConfigError(f"'train.{name}' is set by the run itself and cannot be changed")
    if name not in known:
        short = list(TrainConfig.model_fields)
        raise ConfigError(f"unknown key 'train.{name}'. {did_you_mean(name, [*short, *sorted(known)])}")
    try:
        value = TypeAdapter(known[name]).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise ConfigError(f"'train.{name}' is {value!r}; {reason[0].lower()}{reason[1:]}") from None
    if name == "report_to":
        _check_report(value)
    return value


def _check_report(names: str | list[str] | None) -> None:
    there = ["none", "all", *get_available_reporting_integrations()]
    for name in [names] if isinstance(names, str) else names or []:
        if name not in there:
            reason = f"'train.report_to' is '{name}', which is unknown or not installed"
            raise ConfigError(f"{reason}. {did_you_mean(name, there)}")


OF_EVERY_RUN: dict[str, Any] = {
    "lr_scheduler_type": "cosine",
    "dataloader_pin_memory": False,
    "eval_strategy": "steps",
    "save_strategy": "steps",
    "save_total_limit": 2,
    "restore_callback_states_from_checkpoint": True,  # the state of the early stopping
    "logging_strategy": "steps",
    "logging_nan_inf_filter": False,
    "load_best_model_at_end": True,
    "metric_for_best_model": "selection",
    "greater_is_better": True,
    "remove_unused_columns": False,
    "label_names": ["targets"],
    "report_to": "none",
    "disable_tqdm": True,
    "log_level_replica": "passive",  # other processes log as little as the main one
    "ddp_find_unused_parameters": False,  # there are none: see Collator's form "idle"
}
"""Fields of TrainingArguments with constant defaults, which a declaration may override."""


def training_arguments(
    config: TrainConfig, folder: Path, rows: int, *, batches: int | None = None
) -> TrainingArguments:
    """The TrainingArguments of a run; ``config`` has no open values (see :func:`fill_in`).

    Args:
        config: The ``train`` section.
        folder: The run folder.
        rows: Number of training rows.
        batches: Batches per epoch and process, where these do not have ``batch_size`` rows each.

    Raises:
        ConfigError: If Transformers refuses a value.
    """
    assert config.epochs is not None and config.batch_size is not None
    require_main_guard(config.workers)
    device = training_device(config.device)
    if config.precision == "fp16" and device == "cpu":
        raise ConfigError("'train.precision' is 'fp16', which a CPU does not train in. Give bf16 or fp32")
    given = {name: check_argument(name, value) for name, value in config.arguments.items()}
    if given.get(CHECKPOINTING[1]) is not None:
        given[CHECKPOINTING[0]] = given.pop(CHECKPOINTING[1])
    steps = steps_an_epoch(rows, config.batch_size, given, batches=batches)
    total = given["max_steps"] if given.get("max_steps", -1) > 0 else math.ceil(steps * config.epochs)
    every = max(1, min(steps * epochs_an_evaluation(config.epochs), total))
    arguments: dict[str, Any] = {
        "output_dir": str(folder / CHECKPOINTS),
        "num_train_epochs": config.epochs,
        "per_device_train_batch_size": config.batch_size,
        "per_device_eval_batch_size": 2 * config.batch_size,
        "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay,
        "warmup_steps": math.ceil(config.warmup * total),
        "bf16": config.precision == "bf16",
        "fp16": config.precision == "fp16",
        "use_cpu": device == "cpu",
        "seed": config.seed,
        "dataloader_num_workers": config.workers,
        "eval_steps": every,
        "eval_delay": min(math.ceil((config.keep_from or 0) * total), every * (total // every)),
        "save_steps": every,
        "logging_steps": every,
    }
    try:
        made = TrainingArguments(**OF_EVERY_RUN | arguments | given)
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        raise ConfigError(f"train: {str(error).strip().splitlines()[0]}") from None
    # One device per process: DataParallel cannot split nested batches. Several GPUs need torchrun.
    made._n_gpu = min(1, made.n_gpu)
    return made


def log_folder(checkpoints: Path) -> Path:
    """Where TensorBoard's files go: ``logs`` in the run folder, for checkpoints are removed in the end.

    Args:
        checkpoints: Of a run, of a candidate of one, or of a stage, whose logs have a folder each.
    """
    folder, parts = checkpoints.parent, list[str]()
    while folder.parent.name in (CHECKPOINTS, CANDIDATES):
        parts.insert(0, folder.name)
        folder = folder.parent.parent
    return folder.joinpath("logs", *parts)


def training_device(name: str | None) -> str:
    """The type of the training device: ``cpu``, ``cuda`` or ``mps``.

    Raises:
        ConfigError: If it does not exist, or is one GPU of several, which the environment has to choose.
    """
    if name is None:
        return next(kind for kind in ("cuda", "mps", "cpu") if kind in known_devices())
    if name.startswith("cuda:"):
        number = name.partition(":")[2]
        fix = f"set CUDA_VISIBLE_DEVICES={number} and give cuda"
        raise ConfigError(f"'train.device' is '{name}': a fit takes the first GPU it sees. To choose, {fix}")
    return find_device(name).type


def steps_an_epoch(rows: int, batch_size: int, given: dict[str, Any], *, batches: int | None = None) -> int:
    """Optimizer steps per epoch over ``rows``, as the Trainer counts them; or in ``batches``."""
    batches = batches or math.ceil(rows / (batch_size * processes.count()))
    return math.ceil(batches / max(1, given.get("gradient_accumulation_steps", 1)))


def batch_form(arguments: TrainingArguments) -> Form:
    """The form of batches: existing items only, or padded to one shape for compiled code."""
    if arguments.torch_compile:
        return "dense"
    return "idle" if arguments.world_size > 1 else "items"


@contextmanager
def compiling(arguments: TrainingArguments) -> Iterator[None]:
    """Report errors of ``torch.compile`` inside the block in one line.

    Raises:
        RunError: If the model cannot be compiled, as where there is no compiler.
    """
    if not arguments.torch_compile:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        backend, reason = arguments.torch_compile_backend, one_line(str(error).splitlines()[0], 200)
        fix = "Leave train.torch_compile out, or give another train.torch_compile_backend"
        raise RunError(f"the model cannot be compiled by '{backend}': {reason}. {fix}") from error
