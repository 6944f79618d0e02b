"""What a fit will do, in a few lines that are printed before it starts."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polymodal.config import InputConfig, TrainConfig
from polymodal.data.checks.rejected import count_rows
from polymodal.data.row_processor import RowProcessor
from polymodal.errors import one_line
from polymodal.pretrained.finding import name_of
from polymodal.training.job import Job
from polymodal.training.prediction_job import PredictionJob
from polymodal.utils import distributed as processes
from polymodal.utils.progress import CONSOLE, note
from polymodal.utils.threads import available_threads, fixed_threads

if TYPE_CHECKING:  # the plan of plain models needs no torch
    from polymodal.training.language.language_job import LanguageJob

NAMED = 3
"""Columns that are read alike are named up to so many; of more the number of the others is printed."""
LONGEST = 60
"""Most characters of a name or a template."""
BETWEEN = " · "

Plan = dict[str, str]
"""Lines by their heading; those without a text are left out."""


def prediction_plan(job: PredictionJob, models: Mapping[str, str], *, neural: bool) -> Plan:
    """The plan of a fit of heads, or of a pre-training.

    Args:
        job: Checked; its readers are those that the model requests.
        models: By candidate what it fits, in a few words.
        neural: Whether one of them is the neural model.
    """
    declaration, train = job.declaration, job.declaration.train
    rows = {name: len(table) for name, table in job.splits.items()}
    return {
        "device": device_in_words(train, neural=neural),
        "rows": rows_in_words(rows, count_rows(job.rejected)),
        "inputs": inputs_in_words(job, job.processor, neural=neural),
        "targets": BETWEEN.join(_target(job, name) for name in declaration.targets),
        "objectives": ", ".join(declaration.objectives),
        "models": ", ".join(f"{name} ({words})" if words else name for name, words in models.items()),
        "expected": epochs_in_words(train) if neural else "",
    }


def language_plan(job: LanguageJob) -> Plan:
    """The plan of a fit of a language model."""
    from polymodal.training.loop.parameter_groups import parameters_in_words

    given, last = job.generation, job.stages[-1]
    rows = {split: len(rows) for split, rows in last.rows.items()} | {"test": len(job.asked.get("test", ()))}
    named = given.language_model
    name = named.checkpoint or f"{named.type or 'a small model'} from scratch"
    several = len(job.stages) > 1
    stages = [f"{each.name}: " * several + epochs_in_words(each.train) for each in job.stages]
    return {
        "device": device_in_words(job.declaration.train, neural=True),
        "rows": rows_in_words(rows, count_rows(job.rejected)),
        "inputs": inputs_in_words(job, job.processor, neural=True),
        "prompt": _short(given.prompt or f"conversations in column '{given.messages}'"),
        "answer": _short(given.answer or ""),
        "models": f"{name} ({parameters_in_words(job.model)})",
        "expected": BETWEEN.join(stages),
    }


def print_plan(plan: Plan, quiet: bool) -> None:
    """Print a plan on standard error: a heading a line, wrapped where it is a terminal."""
    if quiet or not processes.is_main():
        return
    wide = max(len(name) for name in plan) + 2
    for name, text in plan.items():
        if text and CONSOLE.is_terminal:
            lines = textwrap.wrap(text, max(40, CONSOLE.width - wide), break_on_hyphens=False)
            text = f"\n{' ' * wide}".join(lines)
        if text:
            note(f"{name:{wide}}{text}")


def device_in_words(train: TrainConfig, *, neural: bool) -> str:
    """The device, its threads or name, and the precision: ``cpu, up to 4 threads``.

    Args:
        train: The section ``train``.
        neural: Whether the neural model is trained; all others compute on the CPU.
    """
    kind = _device_of(train.device) if neural else "cpu"
    if kind == "cpu":
        choice = fixed_threads(train.workers, train.threads)
        count = choice.threads if choice else available_threads(train.workers)
        words = f"cpu, {'' if choice else 'up to '}{count} thread{'s' * (count > 1)}"
    else:
        words = f"{kind} ({_name_of_gpu()})" if kind == "cuda" else kind
    precision = f", {train.precision}" if neural and train.precision != "fp32" else ""
    several = f"{processes.count()} processes, each on " if processes.count() > 1 else ""
    return f"{several}{words}{precision}"


def _device_of(name: str | None) -> str:
    from polymodal.training.loop.arguments import training_device  # which needs torch

    return training_device(name)


def _name_of_gpu() -> str:
    import torch

    return torch.cuda.get_device_name()


def rows_in_words(rows: Mapping[str, int], rejected: int) -> str:
    """``train 812, validation 174, test 174, left out 3``."""
    counts = dict(rows) | ({"left out": rejected} if rejected else {})
    return ", ".join(f"{split} {count:,}" for split, count in counts.items())


def inputs_in_words(job: Job[Any], processor: RowProcessor, *, neural: bool) -> str:
    """The inputs, those that are read alike together: ``photo: image, 32 × 32 px · age: number``.

    Args:
        job: Of the fit.
        processor: With the reader of each input.
        neural: Whether encoders read them.
    """
    known = job.start.encoders if job.start else {}
    alike: dict[str, list[str]] = {}
    for name, config in job.declaration.inputs.items():
        encoder = [_encoder(config, started=name in known)] if neural else []
        kept = [processor.readers[name].describe_kept()] if neural else []
        words = ", ".join(filter(None, [config.modality, *encoder, *kept]))
        alike.setdefault(words, []).append(one_line(name, LONGEST))
    return BETWEEN.join(f"{_listed(names)}: {words}" for words, names in alike.items())


def _encoder(config: InputConfig, *, started: bool) -> str:
    """The encoder of an input in words; empty where its modality has no choice of one."""
    from polymodal.models.encoders import ENCODERS  # which needs torch

    given = config.encoder
    if started:
        name = "encoder of the earlier run"
    elif given and given.checkpoint:
        name = name_of(given.checkpoint)
    elif given and given.type:
        return f"{given.type} from scratch"
    else:
        return "from scratch" if ENCODERS[config.modality].takes_backbone else ""
    if config.freeze:
        return f"{name} (frozen)"
    if config.lora:
        return f"{name} (tuned by LoRA)"
    return f"{name} (last {config.unfreeze_last} layers tuned)" if config.unfreeze_last else f"{name} (tuned)"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _target(job: PredictionJob, name: str) -> str:
    config, classes = job.declaration.targets[name], len(job.processor.targets[name].classes)
    learned = ", learned as logarithm" if config.transform == "log" else ""
    return f"{one_line(name, LONGEST)}: {config.task}" + (f", {classes} classes" if classes else "") + learned


def _short(text: str) -> str:
    return one_line(text, 2 * LONGEST)


def epochs_in_words(train: TrainConfig) -> str:
    """``at most 40 epochs, patience 16``; the time is measured in training."""
    patience = f", patience {train.patience}" if train.patience else ""
    return f"at most {train.epochs:g} epoch{'s' * (train.epochs != 1)}{patience}"
